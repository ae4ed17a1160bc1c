"""The sidecar as it runs: a supervisor and workers, real processes that are killed, stopped, and told to go."""

import asyncio
import base64
import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rules.sealing import key_id, seal
from rules.table import DecisionTable
from sidecar.tables import snapshot
from tests.end_to_end.stack import inherited
from tests.sidecar.wire import Answer, Conversation, answering, client, headline, html, origin, response, table

CLONE = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0


@dataclass
class Running:
    """A supervisor and where it listens."""

    process: asyncio.subprocess.Process
    port: int
    admin: int
    log: Path

    async def get(self, target: str = "/") -> Answer:
        async with client(self.port) as visitor:
            return await visitor.get(target, "Connection: close")

    async def ask(self, target: str) -> Any:
        async with client(self.admin, "localhost") as operator:
            return msgspec.json.decode((await operator.get(target, "Connection: close")).body)

    async def workers(self) -> list[dict[str, Any]]:
        return list((await self.ask("/readyz"))["workers"])


def environment(upstream: str, **settings: str) -> dict[str, str]:
    given = {f"SIDECAR_{name.upper()}": value for name, value in settings.items()}
    defaults = {"SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0", "SIDECAR_WORKERS": "2"}
    alone = {"REDIS_URL": "redis://127.0.0.1:1/0", "SIDECAR_UPSTREAM": upstream, "SIDECAR_REWRITE_INLINE": "true"}
    return {**inherited(), **defaults, **alone, **given}


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while not (value := found()):
            await asyncio.sleep(0.02)
    return value


@asynccontextmanager
async def launched(tmp_path: Path, environ: dict[str, str], *before: str) -> AsyncIterator[Running]:
    """Start it with this environment and wait until it serves; `before` are the words of a command that starts it."""
    log = tmp_path / "sidecar.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(*before, sys.executable, "-m", "sidecar"), stderr=file, env=environ, cwd=tmp_path
        )
    try:
        ready = await until(lambda: re.search(r'"listen": "[^"]*:(\d+)", "admin": "[^"]*:(\d+)"', log.read_text()))
        yield Running(process, int(ready[1]), int(ready[2]), log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def sidecar(tmp_path: Path, upstream: str, **settings: str) -> AsyncIterator[Running]:
    """The same with these settings."""
    async with launched(tmp_path, environment(upstream, **settings)) as running:
        yield running


def refuses(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) != 0


async def test_two_workers_serve_and_tell(tmp_path: Path) -> None:
    async with origin(answering(html(b"<p>"))) as site, sidecar(tmp_path, site.url) as running:
        assert (await running.get()).verdict == b"passed; reason=no_table"
        workers = await running.workers()
        assert [worker["serves"] for worker in workers] == [True, True]
        assert len({worker["pid"] for worker in workers}) == 2
        assert (await running.ask("/table"))["mutations"] == []
        assert (await running.ask("/explain?url=http://a/"))["reason"] == "no_table"


def keep_snapshot(
    folder: Path, signing: Ed25519PrivateKey, rules: DecisionTable | None = None, **settings: str
) -> dict[str, str]:
    """Leave a signed table on disk, as an earlier run would have; the settings that find it."""
    public = signing.public_key().public_bytes_raw()
    snapshot.write(folder, seal(rules or table(headline()), key_id=key_id(public), sign=signing.sign))
    return {
        "snapshot_dir": str(folder),
        "table_public_keys": base64.b64encode(public).decode(),
        "rewrite_inline": "false",
        **settings,
    }


PAGE = b"<!doctype html><html><body><h1>Old</h1></body></html>"


async def test_with_redis_gone_every_worker_changes_pages_by_the_snapshot(tmp_path: Path) -> None:
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate())
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        for worker in await running.workers():
            assert (worker["table"]["version"], worker["table"]["source"]) == (7, "snapshot")
        for _ in range(20):
            answer = await running.get()
            assert (answer.body, answer.verdict) == (PAGE.replace(b"Old", b"New"), b"applied; table=7; mutations=1")
        assert [mutation["id"] for mutation in (await running.ask("/table"))["mutations"]] == ["headline"]
        assert (await running.ask("/explain?url=http://a/"))["applies"] == ["headline"]


async def test_a_page_rewriter_that_is_killed_costs_no_page(tmp_path: Path) -> None:
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate(), workers="1", memo_bytes_max="0")
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        [worker] = await running.workers()
        os.kill(worker["rewriter"]["pid"], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            # Each time another address: one that the dying process got is held, as if it had killed it.
            for number in count():
                if (answer := await running.get(f"/{number}")).verdict == b"applied; table=7; mutations=1":
                    break
                assert answer.body == PAGE
                await asyncio.sleep(0.02)
        assert (await running.workers())[0]["rewriter"]["restarts"] == 1


async def test_rewritten_pages_get_a_second_opinion_and_nobody_is_left_behind(tmp_path: Path) -> None:
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate(), workers="1", verify_share="1")
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        assert (await running.get()).verdict == b"applied; table=7; mutations=1"
        async with asyncio.timeout(PATIENCE_S):
            while (said := (await running.workers())[0]["verification"])["opinions"] != {"agrees": 1}:
                assert said["dropped"] == 0
                await asyncio.sleep(0.05)
        async with client(running.admin, "localhost") as operator:
            metrics = (await operator.get("/metrics", "Connection: close")).body
        assert b'layout_mutation_opinions_total{reason="",verdict="agrees",worker="0"} 1.0' in metrics
        judge = psutil.Process(said["pid"])
        running.process.kill()
        await running.process.wait()
        await until(lambda: not judge.is_running())


async def test_a_snapshot_by_another_key_is_the_origins_page_a_line_and_a_metric(tmp_path: Path) -> None:
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate(), workers="1")
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    settings["table_public_keys"] = base64.b64encode(other).decode()
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        answer = await running.get()
        assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=no_table")
        assert "bad_signature" in running.log.read_text()
        async with client(running.admin, "localhost") as operator:
            metrics = (await operator.get("/metrics", "Connection: close")).body
        assert b'reason="bad_signature"' in metrics


async def test_a_worker_that_dies_is_replaced_and_the_site_stays_up(tmp_path: Path) -> None:
    async with origin(answering(html(b"<p>"))) as site, sidecar(tmp_path, site.url) as running:
        victim = (await running.workers())[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        assert (await running.get()).status == 200
        await until(lambda: '"event": "worker_ended"' in running.log.read_text())
        async with asyncio.timeout(PATIENCE_S):
            while not all(worker["serves"] and worker["pid"] != victim for worker in await running.workers()):
                await asyncio.sleep(0.05)
        assert (await running.workers())[0]["restarts"] == 1


async def test_a_signal_switches_everything_off_also_for_workers_that_come_later(tmp_path: Path) -> None:
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate())
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        assert (await running.get()).verdict == b"applied; table=7; mutations=1"
        running.process.send_signal(signal.SIGUSR1)
        await everywhere(running, ["signal"])
        for worker in await running.workers():
            os.kill(worker["pid"], signal.SIGUSR2)  # as a signal to the whole group would; it is not a worker's to hear
        victim = (await running.workers())[0]["pid"]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: '"event": "worker_ended"' in running.log.read_text())
        async with asyncio.timeout(PATIENCE_S):
            while not all(worker["serves"] and worker["pid"] != victim for worker in await running.workers()):
                assert (await running.get()).body == PAGE
                await asyncio.sleep(0.02)
        for _ in range(20):
            assert (await running.get()).verdict == b"passed; reason=switched_off"
        assert (await running.ask("/readyz"))["switchedOff"] == ["signal"]
        async with client(running.admin, "localhost") as operator:
            metrics = (await operator.get("/metrics", "Connection: close")).body
        assert b'layout_mutation_switched_off{by="signal",worker="0"} 1.0' in metrics
        running.process.send_signal(signal.SIGUSR2)
        await everywhere(running, [])
        assert (await running.get()).verdict == b"applied; table=7; mutations=1"
        assert [worker["restarts"] for worker in await running.workers()] == [1, 0]


async def test_a_file_switches_everything_off_and_its_end_on(tmp_path: Path) -> None:
    file = tmp_path / "off"
    file.touch()
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate(), kill_switch_file=str(file), workers="1")
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        assert (await running.get()).verdict == b"passed; reason=switched_off"
        file.unlink()
        await everywhere(running, [])
        assert (await running.get()).verdict == b"applied; table=7; mutations=1"
        file.touch()
        await everywhere(running, ["file"])
        assert (await running.get()).body == PAGE


async def everywhere(running: Running, causes: list[str]) -> None:
    """Wait until every worker says that just this switches off."""
    async with asyncio.timeout(PATIENCE_S):
        while not all(worker.get("switchedOff") == causes for worker in await running.workers()):
            await asyncio.sleep(0.02)


async def test_a_door_that_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    async with origin(answering(html(b"<p>"))) as site, sidecar(tmp_path, site.url, workers="1") as running:
        assert (await running.get()).status == 200
        running.process.kill()
        await running.process.wait()
        await until(lambda: refuses(running.port))
        await until(lambda: '"event": "door_gone"' in running.log.read_text())
        await until(lambda: '"event": "stopped"' in running.log.read_text())


@pytest.mark.parametrize("farewell", [signal.SIGTERM, signal.SIGINT])
async def test_stopping_finishes_what_is_in_progress(tmp_path: Path, farewell: signal.Signals) -> None:
    release = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await release.wait()
        await conversation.send(response(b"done"))

    async with (
        origin(script) as site,
        sidecar(tmp_path, site.url, workers="1") as running,
        client(running.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: site.heads)
        running.process.send_signal(farewell)
        await until(lambda: refuses(running.port))
        release.set()
        answer = await visitor.answer()
        assert answer.body == b"done"
        assert await asyncio.wait_for(running.process.wait(), PATIENCE_S) == 0
    assert '"event": "stopped"' in running.log.read_text()


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, printed = await _failed(tmp_path, environment("http://127.0.0.1:1", listen=address))
    assert code == 3
    assert printed == f"sidecar: can't listen on {address}: Address already in use\n"


async def test_settings_that_cannot_be_used_are_one_clear_line(tmp_path: Path) -> None:
    code, printed = await _failed(tmp_path, environment("nonsense"))
    assert code == 2
    assert printed == "sidecar: SIDECAR_UPSTREAM must be http://host[:port] or https://host[:port]\n"


async def _failed(folder: Path, environ: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar"), stderr=asyncio.subprocess.PIPE, env=environ, cwd=folder
    )
    _, printed = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, printed.decode()

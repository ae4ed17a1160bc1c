"""Restarts without a gap: another generation, one worker after another, a supervisor that died; nobody is turned away."""

import asyncio
import os
import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.end_to_end.test_proxy_processes import (
    PAGE,
    PATIENCE_S,
    Running,
    environment,
    everywhere,
    keep_snapshot,
    launched,
    refuses,
    sidecar,
    until,
)
from tests.sidecar.wire import Client, Conversation, answering, client, html, origin, response

PAUSE_S = 0.02
"""Of each visitor, between two pages. Twelve of them ask 500 times a second; many more would only take the processor from the
generation that is to come up."""


class Patient(Client):
    """A visitor who waits longer for an answer than a new generation takes to come up on a busy machine."""

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)


class Crowd:
    """Visitors who ask all the time: some keep their connection, some come anew for each page."""

    def __init__(self, port: int, body: bytes) -> None:
        self._port = port
        self._body = body
        self.answers = 0
        self.failures: list[str] = []
        self.longest_s = 0.0
        self._over = False

    @asynccontextmanager
    async def browsing(self, keeping: int = 6, coming: int = 6) -> AsyncIterator["Crowd"]:
        tasks = [asyncio.create_task(self._keep()) for _ in range(keeping)]
        tasks += [asyncio.create_task(self._come()) for _ in range(coming)]
        try:
            yield self
        finally:
            self._over = True
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)

    async def _come(self) -> None:
        while not self._over:
            await self._visit(1)
            await asyncio.sleep(PAUSE_S)

    async def _keep(self) -> None:
        while not self._over:
            await self._visit(1_000_000)

    async def _visit(self, times: int) -> None:
        """Ask on one connection until the sidecar says that it ends."""
        try:
            async with client(self._port) as connected:
                visitor = Patient(connected.reader, connected.writer)
                for _ in range(times):
                    began = time.monotonic()
                    answer = await visitor.get("/", *(["Connection: close"] if times == 1 else []))
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
                    assert (answer.status, answer.body) == (200, self._body)
                    self.answers += 1
                    if self._over or answer.get(b"Connection") == b"close":
                        return
                    await asyncio.sleep(PAUSE_S)
        except (OSError, AssertionError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.failures.append(repr(error))


def said(running: Running, event: str) -> int:
    return running.log.read_text().count(f'"event": "{event}"')


async def asked_to_restart(running: Running) -> None:
    """SIGHUP, and wait until the other generation serves and the one before has ended."""
    restarted, stopped = said(running, "restarted"), said(running, "stopped")
    running.process.send_signal(signal.SIGHUP)
    await until(lambda: said(running, "restarted") > restarted)
    await until(lambda: said(running, "stopped") > stopped and len(tree(running)) == 1)


def tree(running: Running) -> list[psutil.Process]:
    """The generations of this sidecar."""
    return list(psutil.Process(running.process.pid).children())


async def test_restarts_under_load_turn_nobody_away_and_bring_new_settings(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, workers="", drain_s="5") as running:
        async with Crowd(running.port, PAGE).browsing() as crowd:
            for workers in (3, 1, 2):
                dotenv.write_text(f"SIDECAR_WORKERS={workers}\n")
                before = crowd.answers
                await asked_to_restart(running)
                assert len(await running.workers()) == workers
                assert crowd.answers > before
        assert crowd.failures == []
        assert crowd.answers > 300


async def test_a_generation_that_does_not_come_up_changes_nothing(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url) as running:
        pids = [worker["pid"] for worker in await running.workers()]
        async with Crowd(running.port, PAGE).browsing(2, 2) as crowd:
            dotenv.write_text("SIDECAR_IDLE_S=never\n")
            running.process.send_signal(signal.SIGHUP)
            await until(lambda: said(running, "restart_failed"))
            assert "sidecar: SIDECAR_IDLE_S is not usable" in running.log.read_text()
            assert [worker["pid"] for worker in await running.workers()] == pids
        assert crowd.failures == []
        os.kill(pids[0], signal.SIGKILL)  # who takes its place must not stumble over what is in the file by now
        async with asyncio.timeout(PATIENCE_S):
            while not all(one["serves"] and one["pid"] != pids[0] for one in await running.workers()):
                await asyncio.sleep(0.05)
        dotenv.unlink()
        await asked_to_restart(running)


async def test_a_generation_whose_workers_cannot_serve_gives_up(tmp_path: Path) -> None:
    async with origin(answering(html(PAGE))) as site:
        (tmp_path / ".env").write_text(f"SIDECAR_UPSTREAM={site.url}\n")
        async with sidecar(tmp_path, "", workers="1") as running:
            missing = f"SIDECAR_UPSTREAM=https://127.0.0.1:1\nSIDECAR_UPSTREAM_CA_FILE={tmp_path}/missing.pem\n"
            (tmp_path / ".env").write_text(missing)
            running.process.send_signal(signal.SIGHUP)
            await until(lambda: said(running, "restart_failed"))
            assert (await running.get()).body == PAGE
            assert len(tree(running)) == 1


async def test_a_supervisor_that_is_killed_is_followed_by_another_and_nobody_is_refused(tmp_path: Path) -> None:
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url) as running:
        async with Crowd(running.port, PAGE).browsing() as crowd:
            [supervisor] = tree(running)
            supervisor.kill()
            await until(lambda: said(running, "supervisor_ended"))
            await until(lambda: said(running, "ready") == 2)
            before = crowd.answers
            await until(lambda: crowd.answers > before + 20)
        assert crowd.failures == []
        assert said(running, "supervisor_gone") == 2


async def test_what_is_in_progress_is_finished_by_those_who_began_it(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await release.wait()
        await conversation.send(b"half")

    async with (
        origin(script) as site,
        sidecar(tmp_path, site.url, workers="1") as running,
        client(running.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await visitor.head()
        running.process.send_signal(signal.SIGHUP)
        await until(lambda: said(running, "restarted"))
        assert len(tree(running)) == 2
        release.set()
        assert await visitor.exactly(8) == b"halfhalf"
        assert await visitor.rest() == b""
        await until(lambda: len(tree(running)) == 1)


@pytest.mark.parametrize(("kind", "way"), [("websocket", "restart"), ("events", "stop")])
async def test_what_has_no_end_ends_at_the_deadline(tmp_path: Path, kind: str, way: str) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        if kind == "websocket":
            await conversation.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
        else:
            await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            await conversation.send(b"data: x\n\n")
            await asyncio.sleep(0.05)

    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if kind == "websocket" else b""
    async with (
        origin(script) as site,
        sidecar(tmp_path, site.url, drain_s="1.5", workers="1") as running,
        client(running.port) as one,
    ):
        await one.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + upgrade + b"\r\n")
        await one.head()
        running.process.send_signal(signal.SIGHUP if way == "restart" else signal.SIGTERM)
        if way == "restart":
            await until(lambda: said(running, "restarted"))
        began = time.monotonic()
        try:
            rest = await asyncio.wait_for(one.reader.read(-1), PATIENCE_S)
        except ConnectionResetError:
            rest = b"data: x" * 5
        assert rest.count(b"data: x") > 3
        assert time.monotonic() - began < 6
        await until(lambda: said(running, "stopped"))


@pytest.mark.parametrize(
    ("after_s", "number"),
    [(0.15, signal.SIGTERM), (0.15, signal.SIGINT), (0.15, signal.SIGHUP), (0.4, signal.SIGINT), (0.8, signal.SIGHUP)],
)
async def test_a_signal_while_it_starts_is_no_accident(tmp_path: Path, number: signal.Signals, after_s: float) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar"),
            stderr=file,
            env=environment("http://127.0.0.1:1", workers="1"),
            cwd=tmp_path,
            start_new_session=True,
        )
    try:
        await asyncio.sleep(after_s)  # the moment itself is what is tested
        os.killpg(process.pid, number)  # as a terminal or a service manager would: to everybody
        if number is signal.SIGHUP:
            if after_s > 0.2:
                await until(lambda: '"event": "ready"' in log.read_text())
                assert process.returncode is None
                process.send_signal(signal.SIGTERM)
            else:
                await asyncio.sleep(0.5)
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
    assert code in {0, -number}, log.read_text()
    if after_s > 0.2:
        assert code == 0, log.read_text()
        assert "Traceback" not in log.read_text()


async def test_what_a_signal_switched_off_stays_off(tmp_path: Path) -> None:
    settings = keep_snapshot(tmp_path / "kept", Ed25519PrivateKey.generate(), workers="1")
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **settings) as running:
        running.process.send_signal(signal.SIGUSR1)
        await everywhere(running, ["signal"])
        await asked_to_restart(running)
        await everywhere(running, ["signal"])
        assert (await running.get()).verdict == b"passed; reason=switched_off"
        [supervisor] = tree(running)
        supervisor.kill()
        await until(lambda: said(running, "ready") == 3)
        await everywhere(running, ["signal"])
        running.process.send_signal(signal.SIGUSR2)
        await everywhere(running, [])


async def test_a_worker_that_is_asked_to_is_replaced_and_nobody_is_turned_away(tmp_path: Path) -> None:
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url) as running:
        async with Crowd(running.port, PAGE).browsing() as crowd:
            for number in (0, 1):
                old = (await running.workers())[number]["pid"]
                os.kill(old, signal.SIGHUP)
                async with asyncio.timeout(PATIENCE_S):
                    while (worker := (await running.workers())[number])["pid"] == old:
                        assert worker["serves"]
                        await asyncio.sleep(0.02)
                await until(partial(has_ended, old))
        assert crowd.failures == []
        assert [worker["restarts"] for worker in await running.workers()] == [0, 0]
        assert await metric(running, "worker_replacements_total", reason="asked") == [1.0, 1.0]


def has_ended(pid: int) -> bool:
    return not psutil.pid_exists(pid)


async def metric(running: Running, name: str, **labels: str) -> list[float]:
    async with client(running.admin, "localhost") as operator:
        text = (await operator.get("/metrics", "Connection: close")).body.decode()
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"layout_mutation_(\w+)(?:\{(.*)\})? (\S+)", line)
        if (
            match
            and match[1] == name
            and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[2] or "")).items()
        ):
            found.append(float(match[3]))
    return found


async def weighed(running: Running) -> list[float]:
    async with asyncio.timeout(PATIENCE_S):
        while min(sizes := await metric(running, "worker_memory_bytes")) == 0:
            await asyncio.sleep(0.1)
    return sizes


MEMOS_OFF = {"memo_bytes_max": "0", "skeleton_bytes_max": "0"}


async def test_a_worker_that_grew_too_large_is_replaced_and_one_far_too_large_is_killed(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, workers="1", **MEMOS_OFF) as running:
        [size] = await weighed(running)
        assert 20e6 < size < 1e9
        dotenv.write_text(f"SIDECAR_WORKER_BYTES_MAX={int(size * 0.8)}\n")
        await asked_to_restart(running)
        async with Crowd(running.port, PAGE).browsing(2, 2) as crowd:
            await until(lambda: said(running, "worker_replaced"))
        assert crowd.failures == []
        assert await metric(running, "worker_replacements_total", reason="memory") == [1.0]
        dotenv.write_text(f"SIDECAR_WORKER_BYTES_MAX={int(size * 0.3)}\n")
        await asked_to_restart(running)
        await until(lambda: said(running, "worker_too_large"))
        await until(lambda: said(running, "worker_ended"))


BUSY = """
import signal
def busy(*_):
    while True:
        pass
signal.signal(signal.SIGVTALRM, busy)
"""


@pytest.mark.parametrize("how", [pytest.param("stopped", marks=pytest.mark.soak), "busy"])
async def test_a_worker_that_hangs_is_replaced_within_ten_seconds(tmp_path: Path, how: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(BUSY)
    async with origin(answering(html(PAGE))) as site:
        environ = environment(site.url)
        environ["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}"
        async with launched(tmp_path, environ) as running:
            await hangs(running, how)


async def hangs(running: Running, how: str) -> None:
    victim = (await running.workers())[1]["pid"]
    os.kill(victim, signal.SIGSTOP if how == "stopped" else signal.SIGVTALRM)
    began = time.monotonic()
    async with asyncio.timeout(PATIENCE_S):
        while not ((worker := (await running.workers())[1])["serves"] and worker["pid"] != victim):
            await asyncio.sleep(0.05)
    assert time.monotonic() - began < 10
    assert said(running, "worker_hung") == 1


async def test_with_few_descriptors_visitors_wait_and_all_are_served(tmp_path: Path) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await asyncio.sleep(0.05)
        await conversation.send(response(b"x", "Connection: close"))

    async def visit(port: int) -> bytes:
        async with client(port) as visitor:
            return (await visitor.get("/", "Connection: close")).body

    bound = ("/bin/sh", "-c", 'ulimit -n 120; exec "$@"', "sh")
    async with origin(script) as site, launched(tmp_path, environment(site.url, workers="1"), *bound) as running:
        bodies = await asyncio.gather(*(visit(running.port) for _ in range(150)))
        assert bodies == [b"x"] * 150
        assert await metric(running, "connections_held_back_total") != [0.0]
        assert await metric(running, "responses_total", status="502") == []
        assert (await running.workers())[0]["restarts"] == 0


async def test_it_says_that_it_is_not_ready_before_it_lets_nobody_in(tmp_path: Path) -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        sidecar(tmp_path, site.url, unready_s="1.5", workers="1") as running,
    ):
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S), client(running.admin, "localhost") as operator:
            while (await operator.get("/readyz")).status == 200:
                await asyncio.sleep(0.02)
        assert (await running.get()).body == PAGE
        await until(lambda: refuses(running.port))
        assert await asyncio.wait_for(running.process.wait(), PATIENCE_S) == 0


async def test_systemd_keeps_the_socket_and_is_told_when_it_serves(tmp_path: Path) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(tmp_path / "notify"))
    told.settimeout(PATIENCE_S)
    environ = environment("http://127.0.0.1:1", workers="1", listen="127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as given, told:
        environ |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "visitors", "NOTIFY_SOCKET": str(tmp_path / "notify")}
        command = f"export LISTEN_PID=$$; exec {shlex.quote(sys.executable)} -m sidecar 3<&{given.fileno()}"
        for turn in range(2):
            process = await asyncio.create_subprocess_exec(
                *("/bin/bash", "-c", command), env=environ, cwd=tmp_path, pass_fds=(given.fileno(),)
            )
            try:
                assert await asyncio.to_thread(told.recv, 1000) == b"READY=1"
                async with client(given.getsockname()[1]) as visitor:
                    assert (await visitor.get("/")).status == 502
                if turn == 0:
                    process.send_signal(signal.SIGHUP)
                    assert (await asyncio.to_thread(told.recv, 1000)).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                    assert await asyncio.to_thread(told.recv, 1000) == b"READY=1"
            finally:
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
            assert await asyncio.to_thread(told.recv, 1000) == b"STOPPING=1"
            assert not refuses(given.getsockname()[1])


async def test_another_address_in_the_settings_is_opened_and_the_old_one_closed(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("SIDECAR_LISTEN=127.0.0.1:0\n")
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, listen="", workers="1") as running:
        dotenv.write_text("SIDECAR_LISTEN=127.0.0.2:0\n")
        await asked_to_restart(running)
        now = re.findall(r'"listen": "([^"]*):(\d+)"', running.log.read_text())[-1]
        assert now[0] == "127.0.0.2"
        reader, writer = await asyncio.open_connection("127.0.0.2", int(now[1]))
        assert (await Client(reader, writer).get("/", "Connection: close")).body == PAGE
        writer.close()
        await until(lambda: refuses(running.port))


async def test_operators_who_ask_amid_a_restart_are_answered(tmp_path: Path) -> None:
    """One keeps its connection, as Prometheus does, one comes anew for each probe and takes a moment before it asks."""
    over, answers, failures = asyncio.Event(), [0, 0], list[tuple[int, str]]()

    async def probe(kind: int) -> None:
        while not over.is_set():
            try:
                async with client(running.admin, "localhost") as operator:
                    probing, ends = Patient(operator.reader, operator.writer, "localhost"), False
                    while not (ends or over.is_set()):
                        await asyncio.sleep(PAUSE_S)
                        answer = await probing.get("/readyz", *(["Connection: close"] if kind else []))
                        ends = answer.get(b"Connection") == b"close" or bool(kind)
                        assert answer.status == 200, answer.body
                        answers[kind] += 1
            except (OSError, AssertionError, asyncio.IncompleteReadError, TimeoutError) as error:
                failures.append((kind, repr(error)))

    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, workers="1") as running:
        probes = [asyncio.create_task(probe(kind)) for kind in (0, 1)]
        for _ in range(3):
            await asked_to_restart(running)
        over.set()
        await asyncio.wait_for(asyncio.gather(*probes), PATIENCE_S)
    assert failures == []
    assert min(answers) > 20

"""The service as a process: it waits for what is missing, and ends when it is told to."""

import asyncio
import base64
import os
import secrets
import signal
import socket
import sys
from datetime import timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest

from control_plane import app
from control_plane.schema.throwaway import PREFIX
from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.postgres import EmbeddedPostgres
from tests.control_plane.plane import Plane, running, settings_of, until
from tests.control_plane.postgres_kinds import trials
from tests.servers import execute

CLONE = Path(__file__).resolve().parents[2]


def environment(database_url: str, redis_url: str, port: int, folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CLONE),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "CONTROL_PLANE_LISTEN": f"127.0.0.1:{port}",
        "CONTROL_PLANE_DATA_DIR": str(folder),
        "CONTROL_PLANE_SIGNING_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "CONTROL_PLANE_JWT_SECRET": secrets.token_hex(32),
    }


async def start(variables: dict[str, str], folder: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "control_plane", env=variables, cwd=folder, stderr=pipe, stdout=pipe
    )


async def status(port: int, path: str) -> int:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return 0


async def test_it_waits_for_the_database_says_so_and_ends_when_told(
    server_folder: Path, redis_url: str, tmp_path: Path
) -> None:
    postgres_port, port = free_port(), free_port()
    server = EmbeddedPostgres(server_folder / "postgres", postgres_port, password="hidden-word", durable=False)
    url = f"postgresql://layout_mutation:hidden-word@127.0.0.1:{postgres_port}/fresh"
    process = await start(environment(url, redis_url, port, tmp_path / "data"), tmp_path)
    try:

        async def lives() -> bool:
            return await status(port, "/healthz") == 200

        async def is_ready() -> bool:
            return await status(port, "/readyz") == 200

        await until(lives)
        assert await status(port, "/readyz") == 503
        await asyncio.to_thread(server.start)
        await until(is_ready)
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        server.stop()
    assert process.returncode == 0
    assert b"waiting_for_database" in log
    assert b'"event": "ready"' in log
    assert b"hidden-word" not in log
    assert b"Traceback" not in log


async def test_settings_that_can_not_be_used_and_a_taken_port_are_one_line(tmp_path: Path) -> None:
    good = environment("postgresql://u:p@127.0.0.1:1/d", "redis://127.0.0.1:1", free_port(), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for changed, code, words in (
            ({"DATABASE_URL": ""}, 2, b"DATABASE_URL is not set"),
            ({"CONTROL_PLANE_JWT_SECRET": "hush"}, 2, b"CONTROL_PLANE_JWT_SECRET needs at least 32"),
            ({"CONTROL_PLANE_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"}, 3, b"Address already in use"),
        ):
            process = await start({**good, **changed}, tmp_path)
            _, said = await asyncio.wait_for(process.communicate(), 20)
            lines = [line for line in said.splitlines() if not line.startswith(b"{")]
            assert (process.returncode, len(lines)) == (code, 1), said
            assert words in lines[0]
            assert b"hush" not in said


async def test_a_schema_that_needs_a_person_is_said_at_readyz(
    database_url: str, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    import asyncpg

    settings = settings_of(database_url, redis_url, redis_environment, tmp_path)
    async with running(settings):
        pass
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (999, 'x', 'x', 0)"
    )
    await connection.close()
    async with running(settings, wait=False) as plane:

        async def says_so() -> bool:
            health = (await plane.ask("GET", "health")).json()
            return "newer than this program" in health["database"]["detail"]

        await until(says_so)
        ready = await plane.ask("GET", "/readyz", role=None)
        assert (ready.status, ready.json()["degraded"]) == (200, True), "the mirror answers"
        assert (await plane.ask("GET", "mutations")).headers["x-layout-mutation-provisional"] == "1"
    async with running(msgspec.structs.replace(settings, data_dir=str(tmp_path / "new")), wait=False) as plane:
        await until(says_so)
        assert (await plane.ask("GET", "/readyz", role=None)).status == 503
        answer = await plane.ask("GET", "mutations")
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")


async def test_a_bad_database_address_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="DATABASE_URL"):
        app.create(settings_of("mysql://h/d", "redis://127.0.0.1:1", "test", tmp_path))


async def test_what_does_not_hear_that_it_is_to_end_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a client's own patience may end at the moment at which its task is cancelled."""
    monkeypatch.setattr(app, "CANCEL_AGAIN_S", 0.01)
    heard = list[str]()

    async def deaf() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append("once more")
                if len(heard) > 1:
                    raise

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await app._end([task])
    assert task.cancelled()
    assert heard == ["once more"] * 2


async def test_what_a_killed_trial_left_is_dropped_regularly(plane: Plane, database_url: str) -> None:
    left = f"{PREFIX}held_00000001_{secrets.token_hex(4)}"
    await execute(database_url, f"CREATE DATABASE {left} TEMPLATE template0")
    every, sweep = plane.services.schedules._works["sweep_trials"]
    await sweep()
    assert (left in await trials(database_url), every) == (False, timedelta(days=1))

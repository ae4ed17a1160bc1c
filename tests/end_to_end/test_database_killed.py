"""PostgreSQL is killed with SIGKILL while a client writes: every acknowledged write is there afterwards, and pages of the API too."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp

from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.postgres import EmbeddedPostgres
from tests.control_plane.plane import Plane, headline, running, settings_of, until

BACK_S_MAX = 5.0


async def test_no_acknowledged_write_is_lost_when_the_server_is_killed(
    server_folder: Path, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    server = EmbeddedPostgres(server_folder / "postgres", free_port(), password="word", durable=False)
    await asyncio.to_thread(server.start)
    settings = settings_of(server.url_of("fresh"), redis_url, redis_environment, tmp_path / "data")
    acknowledged: set[str] = set()
    unread = 0
    try:
        async with running(settings) as plane:
            writing, stop = asyncio.Event(), asyncio.Event()

            async def write() -> None:
                nonlocal unread
                number = 0
                while not stop.is_set():
                    number += 1
                    mutation = headline(f"text {number}", id=f"m{number}", isActive=False)
                    for _ in range(10):  # as a client does: again, with the same key
                        answer = await plane.ask(
                            "POST", "mutations", mutation, headers={"Idempotency-Key": f"key-{number}"}
                        )
                        assert answer.status in (201, 503), answer.body
                        if answer.status == 201:
                            acknowledged.add(mutation["id"])
                            break
                    unread += (await plane.ask("GET", "mutations?limit=1")).status != 200
                    if number == 10:
                        writing.set()

            client = asyncio.create_task(write())
            await asyncio.wait_for(writing.wait(), 30)
            child = server.child.pid
            assert child is not None
            os.kill(child, signal.SIGKILL)
            await until(lambda: answers(plane, "mirror"))
            meanwhile = len(acknowledged) + 10
            await until(lambda: have(acknowledged, meanwhile, client))
            await asyncio.to_thread(server.stop)  # what is left of it
            await asyncio.to_thread(server.start)
            started = time.monotonic()
            await until(lambda: answers(plane, "primary"))
            took = time.monotonic() - started
            assert took < BACK_S_MAX, took
            enough = len(acknowledged) + 5
            await until(lambda: have(acknowledged, enough, client))
            stop.set()
            await client
            found = {one for one in acknowledged if (await plane.ask("GET", f"mutations/{one}")).status == 200}
            assert found == acknowledged
            assert unread == 0
            assert (await plane.ask("GET", "conflicts")).json()["items"] == []
            health: Any = (await plane.ask("GET", "health")).json()
            assert health["mirror"]["outbox"] == 0
    finally:
        server.stop()


async def answers(plane: Plane, state: str) -> bool:
    try:
        return bool((await plane.ask("GET", "health")).json()["mirror"]["state"] == state)
    except aiohttp.ClientError:
        return False


async def have(acknowledged: set[str], count: int, client: "asyncio.Task[None]") -> bool:
    if client.done():
        client.result()
    return len(acknowledged) >= count

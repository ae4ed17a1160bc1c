"""What a worker is made of, and how it stops."""

import asyncio
import gc
import socket
import time
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from service.keys import Keys
from sidecar.app import outbox_of, rewriting_of, running, tables_of
from sidecar.rewriting.quarantine import MutationQuarantine
from sidecar.settings import SidecarSettings
from tests.sidecar.waiting import until
from tests.sidecar.wire import Conversation, answering, client, origin, response, serving


async def test_parts_are_made_as_the_settings_want_them(tmp_path: Path) -> None:
    settings = SidecarSettings(
        upstream="http://127.0.0.1:1", redis_url="", snapshot_dir=str(tmp_path), rewrite_inline=True
    )
    tables, rewriting = tables_of(settings, "here", MutationQuarantine(time.monotonic)), rewriting_of(settings)
    await tables.start()
    await rewriting.start()
    assert (tables.current, tables.status()["redis"]) == (None, "none")
    assert rewriting.status()["isolation"] == "inline"
    await rewriting.close()
    await tables.close()


async def test_the_fleet_hears_that_everything_is_switched_off(redis_url: str, redis_environment: str) -> None:
    settings = SidecarSettings(
        upstream="http://127.0.0.1:1",
        redis_url=redis_url,
        layout_mutation_environment=redis_environment,
        rewrite_inline=True,
        table_poll_s=0.05,
        drain_s=0.0,
    )
    fleet = Keys(redis_environment).fleet
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with Redis.from_url(redis_url) as redis, running(settings, listening, 0, switched_off=True):
            async with asyncio.timeout(30):
                while [msgspec.json.decode(one)["switchedOff"] for one in await redis.hvals(fleet)] != [["signal"]]:
                    await asyncio.sleep(0.01)
    gc.unfreeze()


@pytest.mark.parametrize(("folder", "room", "spools"), [(True, 2**20, True), (True, 0, False), (False, 2**20, False)])
async def test_events_wait_on_disk_where_there_is_a_folder_and_room(
    tmp_path: Path, folder: bool, room: int, spools: bool
) -> None:
    settings = SidecarSettings(
        upstream="http://127.0.0.1:1",
        redis_url="redis://127.0.0.1:1/0",
        snapshot_dir=str(tmp_path) if folder else "",
        events_spool_bytes_max=room,
    )
    outbox = outbox_of(settings, "here")
    outbox.start()
    await until(lambda: outbox.status()["redis"] == "none")
    outbox.put(b"{}")
    await outbox.close()
    assert (tmp_path / "events").exists() == spools
    assert outbox.status()["dropped"]["closing"] == (0 if spools else 1)  # type: ignore[index]


async def test_stopping_lets_a_request_in_progress_finish() -> None:
    release = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await release.wait()
        await conversation.send(response(b"done"))

    async with origin(script) as site, serving(site.url, drain_s=5) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(30):
            while not site.heads:
                await asyncio.sleep(0.01)
        closing = asyncio.create_task(sidecar.application.close())
        await asyncio.sleep(0.05)
        release.set()
        assert (await visitor.answer()).body == b"done"
        await asyncio.wait_for(closing, 3)


async def test_stopping_does_not_wait_for_ever() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.reader.read()

    async with origin(script) as site, serving(site.url, drain_s=0.1) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(30):
            while not site.heads:
                await asyncio.sleep(0.01)
        await asyncio.wait_for(sidecar.application.close(), 5)


async def test_idle_connections_end_at_once() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, drain_s=30) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/")
        await asyncio.wait_for(sidecar.application.close(), 3)
        assert await visitor.rest() == b""

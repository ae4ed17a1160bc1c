"""What a worker is made of, and how it stops."""

import asyncio
import time
from pathlib import Path

from sidecar.app import rewriting_of, tables_of
from sidecar.quarantine import MutationQuarantine
from sidecar.settings import SidecarSettings
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


async def test_stopping_lets_a_request_in_progress_finish() -> None:
    release = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await release.wait()
        await conversation.send(response(b"done"))

    async with origin(script) as site, serving(site.url, drain_s=5) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(5):
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
        async with asyncio.timeout(5):
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

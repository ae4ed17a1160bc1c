"""Upgrades: WebSocket passes through both ways."""

import asyncio

from tests.sidecar.wire import Conversation, answering, client, origin, response, serving, table

HANDSHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: y\r\n\r\n"
)


async def test_bytes_go_both_ways_untouched() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(SWITCHING + b"\x81\x05hello")
        while data := await conversation.reader.read(65536):
            await conversation.send(data[::-1])

    async with origin(script) as site, serving(site.url, tables=table()) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(HANDSHAKE)
            answer = await visitor.answer()
            assert (answer.status, answer.get(b"Sec-WebSocket-Accept")) == (101, b"y")
            assert (answer.get(b"Upgrade"), answer.get(b"Connection")) == (b"websocket", b"Upgrade")
            assert await visitor.exactly(7) == b"\x81\x05hello"
            await visitor.send(b"\x00not a frame\xff")
            assert await visitor.exactly(13) == b"\x00not a frame\xff"[::-1]
        await asyncio.wait_for(site.closed.wait(), 5)
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in site.heads[0]


async def test_the_origin_ends_it() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(SWITCHING + b"bye")

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(HANDSHAKE)
        await visitor.head()
        assert await visitor.rest() == b"bye"


async def test_a_flood_is_held_back_by_a_slow_reader() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(SWITCHING)
        for _ in range(200):
            await conversation.send(bytes(64 * 1024))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(HANDSHAKE)
        await visitor.head()
        assert len(await visitor.exactly(200 * 64 * 1024)) == 200 * 64 * 1024


async def test_an_origin_that_declines_answers_as_usual() -> None:
    async with (
        origin(answering(response(b"no sockets here", status="426 Upgrade Required"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(HANDSHAKE)
        assert (await visitor.answer()).body == b"no sockets here"
        assert (await visitor.get("/")).status == 426


async def test_other_protocols_are_not_offered_to_the_origin() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        assert (
            await visitor.get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")
        ).status == 200
    assert b"pgrade" not in site.heads[0]
    assert b"HTTP2-Settings" not in site.heads[0]

"""Bodies longer than the settings allow: 413, before the origin is asked where the length is said."""

import asyncio

import pytest

from sidecar.visitor.bodies import TOO_LONG
from tests.sidecar.wire import Conversation, answering, client, origin, response, serving

CHUNK = b"1000\r\n" + bytes(4096) + b"\r\n"


async def test_a_length_that_is_too_long_never_reaches_the_origin() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url, body_bytes_max=1000) as sidecar:
        async with client(sidecar.port) as visitor:
            assert (await visitor.get("/", method="POST", body=bytes(1000))).status == 200
        async with client(sidecar.port) as visitor:
            await visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
            answer = await visitor.answer()
            assert (answer.status, answer.body.strip().decode()) == (413, TOO_LONG)
            assert answer.get(b"Connection") == b"close"
    assert len(site.heads) == 1


@pytest.mark.parametrize("chunks", [2, 3])
async def test_of_chunks_it_shows_when_the_limit_is_passed(chunks: int) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.reader.readuntil(b"0\r\n\r\n")
        await conversation.send(response(b"taken"))

    async with (
        origin(script) as site,
        serving(site.url, body_bytes_max=8192) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await visitor.send(CHUNK * chunks)
        if chunks == 2:
            await visitor.send(b"0\r\n\r\n")
        answer = await visitor.answer()
        assert answer.status == (200 if chunks == 2 else 413)
        if chunks == 3:
            assert answer.get(b"Connection") == b"close"
            await asyncio.wait_for(site.closed.wait(), 5)  # the origin must not take what came for the whole


async def test_nothing_is_bounded_unless_somebody_says_so() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.reader.readexactly(3_000_000)
        await conversation.send(response(b"taken"))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        assert (await visitor.get("/", method="POST", body=bytes(3_000_000))).body == b"taken"

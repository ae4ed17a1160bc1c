"""What an origin sends on one connection, however it is cut into reads, and what is said of what can't be read."""

import asyncio
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.http import HttpProcessingError

from sidecar.origin.protocol import HeadLimits, HeadTooLargeError, OriginProtocol
from tests.sidecar.wire import Conversation, answering, client, html, origin, response, serving

OK = b"HTTP/1.1 200 OK\r\n"


class Wire(asyncio.Transport):
    """The end of a connection that remembers whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


def expecting(limits: HeadLimits | None = None, **options: Any) -> tuple[OriginProtocol, Wire]:
    """A protocol that a request was just sent on."""
    protocol, wire = OriginProtocol(asyncio.get_running_loop(), limits or HeadLimits(256, 65536)), Wire()
    protocol.connection_made(wire)
    protocol.set_response_params(read_until_eof=True, auto_decompress=False, max_headers=256, **options)
    return protocol, wire


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The data in two pieces, at every place, and in single bytes."""
    yield [data]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
    yield [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize(
    ("sent", "statuses", "body", "surplus"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", [200], b"abc", False),
        (OK + b"Content-Length: 3\r\n\r\nabcd", [200], b"abc", True),
        (OK + b"Content-Length: 3\r\n\r\nabc\r\n\r\n", [200], b"abc", False),
        (OK + b"Content-Length: 3\r\nX: y\r\ncontent-LENGTH: 3\r\n\r\nabc", [200], b"abc", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", [200], b"abc", False),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nH", [200], b"abc", True),
        (OK + b"Content-Length: 3\r\n\r\nabc" + OK + b"X: \0\r\n", [200], b"abc", True),
        (b"HTTP/1.1 204 No\r\n\r\n", [204], b"", False),
        (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", [304], b"", False),
        (b"HTTP/1.1 304 No\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", [304], b"", True),
        (
            b"HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na",
            [103, 102, 200],
            b"a",
            False,
        ),
        (b"\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", [200], b"a", False),
        (b"HTTP/1.1 200 OK\nContent-Length: 1\n\na", [200], b"a", False),
    ],
)
async def test_a_response_is_the_same_however_it_is_cut(
    sent: bytes, statuses: list[int], body: bytes, surplus: bool
) -> None:
    for pieces in cuts(sent):
        protocol, wire = expecting()
        for piece in pieces:
            protocol.data_received(piece)
        got = [await protocol.read() for _ in statuses]
        assert [message.code for message, _ in got] == statuses
        content = got[-1][1]
        assert (content.is_eof(), content.read_nowait(-1)) == (True, body), pieces
        assert (wire.closed, protocol.should_close, len(protocol)) == (surplus, surplus, 0), pieces


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", "several Content-Lengths that differ"),
        (b"Content-Length: 3, 4\r\n", "several Content-Lengths that differ"),
        (
            b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding can't be present with Content-Length",
        ),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Content-Length can't be present with"),
        (b"X: y\r\n" * 257, "more than 256 header fields (SIDECAR_UPSTREAM_FIELDS_MAX)"),
        ((b"X: " + b"y" * 60_000 + b"\r\n") * 9, "a head of more than 524288 bytes (SIDECAR_UPSTREAM_FIELD_BYTES_MAX)"),
        (b"X: " + b"y" * 70_000, "a header field of more than 65536 bytes (SIDECAR_UPSTREAM_FIELD_BYTES_MAX)"),
    ],
)
async def test_what_is_wrong_with_a_head_is_said(head: bytes, said: str) -> None:
    protocol, wire = expecting()
    protocol.data_received(OK + head + b"\r\n")
    with pytest.raises(HttpProcessingError) as caught:
        await protocol.read()
    assert said in caught.value.message
    assert isinstance(caught.value, HeadTooLargeError) is ("SIDECAR_" in said)
    assert wire.closed


async def test_a_head_without_an_end_is_refused_as_soon_as_it_is_too_large() -> None:
    protocol, wire = expecting(HeadLimits(16, 1024))
    protocol.data_received(OK + b"X: " + b"y" * 900)
    assert not wire.closed
    protocol.data_received(b"y" * 200)
    assert wire.closed


async def test_folded_lines_are_part_of_their_field() -> None:
    protocol, _ = expecting(HeadLimits(16, 1024))
    protocol.data_received(OK + b"X: a\r\n" + b" b\r\n" * 30 + b"Content-Length: 0\r\n\r\n")
    message, _ = await protocol.read()
    assert message.headers["X"].split() == ["a", *["b"] * 30]


async def test_what_a_limit_allows_the_visitor_gets() -> None:
    many = response(b"x", *(f"X-{number}: {'y' * 1000}" for number in range(400)))
    async with (
        origin(answering(many)) as site,
        serving(site.url, upstream_fields_max=500) as wide,
        serving(site.url) as narrow,
        client(wide.port) as visitor,
        client(narrow.port) as other,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += await asyncio.wait_for(visitor.reader.read(65536), 5)
        assert head.count(b"\r\nX-") == 401  # and X-Layout-Mutation
        assert (await other.get("/")).status == 502


async def test_a_body_that_is_broken_ends_for_who_reads_it() -> None:
    protocol, wire = expecting()
    protocol.data_received(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
    _, content = await protocol.read()
    assert wire.closed
    with pytest.raises(Exception, match="Invalid character in chunk size"):
        await content.readany()


async def test_no_more_connections_than_the_limit() -> None:
    """HTTP.md: the number of connections to the origin is bounded; who comes later waits for one."""
    waiting, release = asyncio.Semaphore(0), asyncio.Event()

    async def script(conversation: Conversation) -> None:
        while True:
            await conversation.head()
            waiting.release()
            await release.wait()
            await conversation.send(html(b"x"))

    async with (
        origin(script) as site,
        serving(site.url, upstream_connections=2) as sidecar,
        client(sidecar.port) as first,
        client(sidecar.port) as second,
        client(sidecar.port) as third,
    ):
        answers = [asyncio.create_task(visitor.get("/")) for visitor in (first, second, third)]
        for _ in range(2):
            await asyncio.wait_for(waiting.acquire(), 5)
        assert len(site.heads) == 2
        release.set()
        assert [(await answer).status for answer in answers] == [200, 200, 200]


async def test_what_nobody_asked_for_is_nobodys_answer() -> None:
    """A second response may come while the loop does something else, and before the next request has the connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    def answers(count: int) -> list[socket.socket]:
        """Answer on new connections, one after the other."""
        taken = []
        for number in range(count):
            there, _ = listening.accept()
            there.recv(1024)
            there.sendall(response(b"%d" % number))
            taken.append(there)
        return taken

    async with serving(f"http://127.0.0.1:{listening.getsockname()[1]}") as sidecar:
        site = sidecar.application.sites.of("a")
        assert site is not None
        answering_one = asyncio.create_task(asyncio.to_thread(answers, 1))
        first = await site.send("GET", head, None, lambda _: None)
        assert await first.content.read() == b"0"
        (there,) = await answering_one
        there.sendall(response(b"evil"))
        answering_two = asyncio.get_running_loop().run_in_executor(None, answers, 1)
        second = await asyncio.wait_for(site.send("GET", head, None, lambda _: None), 5)
        assert await second.content.read() == b"0"
        for each in (there, *await answering_two):
            each.close()
    listening.close()


async def test_an_end_that_the_event_loop_has_not_come_to_is_seen() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    limits = HeadLimits(fields=16, field_bytes=1024)
    port = listening.getsockname()[1]
    transport, protocol = await loop.create_connection(lambda: OriginProtocol(loop, limits), "127.0.0.1", port)
    there, _ = await asyncio.to_thread(listening.accept)
    assert not protocol.may_have_ended(60.0), "a new connection is good for anything"
    protocol.rest(None)
    assert protocol.may_have_ended(0.0)
    assert not protocol.may_have_ended(60.0)
    there.close()
    # The loop stands still while the end arrives, as it does while a page is rewritten.
    assert select.select([transport.get_extra_info("socket").fileno()], [], [], 5)[0]
    assert protocol.is_connected()
    assert protocol.may_have_ended(60.0)
    transport.close()
    listening.close()

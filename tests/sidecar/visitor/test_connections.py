"""Requests that are not HTTP, too large or too slow: a plain answer, counted, that tells nothing. PROXY headers in front."""

import asyncio
import contextlib
import socket
import struct

import pytest
from aiohttp import web

from sidecar.visitor import connections
from sidecar.visitor.connections import IDLE_S_MIN, Refusal
from sidecar.visitor.proxy_protocol import SIGNATURE
from tests.sidecar.waiting import until
from tests.sidecar.wire import Client, Conversation, Sidecar, answering, client, origin, response, serving


async def test_a_bad_request_gets_a_plain_answer_and_is_counted() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost : <script>alert(1)</script>\r\n\r\n")
        answer = await visitor.answer()
        families = {family.name: family for family in sidecar.application.telemetry.families()}
    assert (answer.status, answer.body) == (400, b"The request is not valid HTTP.\n")
    assert answer.get(b"Server") is None
    assert families["layout_mutation_bad_requests"].samples[0].value == 1


async def test_a_handler_that_fails_gets_a_plain_answer_too() -> None:
    async def broken(_request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("broken on purpose")

    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar:
        sidecar.application.server.request_handler = broken
        async with client(sidecar.port) as visitor:
            answer = await visitor.get("/")
    assert (answer.status, answer.body) == (500, b"Something went wrong here.\n")


def test_a_refusal_ends_the_connection() -> None:
    assert Refusal(400).keep_alive is False


def counted(sidecar: Sidecar, name: str) -> dict[str, float]:
    """A metric's values by its one label."""
    families = {family.name: family for family in sidecar.application.telemetry.families()}
    return {next(iter(sample.labels.values())): sample.value for sample in families[name].samples}


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
WHOLE = HEAD + b"\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"x" * 16_385 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (HEAD + b"X: " + b"y" * 65_600 + b"\r\n\r\n", 431),
        (HEAD + b"X: y\r\n" * 300 + b"\r\n", 431),
        (HEAD + (b"X: " + b"y" * 40_000 + b"\r\n") * 5 + b"\r\n", 431),
    ],
    ids=["line", "field", "fields", "head"],
)
async def test_a_head_that_is_too_large_is_refused_by_its_name(head: bytes, status: int) -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(head)
        answer = await visitor.answer()
        assert (answer.status, answer.get(b"Connection")) == (status, b"close")
        assert await visitor.rest() == b""
        assert counted(sidecar, "layout_mutation_requests_refused") == {str(status): 1}
    assert site.heads == []


async def test_a_head_within_its_bounds_passes_in_one_piece_and_in_many() -> None:
    head = HEAD + (b"X: " + b"y" * 2_000 + b"\r\n") * 8 + b"\r\n"
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, head_bytes_max=20_000, head_fields_max=20) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for pieces in (1, 7):
            size = len(head) // pieces + 1
            for start in range(0, len(head), size):
                await visitor.send(head[start : start + size])
                await asyncio.sleep(0)
            assert (await visitor.answer()).status == 200
        await visitor.send(head[:-2] + (b"X: " + b"y" * 2_000 + b"\r\n") * 8)
        assert (await visitor.answer()).status == 431


async def drip(visitor: Client, data: bytes, every_s: float) -> None:
    for place in range(len(data)):
        await visitor.send(data[place : place + 1])
        await asyncio.sleep(every_s)


@pytest.mark.parametrize("before", [0, 2], ids=["first", "later"])
async def test_a_head_that_drips_has_its_time_and_no_longer(before: int) -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, head_s=0.3) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for _ in range(before):
            assert (await visitor.get("/")).status == 200
        dripping = asyncio.create_task(drip(visitor, b"GET / HTTP/1.1\r\nX-Slow: " + b"y" * 500, 0.02))
        answer = await visitor.answer()
        assert (answer.status, answer.get(b"Connection")) == (408, b"close")
        assert await visitor.rest() == b""
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert counted(sidecar, "layout_mutation_requests_refused") == {"408": 1}
    assert len(site.heads) == before


async def test_a_head_in_time_is_not_hurried_afterwards() -> None:
    release = asyncio.Event()

    async def slow(conversation: object) -> None:
        await conversation.head()  # type: ignore[attr-defined]
        await release.wait()
        await conversation.send(response(b"late"))  # type: ignore[attr-defined]

    async with origin(slow) as site, serving(site.url, head_s=0.1) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(WHOLE[:10])
        await asyncio.sleep(0.02)
        await visitor.send(WHOLE[10:])
        await asyncio.sleep(0.3)
        release.set()
        assert (await visitor.answer()).body == b"late"


def v2(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses)) + addresses


FOUR = bytes([198, 51, 100, 7, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)
SIX = bytes.fromhex("20010db8000000000000000000000007") * 2 + struct.pack("!HH", 4711, 443)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n", b"198.51.100.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", b"2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", b"127.0.0.1"),
        (v2(0x21, 0x11, FOUR), b"198.51.100.7"),
        (v2(0x21, 0x11, FOUR + b"\x04\x00\x05hello"), b"198.51.100.7"),
        (v2(0x21, 0x21, SIX), b"2001:db8::7"),
        (v2(0x20, 0x11, FOUR), b"127.0.0.1"),
        (v2(0x20, 0x00, b""), b"127.0.0.1"),
    ],
    ids=["v1-4", "v1-6", "v1-unknown", "v2-4", "v2-tlv", "v2-6", "v2-local", "v2-local-bare"],
)
@pytest.mark.parametrize("piecewise", [False, True], ids=["whole", "bytewise"])
async def test_who_a_balancer_announces_is_who_asks(header: bytes, address: bytes, piecewise: bool) -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, proxy_protocol=True) as sidecar,
        client(sidecar.port) as visitor,
    ):
        if piecewise:
            await drip(visitor, header, 0)
            await visitor.send(WHOLE)
        else:
            await visitor.send(header + WHOLE)
        assert (await visitor.answer()).status == 200
        assert (await visitor.get("/")).status == 200
    assert [b"X-Forwarded-For: " + address + b"\r\n" in head for head in site.heads] == [True, True]


@pytest.mark.parametrize(
    "beginning",
    [
        WHOLE,
        b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 65536\r\n" + WHOLE,
        b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n" + WHOLE,
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n" + WHOLE,
        v2(0x31, 0x11, FOUR) + WHOLE,
        v2(0x22, 0x11, FOUR) + WHOLE,
        v2(0x21, 0x12, FOUR) + WHOLE,
        v2(0x21, 0x11, FOUR[:8]) + WHOLE,
        v2(0x21, 0x11, bytes(20_000)),
    ],
    ids=["none", "port", "family", "endless", "version", "command", "datagram", "short", "long"],
)
async def test_a_connection_without_a_valid_header_is_closed(beginning: bytes) -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url, proxy_protocol=True) as sidecar:
        async with client(sidecar.port) as visitor:
            await visitor.send(beginning)
            with contextlib.suppress(ConnectionResetError):
                assert await visitor.rest() == b""
        assert counted(sidecar, "layout_mutation_connections_refused") == {"broken": 1}
    assert site.heads == []


async def test_a_header_that_does_not_come_is_not_waited_for() -> None:
    async with (
        serving("http://127.0.0.1:1", proxy_protocol=True, head_s=0.2) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"PROXY TCP4 198")
        with contextlib.suppress(ConnectionResetError):
            assert await visitor.rest() == b""
        assert counted(sidecar, "layout_mutation_connections_refused") == {"late": 1}


async def test_where_it_is_off_a_header_is_no_http() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n" + WHOLE)
        assert (await visitor.answer()).status == 400
    assert site.heads == []


async def test_rules_see_whom_the_balancer_announced_and_a_trusted_proxy_goes_before() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url, proxy_protocol=True, trust_forwarded=True) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(v2(0x21, 0x11, FOUR) + HEAD + b"X-Forwarded-For: 203.0.113.9\r\n\r\n")
        assert (await visitor.answer()).status == 200
    assert b"X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n" in site.heads[0]


async def test_an_end_leaves_time_for_what_is_on_its_way_and_announces_itself() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as used,
        client(sidecar.port) as unused,
        client(sidecar.port) as idle,
    ):
        assert (await used.get("/")).get(b"Connection") is None
        assert (await idle.get("/")).status == 200
        closing = asyncio.create_task(sidecar.application.close())
        await asyncio.sleep(0)
        for late in (used, unused):
            answer = await late.get("/")
            assert (answer.status, answer.get(b"Connection")) == (200, b"close")
            assert await late.rest() == b""
        assert await idle.rest() == b""
        await asyncio.wait_for(closing, 5)


async def test_who_was_taken_just_before_the_end_is_served() -> None:
    """Not yet a connection, and nobody else is here: the end must not come first."""
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            arrivals = sidecar.application.arrivals(listening.dup(), 1024)
            async with client(listening.getsockname()[1]) as visitor:
                arrivals._listening.setblocking(False)
                arrivals._take()
                arrivals.close()
                assert (arrivals.here, sidecar.application.server.serves) == (1, False)
                closing = asyncio.create_task(sidecar.application.close())
                answer = await visitor.get("/")
                assert (answer.status, answer.get(b"Connection")) == (200, b"close")
                await asyncio.wait_for(closing, 5)


@pytest.mark.parametrize(
    ("fields", "body", "closes"),
    [(b"", b"", False), (b"", WHOLE, True), (b"Content-Length: 2\r\n", b"hi", True)],
    ids=["alone", "followed", "with a body"],
)
async def test_who_asks_for_another_protocol_in_vain_loses_no_request(fields: bytes, body: bytes, closes: bool) -> None:
    """`Upgrade: h2c` comes from HTTP libraries. What follows it in one read is lost to the parser: so the connection ends with
    the response, and who sent more sends it again (RFC 9112 9.3.2)."""
    asking = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + fields + b"\r\n"

    async def script(conversation: Conversation) -> None:
        while True:
            if b"Content-Length: 2" in await conversation.head():
                await conversation.reader.readexactly(2)
            await conversation.send(response(b"x"))

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(asking + body)
        assert ((await visitor.answer()).get(b"Connection") == b"close") is closes
        if closes:
            assert await visitor.rest() == b""
        else:
            assert (await visitor.get("/")).status == 200


async def test_who_has_been_idle_longest_makes_room_and_nobody_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S_MIN", 1e-9)
    release = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        head = await conversation.head()
        if b" /slow " in head:
            await release.wait()
        await conversation.send(response(b"x", "Connection: close"))

    async with (
        origin(script) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as old,
        client(sidecar.port) as new,
        client(sidecar.port) as busy,
        client(sidecar.port) as asking,
    ):
        server = sidecar.application.server
        for visitor in (old, new):
            await visitor.get("/")
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: len(site.heads) == 3)
        await asking.get("/")
        await asking.send(b"GET /asking HT")
        await until(lambda: sum(one._head_timer is not None for one in server.connections) == 1)  # type: ignore[attr-defined]
        assert server.make_room(1) == 1
        assert await old.rest() == b""
        assert server.make_room(5) == 1
        assert await new.rest() == b""
        await asking.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert (await asking.answer()).status == 200
        release.set()
        assert (await busy.answer()).status == 200


async def test_who_has_just_come_is_not_idle() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.get("/")
        assert IDLE_S_MIN == 1.0
        [connection] = sidecar.application.server.connections
        connection._next_keepalive_close_time += 60  # however slow this machine is
        assert sidecar.application.server.make_room(1) == 0

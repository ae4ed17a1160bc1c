"""HTTP.md, pass-through: what the origin sends is what the visitor gets, byte for byte and header for header."""

import asyncio
import socket

import pytest

from sidecar.visitor.relay import CLOSE, KEEP
from tests.sidecar.wire import Conversation, answering, client, headline, html, origin, response, serving, table

PAGE = b"<!doctype html><html><body><h1>Old</h1></body></html>"


async def test_what_aiohttp_gets_back_writes_nothing() -> None:
    assert (KEEP.keep_alive, CLOSE.keep_alive) == (True, False)
    await KEEP.write_eof()


@pytest.mark.parametrize("mutations", [None, []])
async def test_a_page_that_no_rule_looks_at_leaves_as_it_came(mutations: list[object] | None) -> None:
    head = (
        b"HTTP/1.1 200 All Right\r\nServer: odd/1\r\nDATE: yesterday\r\ncontent-TYPE: text/html\r\n"
        b'Set-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nX-Latin: caf\xe9\r\nX-Empty:\r\nETag: "v1"\r\n'
        b"Cache-Control: public, max-age=60\r\nContent-Length: %d\r\n" % len(PAGE)
    )
    async with (
        origin(answering(head + b"\r\n" + PAGE)) as site,
        serving(site.url, tables=None if mutations is None else table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    reason = b"no_table" if mutations is None else b"no_rules"
    expected = head.replace(b"X-Empty:\r\n", b"X-Empty: \r\n")
    assert answer.raw == expected + b"X-Layout-Mutation: passed; reason=" + reason + b"\r\n\r\n"
    assert answer.body == PAGE


@pytest.mark.parametrize(
    "target",
    ["/%7Euser/a%2fb", "/a?", "/a?b=%20+&b", "//double//slash", "/a/../b/./c", "/;p=1,2", "/a?x=[1]|{2}"],
)
async def test_path_and_query_go_on_as_they_came(target: str) -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get(target)
    assert site.heads[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode("latin-1")


async def test_request_fields_keep_spelling_order_and_bytes() -> None:
    async with (
        origin(answering(response(b"x"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get(
            "/", "Host: Shop.Example:81", "x-odd: caf\xe9", "COOKIE: a=1", "Cookie: b", "Connection: x-hop", "X-Hop: 1"
        )
    assert site.heads[0].split(b"\r\n")[1:4] == [b"Host: Shop.Example:81", b"x-odd: caf\xe9", b"COOKIE: a=1"]
    assert b"Cookie: b\r\n" in site.heads[0]
    assert not any(name in site.heads[0] for name in (b"X-Hop", b"x-hop", b"Connection"))
    assert b"User-Agent" not in site.heads[0]


async def test_nothing_is_added_where_there_was_no_content_type() -> None:
    async with (
        origin(answering(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi")) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    own = b"X-Layout-Mutation: passed; reason=content_type\r\n"
    assert answer.raw == b"HTTP/1.1 200 \r\nContent-Length: 2\r\n" + own + b"\r\n"


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "302 Found", "203 Other", "299 Own"])
async def test_status_reason_and_body_of_every_outcome_stay(status: str) -> None:
    async with (
        origin(answering(response(b"body", "Location: /x", status=status))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    assert answer.line == f"HTTP/1.1 {status}".encode()
    assert (answer.body, answer.get(b"Location")) == (b"body", b"/x")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_responses_without_a_body_and_the_connection_goes_on(status: str) -> None:
    async with (
        origin(answering(f'HTTP/1.1 {status}\r\nETag: "a"\r\n\r\n'.encode(), html(PAGE))) as site,
        serving(site.url, tables=table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
        assert answer.line == f"HTTP/1.1 {status}".encode()
        assert [name for name, _ in answer.fields] == [b"ETag", b"X-Layout-Mutation"]
        assert (await visitor.get("/")).body == PAGE


async def test_head_keeps_the_length_of_its_get() -> None:
    async with (
        origin(answering(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 53\r\n\r\n")) as site,
        serving(site.url, tables=table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/", method="HEAD")
        assert answer.get(b"Content-Length") == b"53"
        assert (await visitor.get("/", method="HEAD")).status == 200
    assert site.heads[0].startswith(b"HEAD / ")


async def test_range_requests_pass() -> None:
    part = response(b"lo", "Content-Type: text/html", "Content-Range: bytes 3-4/5", status="206 Partial Content")
    async with (
        origin(answering(part)) as site,
        serving(site.url, tables=table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/", "Range: bytes=3-4")
    assert (answer.status, answer.body, answer.get(b"Content-Range")) == (206, b"lo", b"bytes 3-4/5")
    assert b"Range: bytes=3-4\r\n" in site.heads[0]


async def test_chunked_stays_chunked_and_its_trailers_are_dropped() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with (
        origin(answering(chunked)) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
        assert answer.get(b"Trailer") is None
        assert answer.body == b"abcde"
        assert (await visitor.get("/")).body == b"abcde"


async def test_an_old_client_gets_no_chunks_and_its_connection_ends() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with (
        origin(answering(chunked)) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.0\r\n\r\n")
        head = await visitor.head()
        assert b"Connection: close" in head
        assert b"Transfer-Encoding" not in head
        assert await visitor.rest() == b"abc"


async def test_a_body_that_ends_with_its_connection() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.0 200 OK\r\n\r\nall of it")

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        assert (await visitor.get("/")).body == b"all of it"
        assert (await visitor.get("/")).body == b"all of it"


async def test_server_sent_events_stream_unbuffered() -> None:
    seen = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await conversation.send(b"9\r\ndata: 1\n\n\r\n")
        await seen.wait()
        await conversation.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        await visitor.head()
        assert await visitor.chunk() == b"data: 1\n\n"
        seen.set()
        assert await visitor.chunk() == b"data: 2\n\n"
        assert await visitor.chunk() == b""


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
async def test_an_origin_that_lists_its_framing_among_its_hops_gets_nobody_a_body_without_end(name: str) -> None:
    """What follows on the connection would be the rest of it."""
    sized = response(b"first", f"Connection: {name}")
    async with origin(answering(sized)) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for _ in range(2):
            answer = await visitor.get("/")
            assert (answer.all(b"Content-Length"), answer.body) == ([b"5"], b"first")


async def test_what_any_line_of_connection_names_stays_here() -> None:
    """RFC 9110 5.3: several lines are one list."""
    sent = response(b"x", "Connection: keep-alive, x-one", "X-One: 1", "Connection: X-Two", "x-two: 2", "X-Three: 3")
    async with origin(answering(sent)) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        answer = await visitor.get("/")
    names = {name.lower() for name, _ in answer.fields}
    assert names == {b"x-three", b"content-length", b"x-layout-mutation"}


@pytest.mark.parametrize("name", ["Content-Length", "Cache-Control", "Set-Cookie"])
async def test_a_space_behind_a_name_makes_no_other_field_of_it(name: str) -> None:
    """RFC 9112 5.1. `Content-Length :` beside our chunked would be two ends of one body."""
    value = {"Content-Length": "5", "Cache-Control": "private", "Set-Cookie": "a : b"}[name]
    sent = f"HTTP/1.1 200 OK\r\nX: y : z\r\n{name} : {value}\r\n".encode()
    sent += b"\r\nfirst" if name == "Content-Length" else b"Content-Length: 5\r\n\r\nfirst"
    async with origin(answering(sent)) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        for _ in range(2):
            answer = await visitor.get("/")
            assert answer.all(name.encode()) == [value.encode()]
            assert (answer.get(b"X"), answer.all(b"Transfer-Encoding"), answer.body) == (b"y : z", [], b"first")


async def test_an_interim_response_has_no_length() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nLink: </a.css>\r\n\r\n"
    async with (
        origin(answering(early + response(b"x"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/")).fields == [(b"Link", b"</a.css>")]
        assert (await visitor.answer()).body == b"x"


async def test_interim_responses_go_on() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    async with (
        origin(answering(early + response(b"x"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        hints = await visitor.get("/")
        assert (hints.status, hints.get(b"Link")) == (103, b"</a.css>; rel=preload")
        assert (await visitor.answer()).body == b"x"


async def test_interim_responses_do_not_pile_up_for_a_visitor_who_takes_none() -> None:
    """An origin may send 64 of half a megabyte: what waits is bounded, and the answer comes after whatever was sent."""
    early = b"HTTP/1.1 103 Early Hints\r\n" + b"".join(b"X: %s\r\n" % (b"x" * 7_000) for _ in range(60)) + b"\r\n"
    first = b"HTTP/1.1 103 Early Hints\r\nLink: </first.css>\r\n\r\n"
    all_sent = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(first)
        for _ in range(60):
            await conversation.send(early)
        await conversation.send(response(b"the answer"))
        all_sent.set()

    async with origin(script) as site, serving(site.url) as sidecar:
        loop = asyncio.get_running_loop()
        with socket.socket() as receiver:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            receiver.setblocking(False)
            await loop.sock_connect(receiver, ("127.0.0.1", sidecar.port))
            await loop.sock_sendall(receiver, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await asyncio.wait_for(all_sent.wait(), 60)
            received = bytearray()
            async with asyncio.timeout(60):
                while piece := await loop.sock_recv(receiver, 1 << 20):
                    received += piece
    assert received.startswith(first)
    assert received.endswith(b"\r\n\r\nthe answer")
    assert len(received) < 60 * len(early) // 2


async def test_interim_responses_of_usual_size_all_go_on() -> None:
    early = [b"HTTP/1.1 103 Early Hints\r\nLink: </%d.css>\r\n\r\n" % number for number in range(60)]
    async with (
        origin(answering(b"".join(early) + response(b"x"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/")).get(b"Link") == b"</0.css>"
        for number in range(1, 60):
            assert (await visitor.answer()).get(b"Link") == b"</%d.css>" % number
        assert (await visitor.answer()).body == b"x"


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
)
async def test_a_body_that_breaks_off_does_not_look_complete(head: bytes) -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + head)

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await visitor.head()
        rest = await visitor.rest()
    assert not rest.endswith(b"0\r\n\r\n")
    assert len(rest) < 100


async def test_a_slow_visitor_holds_the_origin_back() -> None:
    piece, sent = bytes(64 * 1024), 0

    async def script(conversation: Conversation) -> None:
        nonlocal sent
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (400 * len(piece)))
        for _ in range(400):
            await conversation.send(piece)
            sent += len(piece)

    async with origin(script) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await visitor.head()
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 400 * len(piece)
        assert len(await visitor.exactly(400 * len(piece))) == 400 * len(piece)


async def test_a_visitor_who_takes_nothing_is_given_up() -> None:
    """Cost of hostile visitors: a page that nobody reads is not held for ever, changed or as it came."""
    page = b"<h1>Old</h1>" + b"x" * 8_000_000
    async with (
        origin(answering(html(page), html(page))) as site,
        serving(site.url, tables=table(headline(pageSlug="/changed")), stall_s=0.2, page_bytes_max=10**7) as sidecar,
    ):
        loop = asyncio.get_running_loop()
        for target in ("/changed", "/plain"):
            with socket.socket() as receiver:
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                receiver.setblocking(False)
                await loop.sock_connect(receiver, ("127.0.0.1", sidecar.port))
                await loop.sock_sendall(receiver, f"GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
                assert await loop.sock_recv(receiver, 100)
                async with asyncio.timeout(60):
                    while sidecar.application.server.connections:
                        await asyncio.sleep(0.02)

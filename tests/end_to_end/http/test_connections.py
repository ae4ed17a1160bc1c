"""Connections at both ends: kept, given up, requests in a row, old clients, and requests that could be read in two ways."""

import contextlib
import threading

import pytest

from tests.end_to_end.http.conftest import NEW, PAGE
from tests.end_to_end.http.origin import Origin, Talk, ending
from tests.end_to_end.site import page, response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import Line, load


def test_connections_are_kept_on_both_sides(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/kept", response(b"x"))
    with Line(sidecar.port) as line:
        assert [line.get("/free/kept").status for _ in range(5)] == [200] * 5
        assert not line.over
    assert len(set(origin.connections("/free/kept"))) == 1


@pytest.mark.parametrize("path", ["/free/close", "/page/close"])
def test_an_origin_that_closes_does_not_close_the_visitors_connection(
    origin: Origin, sidecar: Sidecar, path: str
) -> None:
    origin.at(path, ending(page(PAGE, "Connection: close")))
    with Line(sidecar.port) as line:
        bodies = [line.get(path).body for _ in range(3)]
        assert (bodies, line.over) == ([NEW if path.startswith("/page") else PAGE] * 3, False)
    assert len(set(origin.connections(path))) == 3


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_body_that_ends_with_the_origins_connection(origin: Origin, sidecar: Sidecar, version: str) -> None:
    origin.at("/free/to-the-end", ending(f"HTTP/{version} 200 OK\r\n\r\nall of it".encode()))
    with Line(sidecar.port) as line:
        assert [line.get("/free/to-the-end").body for _ in range(2)] == [b"all of it"] * 2


def test_a_connection_that_ended_while_idle_costs_nobody_a_page(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/idle", ending(response(b"x")))  # without saying that it closes
    with Line(sidecar.port) as line:
        assert [line.get("/free/idle").status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("path", ["/free/old-client", "/page/old-client"])
def test_an_http_1_0_visitor_gets_no_chunks_and_the_end_of_its_connection(
    origin: Origin, sidecar: Sidecar, path: str
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
    origin.at(path, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE))
    with Line(sidecar.port) as line:
        line.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = line.head()
        assert (answer.get(b"Connection"), answer.get(b"Transfer-Encoding")) == (b"close", None)
        assert line.rest() == (NEW if path.startswith("/page") else PAGE)


def test_an_http_1_0_visitor_who_asks_for_it_keeps_the_connection(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/old-kept", response(b"x"))
    with Line(sidecar.port) as line:
        for _ in range(2):
            line.send(b"GET /free/old-kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = line.answer()
            assert (answer.body, answer.get(b"Connection")) == (b"x", b"keep-alive")


def test_requests_in_a_row_are_answered_in_their_order(origin: Origin, sidecar: Sidecar) -> None:
    release = threading.Event()

    def slow(talk: Talk) -> bool:
        assert release.wait(5)
        talk.send(response(b"first"))
        return True

    origin.at("/free/one", slow)
    origin.at("/page/two", page(PAGE))
    origin.at("/free/three", b"HTTP/1.1 204 No Content\r\n\r\n")
    with Line(sidecar.port) as line:
        requests = [f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in ("/free/one", "/page/two", "/free/three")]
        line.send("".join(requests).encode())
        release.set()
        assert [line.answer().body for _ in range(3)] == [b"first", NEW, b""]


def test_a_visitor_who_leaves_ends_the_request_to_the_origin(origin: Origin, sidecar: Sidecar) -> None:
    asked = threading.Event()

    def script(talk: Talk) -> bool:
        asked.set()
        talk.rest()
        return False

    origin.at("/free/left", script)
    with Line(sidecar.port) as line:
        line.send(b"GET /free/left HTTP/1.1\r\nHost: a\r\n\r\n")
        assert asked.wait(5)
    assert origin.asked["/free/left"][0].ended.wait(5)


def test_a_slow_visitor_holds_the_origin_back(origin: Origin, sidecar: Sidecar) -> None:
    """The origin is never further ahead than what waits in buffers, be the body as long as it likes."""
    total, sent, stuck = 64 * 1024 * 1024, [0], threading.Event()

    def script(talk: Talk) -> bool:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        talk.socket.settimeout(0.3)  # nothing can be sent for so long: it is held back
        with contextlib.suppress(TimeoutError):
            while sent[0] < total:
                sent[0] += talk.socket.send(bytes(64 * 1024))
        stuck.set()
        talk.socket.settimeout(10)
        while sent[0] < total:
            sent[0] += talk.socket.send(bytes(min(64 * 1024, total - sent[0])))
        return True

    origin.at("/free/held", script)
    with Line(sidecar.port) as line:
        line.send(b"GET /free/held HTTP/1.1\r\nHost: a\r\n\r\n")
        assert line.head().status == 200
        assert stuck.wait(10)
        assert sent[0] < total
        assert line.exactly(total) == bytes(total)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /free/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /free/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /free/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST /free/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /free/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /free/x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /free/x HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        b"GET /free/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /free/x HTTP/1.1\r\n\r\n",
        b"GET /free/x HTTP/1.1\nHost: a\n\n",
        b"GET /free/x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET /free/x HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /free/x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET /free/x HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        b"GET /free/x HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        b"GET /free/x y HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_requests_with_two_readings_are_400_and_never_reach_the_origin(
    origin: Origin, sidecar: Sidecar, request_bytes: bytes
) -> None:
    origin.at("/free/x", response(b"x"))
    with Line(sidecar.port) as line:
        line.send(request_bytes)
        answer = line.answer()
        assert (answer.status, answer.get(b"Connection")) == (400, b"close")
        assert line.rest() == b""
    assert origin.heads("/free/x") == []


def test_codings_are_not_undone_for_those_whose_page_passes(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/opaque", response(b"not gzip at all", "Content-Encoding: gzip", "Content-Type: text/html"))
    answer = load(sidecar.port, "/free/opaque")
    assert (answer.body, answer.get(b"Content-Encoding")) == (b"not gzip at all", b"gzip")


def test_a_stream_may_last_longer_than_any_wait_for_a_head(origin: Origin, sidecar: Sidecar) -> None:
    """The response may begin within 1.5 s and last for ever: another request runs into that wait meanwhile."""
    other_one_is_over = threading.Event()

    def stream(talk: Talk) -> bool:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        assert other_one_is_over.wait(5)
        talk.send(b"1\r\nb\r\n0\r\n\r\n")
        return True

    origin.at("/free/stream", stream)
    origin.at("/free/mute", lambda talk: bool(talk.rest()))
    with Line(sidecar.port) as line:
        line.send(b"GET /free/stream HTTP/1.1\r\nHost: a\r\n\r\n")
        line.head()
        assert line.chunk() == b"a"
        assert load(sidecar.port, "/free/mute").status == 504
        other_one_is_over.set()
        assert [line.chunk(), line.chunk()] == [b"b", b""]

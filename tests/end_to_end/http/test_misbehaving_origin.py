"""An origin that breaks the rules of HTTP: the visitor has whatever is right of its response, and nobody else's bytes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.end_to_end.http.conftest import NEW, PAGE
from tests.end_to_end.http.origin import Origin, Script, Talk, answering, dripping, ending
from tests.end_to_end.site import page, response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import BrokenAnswerError, Line, load

SMUGGLED = response(b"smuggled", "Content-Type: text/html")
SURPLUS = [b"surplus", b"HTTP/1.1 2", SMUGGLED, b"\0\xff\r\n\r\n"]


def in_pieces(*pieces: bytes) -> tuple[Script, threading.Event]:
    """A script that sends the first piece, and each further one after the event was set (once for all of them)."""
    go_on = threading.Event()

    def script(talk: Talk) -> bool:
        talk.send(pieces[0])
        go_on.wait(5)
        for piece in pieces[1:]:
            talk.send(piece)
        return True

    return script, go_on


def in_reset(sent: bytes) -> Script:
    """Bytes, then a reset."""

    def script(talk: Talk) -> bool:
        talk.send(sent)
        talk.reset()
        return False

    return script


@contextmanager
def counted(sidecar: Sidecar, trouble: str) -> Iterator[None]:
    """The operator's metric has one more of these after the block."""

    def failures() -> float:
        return sum(sidecar.metric("layout_mutation_upstream_errors_total", reason=trouble))

    before = failures()
    yield
    assert failures() == before + 1


# ---- bytes that nobody asked for


@pytest.mark.parametrize("surplus", SURPLUS, ids=["text", "half a head", "a response", "binary"])
@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_surplus_after_a_response_without_a_body(origin: Origin, sidecar: Sidecar, status: str, surplus: bytes) -> None:
    origin.at("/free/surplus", f'HTTP/1.1 {status}\r\nETag: "a"\r\n\r\n'.encode() + surplus)
    with Line(sidecar.port) as line:
        for _ in range(2):
            answer = line.get("/free/surplus")
            assert (answer.line, answer.body) == (f"HTTP/1.1 {status}".encode(), b"")
            assert answer.end_to_end == [(b"ETag", b'"a"')]
    assert len(set(origin.connections("/free/surplus"))) == 2, "the origin's connection is used no more"


@pytest.mark.parametrize("surplus", SURPLUS, ids=["text", "half a head", "a response", "binary"])
def test_surplus_after_the_answer_to_head(origin: Origin, sidecar: Sidecar, surplus: bytes) -> None:
    origin.at("/free/head", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n" + surplus)
    with Line(sidecar.port) as line:
        for _ in range(2):
            answer = line.ask("/free/head", method="HEAD")
            assert (answer.status, answer.get(b"Content-Length")) == (200, b"7")
    assert len(set(origin.connections("/free/head"))) == 2


@pytest.mark.parametrize("surplus", SURPLUS, ids=["text", "half a head", "a response", "binary"])
@pytest.mark.parametrize("path", ["/free/longer", "/page/longer"])
def test_surplus_past_content_length(origin: Origin, sidecar: Sidecar, path: str, surplus: bytes) -> None:
    origin.at(path, page(PAGE) + surplus)
    with Line(sidecar.port) as line:
        for _ in range(2):
            assert line.get(path).body == (NEW if path.startswith("/page") else PAGE)
    assert len(set(origin.connections(path))) == 2


@pytest.mark.parametrize("surplus", SURPLUS, ids=["text", "half a head", "a response", "binary"])
def test_surplus_past_the_last_chunk(origin: Origin, sidecar: Sidecar, surplus: bytes) -> None:
    origin.at("/free/chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + surplus)
    with Line(sidecar.port) as line:
        for _ in range(2):
            assert line.get("/free/chunks").body == b"abc"
    assert len(set(origin.connections("/free/chunks"))) == 2


@pytest.mark.parametrize("surplus", SURPLUS, ids=["text", "half a head", "a response", "binary"])
def test_surplus_that_comes_later_is_never_the_next_visitors_page(
    origin: Origin, sidecar: Sidecar, surplus: bytes
) -> None:
    script, go_on = in_pieces(response(b"mine"), surplus)
    origin.at("/free/late", script)
    origin.at("/free/next", response(b"theirs"))
    with Line(sidecar.port) as line:
        assert line.get("/free/late").body == b"mine"
        go_on.set()
        assert origin.asked["/free/late"][0].ended.wait(5), "the sidecar does not hang up"
        assert line.get("/free/next").body == b"theirs"
    assert origin.connections("/free/late") != origin.connections("/free/next")


def test_an_empty_line_behind_a_response_is_forgiven(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/crlf", response(b"body") + b"\r\n")
    with Line(sidecar.port) as line:
        assert [line.get("/free/crlf").body for _ in range(2)] == [b"body", b"body"]


# ---- bodies that are not what their head says


@pytest.mark.parametrize("path", ["/free/short", "/page/short"])
@pytest.mark.parametrize("end", [ending, in_reset], ids=["close", "reset"])
def test_a_body_shorter_than_content_length(
    origin: Origin, sidecar: Sidecar, path: str, end: Callable[[bytes], Script]
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n"
    origin.at(path, end(head + PAGE))
    with Line(sidecar.port) as line:
        line.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert line.head().get(b"Content-Length") == b"1000"
        got = line.rest()
    assert PAGE.startswith(got)
    if end is ending:
        assert got == PAGE, "what came is given"


@pytest.mark.parametrize("path", ["/free/chunk", "/page/chunk"])
@pytest.mark.parametrize("size", [b"zz", b"-1", b"0x5", b"fffffffffffffffff", b"5 5", b""])
@pytest.mark.parametrize("apart", [False, True], ids=["in one read", "apart"])
def test_a_chunk_size_that_is_none(origin: Origin, sidecar: Sidecar, path: str, size: bytes, apart: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<h1>Ol\r\n"
    bad = size + b"\r\nd</h1>\r\n0\r\n\r\n"
    script, go_on = in_pieces(head, bad)
    origin.at(path, script if apart else answering(head + bad))
    with Line(sidecar.port) as line:
        line.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        if apart and path.startswith("/free"):
            line.head()
            assert line.chunk() == b"<h1>Ol"
            go_on.set()
            assert line.rest() == b"", "it ends, and does not look complete"
        else:
            go_on.set()
            assert line.head().status == 200
            assert line.chunk() == b"<h1>Ol", "what came is given"
            assert line.rest() == b""


def test_chunks_that_end_early(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/early", ending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"))
    with Line(sidecar.port) as line:
        line.send(b"GET /free/early HTTP/1.1\r\nHost: a\r\n\r\n")
        assert line.head().get(b"Transfer-Encoding") == b"chunked"
        assert line.rest() == b"4\r\nhalf\r\n"


# ---- heads


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nA: b\r\n"]
)
@pytest.mark.parametrize("end", [ending, in_reset], ids=["close", "reset"])
def test_an_origin_that_leaves_before_or_within_its_head(
    origin: Origin, sidecar: Sidecar, begun: bytes, end: Callable[[bytes], Script]
) -> None:
    origin.at("/free/left", end(begun))
    with counted(sidecar, "disconnected"):
        answer = load(sidecar.port, "/free/left")
    assert (answer.status, answer.get(b"Cache-Control"), answer.verdict) == (502, b"no-store", "")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: 3, 4\r\n",
        b"content-length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-length: 3\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, gzip\r\n",
        b"Content-Length: three\r\n",
        b"Content-Length: -3\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"A: b\rSet-Cookie: c\r\n",
        b"A: b\0c\r\n",
        b"no colon\r\n",
        b"A B: c\r\n",
    ],
)
@pytest.mark.parametrize("drip", [answering, dripping], ids=["at once", "in drips"])
def test_a_head_with_two_readings_is_refused(
    origin: Origin, sidecar: Sidecar, head: bytes, drip: Callable[[bytes], Script]
) -> None:
    origin.at("/free/odd", drip(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nabc"))
    origin.at("/free/even", response(b"even"))
    with Line(sidecar.port) as line:
        with counted(sidecar, "bad_response"):
            assert line.get("/free/odd").status == 502
        assert line.get("/free/even").body == b"even"
    assert origin.connections("/free/odd") != origin.connections("/free/even")


@pytest.mark.parametrize(
    "fields", [b"Content-Length: 3\r\nContent-Length: 3\r\n", b"Content-LENGTH:3\r\nX: y\r\ncontent-length: 3, 3\r\n"]
)
@pytest.mark.parametrize("drip", [answering, dripping], ids=["at once", "in drips"])
def test_the_same_content_length_several_times_counts_once(
    origin: Origin, sidecar: Sidecar, fields: bytes, drip: Callable[[bytes], Script]
) -> None:
    origin.at("/free/twice", drip(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\nabc"))
    with Line(sidecar.port) as line:
        for _ in range(2):
            answer = line.get("/free/twice")
            assert [value for name, value in answer.fields if name.lower() == b"content-length"] == [b"3"]
            assert answer.body == b"abc"
    assert len(set(origin.connections("/free/twice"))) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02",
        b"<html>\r\n\r\n",
        b"ICY 200 OK\r\n",
    ],
)
def test_what_is_not_http_is_refused_at_once(origin: Origin, sidecar: Sidecar, nonsense: bytes) -> None:
    origin.at("/free/nonsense", nonsense)
    with counted(sidecar, "bad_response"):
        assert load(sidecar.port, "/free/nonsense").status == 502


def test_lines_that_end_with_a_bare_line_feed_go_on_as_http_has_them(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/lf", b"HTTP/1.1 200 OK\nETag: x\nContent-Length: 3\n\nabc")
    answer = load(sidecar.port, "/free/lf")
    assert (answer.line, answer.get(b"ETag"), answer.body) == (b"HTTP/1.1 200 OK", b"x", b"abc")


def test_a_folded_field_goes_on_in_one_line(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/folded", b"HTTP/1.1 200 OK\r\nX-Long: one\r\n  two\r\nContent-Length: 0\r\n\r\n")
    answer = load(sidecar.port, "/free/folded")
    assert answer.status == 200
    assert b" ".join((answer.get(b"X-Long") or b"").split()) == b"one two"


@pytest.mark.parametrize("fields", [200, 256])
def test_many_fields_go_on(origin: Origin, sidecar: Sidecar, fields: int) -> None:
    many = b"".join(b"X-%d: y\r\n" % number for number in range(fields - 1))
    origin.at("/free/many", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + many + b"\r\n")
    assert len(load(sidecar.port, "/free/many").end_to_end) == fields - 1


def test_a_huge_field_goes_on(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/huge", response(b"", "Content-Security-Policy: " + "x" * 60_000))
    assert len(load(sidecar.port, "/free/huge").get(b"content-security-policy") or b"") == 60_000


@pytest.mark.parametrize(
    "fields",
    [b"X: y\r\n" * 257, b"X: " + b"y" * 70_000 + b"\r\n", b"X: " + b"y" * 70_000],
    ids=["fields", "bytes", "bytes without an end"],
)
def test_beyond_the_limits_it_is_refused_and_the_log_names_the_setting(
    origin: Origin, sidecar: Sidecar, fields: bytes
) -> None:
    origin.at("/free/beyond", b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
    with counted(sidecar, "head_too_large"):
        assert load(sidecar.port, "/free/beyond").status == 502
    told = [event["detail"] for event in sidecar.events("upstream_failed") if event["reason"] == "head_too_large"]
    assert "SIDECAR_UPSTREAM_FIELD" in told[0]


# ---- time


@pytest.mark.parametrize("path", ["/free/drip", "/page/drip"])
def test_a_response_that_drips_byte_by_byte(origin: Origin, sidecar: Sidecar, path: str) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (PAGE[:40], PAGE[40:]))
    head = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
    origin.at(path, dripping(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"))
    with Line(sidecar.port) as line:
        assert line.get(path).status == 103
        assert line.answer().body == (NEW if path.startswith("/page") else PAGE)


def test_an_origin_that_says_nothing_is_504_in_time(origin: Origin, sidecar: Sidecar) -> None:
    def silent(talk: Talk) -> bool:
        talk.rest()
        return False

    origin.at("/free/silent", silent)
    with counted(sidecar, "response_timeout"):
        assert load(sidecar.port, "/free/silent").status == 504


# ---- 1xx


def test_interim_responses_go_on_in_their_order_before_the_final_one(origin: Origin, sidecar: Sidecar) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    origin.at("/page/interim", interim + page(PAGE))
    with Line(sidecar.port) as line:
        first, second = line.get("/page/interim"), line.answer()
        assert (first.status, second.status, second.get(b"Link")) == (102, 103, b"</a.css>")
        assert line.answer().body == NEW
        assert line.get("/page/first").body == NEW


def test_a_flood_of_interim_responses_ends(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/flood", b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
    with Line(sidecar.port) as line:
        answer = line.get("/free/flood")
        while answer.status == 102:
            answer = line.answer()
    assert answer.status == 502


def test_a_change_of_protocol_that_nobody_asked_for_is_no_tunnel(origin: Origin, sidecar: Sidecar) -> None:
    origin.at(
        "/free/switch", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxx"
    )
    assert load(sidecar.port, "/free/switch").status == 502


def test_an_old_origin_with_chunks_is_not_asked_on_that_connection_again(origin: Origin, sidecar: Sidecar) -> None:
    chunks = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    origin.at("/free/old", chunks)
    with Line(sidecar.port) as line:
        assert [line.get("/free/old").body for _ in range(2)] == [b"abc", b"abc"]
    assert len(set(origin.connections("/free/old"))) == 2


def test_without_a_content_type_nothing_is_rewritten_and_none_is_added(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/page/untyped", response(PAGE))
    answer = load(sidecar.port, "/page/untyped")
    assert (answer.body, answer.end_to_end, answer.verdict) == (PAGE, [], "passed; reason=content_type")


def test_it_broke_off_is_counted_for_the_operator(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/broken", ending(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
    with counted(sidecar, "broken_off"), Line(sidecar.port) as line, pytest.raises(BrokenAnswerError):
        line.get("/free/broken")

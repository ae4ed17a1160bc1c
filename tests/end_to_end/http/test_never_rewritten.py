"""What is never rewritten, though a rule is for the page: it streams through as it came, and the verdict says why."""

import threading

import pytest

from sidecar.heads import codings
from tests.end_to_end.http.conftest import NEW, PAGE
from tests.end_to_end.http.origin import Origin, Talk
from tests.end_to_end.site import page, response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import Answer, Line, load

HTML = "Content-Type: text/html"


def passed(sidecar: Sidecar, path: str, *fields: str, method: str = "GET") -> Answer:
    """The answer, of which the sidecar must say that it passed."""
    answer = load(sidecar.port, path, *fields, method=method)
    assert answer.verdict.startswith("passed; reason=")
    return answer


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_204_and_304(origin: Origin, sidecar: Sidecar, status: str) -> None:
    origin.at("/page/none", f"HTTP/1.1 {status}\r\n{HTML}\r\n\r\n".encode())
    answer = passed(sidecar, "/page/none")
    assert (answer.status, answer.body, answer.verdict) == (int(status[:3]), b"", "passed; reason=status")


@pytest.mark.parametrize("status", ["205 Reset Content", "206 Partial Content", "300 Multiple Choices", "302 Found"])
def test_205_206_and_redirects(origin: Origin, sidecar: Sidecar, status: str) -> None:
    body = b"" if status.startswith("205") else PAGE
    origin.at("/page/other", response(body, HTML, "Content-Range: bytes 0-9/10", "Location: /x", status=status))
    answer = passed(sidecar, "/page/other")
    assert (answer.line, answer.body, answer.verdict) == (f"HTTP/1.1 {status}".encode(), body, "passed; reason=status")


def test_head_has_no_body_and_promises_nothing_of_the_origins_bytes(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/page/head", page(PAGE, 'ETag: "a"')[: -len(PAGE)])
    answer = passed(sidecar, "/page/head", method="HEAD")
    assert (answer.status, answer.verdict) == (200, "passed; reason=method")
    assert answer.get(b"ETag") is None
    assert answer.get(b"Content-Length") is None


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/json",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/vnd.turbo-stream.html",
        "text/htmlx",
    ],
)
def test_what_is_not_html(origin: Origin, sidecar: Sidecar, media_type: str) -> None:
    origin.at("/page/type", response(PAGE, f"Content-Type: {media_type}"))
    answer = passed(sidecar, "/page/type")
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=content_type")


@pytest.mark.parametrize("value", ["no-transform", "public, No-Transform, max-age=3"])
def test_no_transform(origin: Origin, sidecar: Sidecar, value: str) -> None:
    origin.at("/page/kept", page(PAGE, f"Cache-Control: {value}"))
    answer = passed(sidecar, "/page/kept")
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=no_transform")


@pytest.mark.parametrize("value", ["attachment", 'Attachment; filename="a.html"'])
def test_attachments(origin: Origin, sidecar: Sidecar, value: str) -> None:
    origin.at("/page/file", page(PAGE, f"Content-Disposition: {value}"))
    answer = passed(sidecar, "/page/file")
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=attachment")


@pytest.mark.parametrize("media_type", ["text/event-stream", "image/png", "application/octet-stream"])
def test_events_and_everything_that_passes_stream_unbuffered(origin: Origin, sidecar: Sidecar, media_type: str) -> None:
    seen = threading.Event()

    def script(talk: Talk) -> bool:
        talk.send(f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        talk.send(b"9\r\ndata: 1\n\n\r\n")
        assert seen.wait(5), "the first event waited for the second one"
        talk.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        return True

    origin.at("/page/events", script)
    with Line(sidecar.port) as line:
        line.send(b"GET /page/events HTTP/1.1\r\nHost: a\r\n\r\n")
        line.head()
        assert line.chunk() == b"data: 1\n\n"
        seen.set()
        assert [line.chunk(), line.chunk()] == [b"data: 2\n\n", b""]


def test_websocket_passes_both_ways(origin: Origin, sidecar: Sidecar) -> None:
    def script(talk: Talk) -> bool:
        talk.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi")
        talk.send(talk.exactly(4)[::-1])
        return False

    origin.at("/page/socket", script)
    with Line(sidecar.port) as line:
        line.send(
            b"GET /page/socket HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
        )
        head = line.head()
        assert (head.status, head.get(b"Upgrade"), head.get(b"Connection")) == (101, b"websocket", b"Upgrade")
        assert line.exactly(4) == b"\x81\x02hi"
        line.send(b"\x00\xffab")
        assert line.rest() == b"ba\xff\x00"
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in origin.heads("/page/socket")[0]


@pytest.mark.parametrize("coding", ["compress", "dcb", "gzip, unknown", "gzip, gzip, gzip"])
def test_content_codings_that_can_not_be_undone(origin: Origin, sidecar: Sidecar, coding: str) -> None:
    origin.at("/page/coded", page(PAGE, f"Content-Encoding: {coding}"))
    answer = passed(sidecar, "/page/coded")
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=content_encoding")


@pytest.mark.parametrize("stack", ["gzip, br", "br, gzip", "gzip, gzip", "identity, zstd"])
def test_two_content_codings_are_undone(origin: Origin, sidecar: Sidecar, stack: str) -> None:
    body = PAGE
    for coding in stack.split(", "):
        body = codings.redo(body, coding.replace("identity", ""))
    origin.at("/page/stacked", page(body, f"Content-Encoding: {stack}"))
    answer = load(sidecar.port, "/page/stacked", "Accept-Encoding: gzip, br, zstd")
    assert answer.get(b"Content-Encoding") == b"zstd"
    assert codings.undo(answer.body, "zstd", bytes_max=10_000) == NEW
    origin.at("/free/stacked", page(body, f"Content-Encoding: {stack}"))
    free = load(sidecar.port, "/free/stacked", "Accept-Encoding: gzip, br, zstd")
    assert (free.body, free.get(b"Content-Encoding")) == (body, stack.encode())


def test_a_body_that_is_not_what_its_coding_says(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/page/liar", page(PAGE, "Content-Encoding: gzip"))
    answer = passed(sidecar, "/page/liar")
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=broken_body")


def test_charsets_that_nobody_knows(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/page/klingon", response(PAGE, "Content-Type: text/html; charset=klingon"))
    answer = passed(sidecar, "/page/klingon")
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=charset")


@pytest.mark.parametrize("framing", ["sized", "chunked", "closed", "coded"])
def test_a_page_over_the_byte_budget_arrives_whole(origin: Origin, sidecar: Sidecar, framing: str) -> None:
    body = b"<h1>Old</h1>" + b"<p>quince</p>" * 30_000
    sent = {
        "sized": page(body),
        "chunked": f"HTTP/1.1 200 OK\r\n{HTML}\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode()
        + body
        + b"\r\n0\r\n\r\n",
        "closed": f"HTTP/1.1 200 OK\r\n{HTML}\r\nConnection: close\r\n\r\n".encode() + body,
        "coded": page(codings.redo(body, "gzip"), "Content-Encoding: gzip"),
    }[framing]

    def script(talk: Talk) -> bool:
        talk.send(sent)
        return framing != "closed"

    origin.at("/page/large", script)
    answer = passed(sidecar, "/page/large")
    assert answer.verdict == "passed; reason=too_large"
    assert (codings.undo(answer.body, "gzip", bytes_max=10**6) if framing == "coded" else answer.body) == body


@pytest.mark.parametrize("body", [b"<div>" * 20_000, b"<i>" * 100_001], ids=["depth", "tags"])
def test_a_page_over_the_depth_or_tag_budget_arrives_whole(origin: Origin, sidecar: Sidecar, body: bytes) -> None:
    body = b"<h1>Old</h1>" + body[:250_000]
    origin.at("/page/deep", page(body))
    answer = passed(sidecar, "/page/deep")
    assert (answer.body, answer.verdict) == (body, "passed; reason=too_large")


def test_a_page_slower_than_the_buffering_deadline_is_flushed_and_streams_on(origin: Origin, sidecar: Sidecar) -> None:
    flushed = threading.Event()

    def script(talk: Talk) -> bool:
        talk.send(f"HTTP/1.1 200 OK\r\n{HTML}\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n<h1>Old<\r\n".encode())
        assert flushed.wait(5), "what came is held back"
        talk.send(b"4\r\n/h1>\r\n0\r\n\r\n")
        return True

    origin.at("/page/slow", script)
    with Line(sidecar.port) as line:
        line.send(b"GET /page/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert line.head().verdict == "passed; reason=too_slow"
        assert line.chunk() == b"<h1>Old<"
        flushed.set()
        assert [line.chunk(), line.chunk()] == [b"/h1>", b""]


@pytest.mark.parametrize("field", ["HX-Request: true", "Turbo-Frame: f", "RSC: 1", "x-nextjs-data: 1", "X-PJAX: true"])
def test_partials(origin: Origin, sidecar: Sidecar, field: str) -> None:
    origin.at("/page/partial", page(PAGE))
    answer = passed(sidecar, "/page/partial", field)
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=partial")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "REPORT"])
def test_answers_to_other_methods(origin: Origin, sidecar: Sidecar, method: str) -> None:
    origin.at("/page/method", page(PAGE))
    answer = passed(sidecar, "/page/method", method=method)
    assert (answer.body, answer.verdict) == (PAGE, "passed; reason=method")


def test_pages_of_bad_news_and_answers_to_forms_are_pages_too(origin: Origin, sidecar: Sidecar) -> None:
    for status in ("404 Not Found", "500 Oops", "203 Other"):
        origin.at("/page/news", response(PAGE, HTML, status=status))
        answer = load(sidecar.port, "/page/news")
        assert (answer.line, answer.body) == (f"HTTP/1.1 {status}".encode(), NEW)
    origin.at("/page/form", page(PAGE))
    assert load(sidecar.port, "/page/form", "Content-Length: 0", method="POST").body == NEW

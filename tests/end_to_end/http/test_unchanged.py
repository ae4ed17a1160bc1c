"""The same response fetched from the origin and through the sidecar, where no rule is for it: field by field the same.

Left out are hop-by-hop fields, framing, and the sidecar's own X-Layout-Mutation; of framing, a length that the origin told
must still be told.
"""

import re

import pytest

from sidecar.heads import codings
from tests.end_to_end.http.conftest import PAGE
from tests.end_to_end.http.origin import Origin, ending
from tests.end_to_end.site import page, response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import Answer, load

HTML = "Content-Type: text/html"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"

KINDS: dict[str, bytes] = {
    "page": page(PAGE, 'ETag: "a"', "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT", "Accept-Ranges: bytes"),
    "empty page": page(b""),
    "picture": response(bytes(range(256)) * 40, "Content-Type: image/png"),
    "no type": response(b"x"),
    "no fields": b"HTTP/1.1 200 OK\r\n\r\nx",
    "gzip": page(codings.redo(PAGE, "gzip"), "Content-Encoding: gzip", "Vary: Accept-Encoding"),
    "br": page(codings.redo(PAGE, "br"), "Content-Encoding: br"),
    "unknown coding": page(b"???", "Content-Encoding: dcb"),
    "two codings": page(codings.redo(codings.redo(PAGE, "gzip"), "gzip"), "Content-Encoding: gzip, gzip"),
    "chunked": CHUNKED + b"3\r\nabc\r\n1;name=value\r\nd\r\n0\r\n\r\n",
    "chunked, empty": CHUNKED + b"0\r\n\r\n",
    "trailers": CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE,
    "old": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    "cookies": response(b"x", "Set-Cookie: a=1", "set-cookie: b=2; Path=/", "SET-COOKIE: a=3"),
    "odd fields": response(
        b"x", "X-Latin: caf\xe9", "X-Empty:", "x-lower: y", "X-Same: 1", "X-Same: 1", "X-Comma: a,,b, "
    ),
    "caching": page(PAGE, "Cache-Control: public , s-maxage=9", "Age: 3", "Expires: 0", "Pragma: no-cache", "Vary: *"),
    "policy": page(PAGE, "Content-Security-Policy: default-src 'self'", "Strict-Transport-Security: max-age=1"),
    "server": page(PAGE, "Server: odd/1", "Date: yesterday", "Via: 1.0 x", "Alt-Svc: h3=x", "X-Powered-By: y"),
    "no reason": b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx",
    "own reason": response(b"x", status="200 Caf\xe9 Au Lait"),
    "203": response(b"x", status="203 Non-Authoritative"),
    "204": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    "205": response(b"", status="205 Reset Content"),
    "206": response(b"lo", HTML, "Content-Range: bytes 3-4/5", status="206 Partial Content"),
    "301": response(b"moved", HTML, "Location: http://other.example/?a=b", status="301 Moved Permanently"),
    "303": response(b"", "Location: /x", "Set-Cookie: a=1", status="303 See Other"),
    "304": b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nCache-Control: max-age=9\r\nContent-Length: 53\r\n\r\n',
    "401": response(
        b"who?", HTML, 'WWW-Authenticate: Basic realm="a, b"', "WWW-Authenticate: Bearer", status="401 Who"
    ),
    "404": response(PAGE, HTML, status="404 Not Found"),
    "413": response(b"", "Retry-After: 3", status="413 Too Much"),
    "500": response(PAGE, HTML, status="500 Oops"),
    "599": response(b"x", status="599 Odd"),
    "attachment": page(PAGE, "Content-Disposition: attachment"),
    "xhtml": response(PAGE, "Content-Type: application/xhtml+xml"),
    "large": response(b"quince " * 200_000, "Content-Type: text/plain"),
}
_BOUNDARY = re.compile(rb"\b\d{20}\b")
"""What nginx puts between the parts of a response, another one each time."""

WITHOUT_FRAMING = {"no fields", "to the end", "old"}

REQUESTS = {
    "plain": (),
    "browser": ("Accept: text/html,*/*;q=0.8", "Accept-Encoding: gzip, br", "Sec-Fetch-Dest: document", "Cookie: a=1"),
    "part": ("Range: bytes=0-9",),
    "known": ('If-None-Match: "a"',),
    "partial": ("HX-Request: true",),
}


def assert_the_same(direct: Answer, through: Answer) -> None:
    assert through.line == direct.line
    assert _BOUNDARY.sub(b"", through.body) == _BOUNDARY.sub(b"", direct.body)
    assert _timeless(through) == _timeless(direct)
    if (length := direct.get(b"content-length")) is not None:
        assert through.get(b"content-length") == length
    assert through.verdict.startswith("passed; reason=")


def _timeless(answer: Answer) -> list[tuple[bytes, bytes]]:
    """End-to-end fields; of nginx's Date just that it is there, and of several parts' type that it names a boundary."""
    return [(name, b"" if name == b"Date" else _BOUNDARY.sub(b"", value)) for name, value in answer.end_to_end]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_response_arrives_as_it_left(origin: Origin, sidecar: Sidecar, kind: str) -> None:
    origin.at("/free/kind", ending(KINDS[kind]) if kind in WITHOUT_FRAMING else KINDS[kind])
    for fields in REQUESTS.values():
        direct = load(origin.port, "/free/kind", *fields)
        assert_the_same(direct, load(sidecar.port, "/free/kind", *fields))


@pytest.mark.parametrize("kind", KINDS)
def test_head_arrives_as_it_left(origin: Origin, sidecar: Sidecar, kind: str) -> None:
    origin.at("/free/kind", ending(KINDS[kind].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"))
    direct = load(origin.port, "/free/kind", method="HEAD")
    assert_the_same(direct, load(sidecar.port, "/free/kind", method="HEAD"))


NGINX = (
    "/free/page.html",
    "/free/picture.png",
    "/free/empty.html",
    "/free/folder",
    "/free/folder/",
    "/free/none.html",
    "/free/gone",
    "/free/teapot",
    "/free/moved",
    "/free/nothing",
    "/free/cookies",
    "/free/forbidden",
    "/free/%2e%2e/%2e%2e/etc/passwd",
)


@pytest.mark.parametrize("target", NGINX)
def test_what_nginx_serves_arrives_as_it_left(behind_nginx: tuple[int, Sidecar], target: str) -> None:
    port, sidecar = behind_nginx
    tag = (load(port, "/free/page.html").get(b"etag") or b"").decode()
    more = {
        "known": (f"If-None-Match: {tag}",),
        "since": ("If-Modified-Since: Mon, 01 Jan 2035 00:00:00 GMT",),
        "parts": ("Range: bytes=0-9,20-29",),
        "beyond": ("Range: bytes=9000000-",),
        "if-range": ("Range: bytes=0-9", f"If-Range: {tag}"),
        "match": ('If-Match: "other"',),
        "gzip": ("Accept-Encoding: gzip",),
    }
    for fields in (REQUESTS | more).values():
        for method in ("GET", "HEAD"):
            direct, through = (load(at, target, *fields, method=method) for at in (port, sidecar.port))
            assert_the_same(direct, through)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_what_nginx_refuses_arrives_as_it_left(behind_nginx: tuple[int, Sidecar], method: str) -> None:
    port, sidecar = behind_nginx
    direct, through = (
        load(at, "/free/page.html", "Content-Length: 3", method=method, body=b"abc") for at in (port, sidecar.port)
    )
    assert_the_same(direct, through)


def test_an_nginx_that_hangs_up_without_an_answer_is_502(behind_nginx: tuple[int, Sidecar]) -> None:
    assert load(behind_nginx[1].port, "/free/hung").status == 502


def test_a_page_of_nginx_is_rewritten_and_leaves_in_a_coding_of_the_visitors(
    behind_nginx: tuple[int, Sidecar],
) -> None:
    port, sidecar = behind_nginx
    page_bytes = load(port, "/page/page.html").body
    for accepted in ("", "gzip", "br, gzip;q=0.5"):
        answer = load(sidecar.port, "/page/page.html", *([f"Accept-Encoding: {accepted}"] if accepted else []))
        coding = (answer.get(b"content-encoding") or b"").decode()
        assert codings.undo(answer.body, coding, bytes_max=10**6) == page_bytes.replace(b"Old", b"New")
        assert coding == accepted.partition(",")[0]

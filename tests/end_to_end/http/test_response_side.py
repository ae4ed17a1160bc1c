"""What becomes of a response on its way to the visitor: what stays, what a changed page may say, what caches are told."""

import pytest

from sidecar.heads import codings
from tests.end_to_end.http.conftest import NEW, PAGE
from tests.end_to_end.http.origin import Origin, ending
from tests.end_to_end.site import page, response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import Answer, Line, load

OF_THE_ORIGINS_BYTES = (
    "Accept-Ranges: bytes",
    "Content-MD5: Q2hlY2s=",
    "Digest: sha-256=x",
    "Content-Digest: sha-256=:x:",
    "Repr-Digest: sha-256=:x:",
    "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT",
)
PUBLIC = "Cache-Control: public, max-age=60, s-maxage=600"
HELD_BY_CDNS = ("Surrogate-Control: max-age=9", "CDN-Cache-Control: max-age=9", "X-Accel-Expires: 9", "Edge-Control: 9")


def values(answer: Answer, name: bytes) -> list[bytes]:
    return [value for key, value in answer.fields if key.lower() == name]


@pytest.mark.parametrize("path", ["/free/cookies", "/page/cookies", "/tested/cookies"])
def test_every_set_cookie_stays(origin: Origin, sidecar: Sidecar, path: str) -> None:
    cookies = ["a=1; Path=/", "b=2; Expires=Mon, 01 Jan 2029 00:00:00 GMT", "a=3; Path=/x", "caf\xe9=1"]
    origin.at(path, page(PAGE, *(f"Set-Cookie: {cookie}" for cookie in cookies)))
    got = values(load(sidecar.port, path), b"set-cookie")
    assert got[:4] == [cookie.encode("latin-1") for cookie in cookies]


@pytest.mark.parametrize(
    "status", ["200 All Right", "200 ", "299 Own", "404 Not Found", "410 Gone", "451 No", "500 Oops", "599 Odd"]
)
@pytest.mark.parametrize("path", ["/free/status", "/page/status"])
def test_status_reason_and_bodies_of_bad_news_stay(origin: Origin, sidecar: Sidecar, path: str, status: str) -> None:
    origin.at(path, response(PAGE, "Content-Type: text/html", status=status))
    answer = load(sidecar.port, path)
    assert answer.line == f"HTTP/1.1 {status}".encode()
    assert answer.body == (NEW if path.startswith("/page") else PAGE)


def test_nothing_is_added_that_the_origin_did_not_send(origin: Origin, sidecar: Sidecar) -> None:
    """No Server, no Date, no Content-Type; of a changed page only an ETag, and that it may be compressed."""
    origin.at("/free/bare", response(b"x"))
    assert load(sidecar.port, "/free/bare").end_to_end == []
    origin.at("/page/bare", response(PAGE, "content-TYPE: text/html"))
    answer = load(sidecar.port, "/page/bare")
    assert answer.end_to_end[:1] == [(b"content-TYPE", b"text/html")]
    assert [name for name, _ in answer.end_to_end[1:]] == [b"Vary", b"ETag"]


@pytest.mark.parametrize("framing", ["sized", "chunked", "closed"])
def test_after_an_edit_the_length_is_that_of_the_new_bytes(origin: Origin, sidecar: Sidecar, framing: str) -> None:
    html, longer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", PAGE.replace(b"Old", b"An old headline")
    sent = {
        "sized": html + b"Content-Length: %d\r\n\r\n" % len(longer) + longer,
        "chunked": html + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(longer), longer),
        "closed": html + b"\r\n" + longer,
    }[framing]
    origin.at("/page/length", ending(sent))
    answer = load(sidecar.port, "/page/length")
    assert (answer.body, values(answer, b"content-length")) == (NEW, [b"%d" % len(NEW)])
    assert values(answer, b"transfer-encoding") == []


def test_after_an_edit_nothing_describes_the_origins_bytes(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/page/described", page(PAGE, *OF_THE_ORIGINS_BYTES, "X-Kept: 1"))
    fields = {name.lower() for name, _ in load(sidecar.port, "/page/described").fields}
    assert not fields & {field.partition(":")[0].lower().encode() for field in OF_THE_ORIGINS_BYTES}
    assert b"x-kept" in fields


def test_the_etag_follows_from_the_origins_and_the_decision(origin: Origin, sidecar: Sidecar) -> None:
    def etag(path: str, body: bytes, *fields: str, language: str = "de") -> bytes | None:
        origin.at(path, page(body, *fields))
        return load(sidecar.port, path, f"Accept-Language: {language}").get(b"etag")

    first = etag("/page/tag", PAGE, 'ETag: "a"')
    assert first
    assert first.startswith(b'W/"lm.')
    assert etag("/page/tag", PAGE, 'ETag: "a"') == first
    assert etag("/page/tag", PAGE, 'ETag: "b"') != first
    assert etag("/page/tag", PAGE) != etag("/page/tag", PAGE + b" "), "without one the body counts"
    assert etag("/told/tag", PAGE, 'ETag: "a"') != first, "another decision"
    assert etag("/told/tag", PAGE, 'ETag: "a"', language="en") == b'"a"', "not changed, not renamed"


@pytest.mark.parametrize("tags", ["{}", '"x", {}', "W/{}"])
def test_our_etag_is_answered_with_our_own_304(origin: Origin, sidecar: Sidecar, tags: str) -> None:
    origin.at("/page/ours", page(PAGE, 'ETag: "a"', "Cache-Control: max-age=9", "Content-Language: de"))
    with Line(sidecar.port) as line:
        etag = line.get("/page/ours").get(b"etag") or b""
        given = tags.format(etag.decode().removeprefix("W/") if tags.startswith("W") else etag.decode())
        answer = line.get("/page/ours", f"If-None-Match: {given}")
        assert (answer.status, answer.body, answer.get(b"etag")) == (304, b"", etag)
        assert answer.get(b"cache-control") == b"max-age=9"
        assert answer.get(b"content-type") is None
        assert line.get("/page/first").body == NEW, "the connection goes on"


@pytest.mark.parametrize(("language", "body"), [("de", NEW), ("en", PAGE)])
def test_a_page_whose_rules_read_the_visitor_is_private_changed_or_not(
    origin: Origin, sidecar: Sidecar, language: str, body: bytes
) -> None:
    origin.at("/told/private", page(PAGE, PUBLIC, *HELD_BY_CDNS))
    answer = load(sidecar.port, "/told/private", f"Accept-Language: {language}")
    assert (answer.body, values(answer, b"cache-control")) == (body, [b"private, max-age=60"])
    assert not {name.lower() for name, _ in answer.fields} & {
        field.partition(":")[0].lower().encode() for field in HELD_BY_CDNS
    }


def test_a_page_whose_rules_read_nothing_stays_public(origin: Origin, sidecar: Sidecar) -> None:
    for path in ("/page/public", "/free/public"):
        origin.at(path, page(PAGE, PUBLIC, *HELD_BY_CDNS))
        answer = load(sidecar.port, path)
        assert values(answer, b"cache-control") == [PUBLIC.partition(": ")[2].encode()]
        assert answer.get(b"surrogate-control") == b"max-age=9"


@pytest.mark.parametrize("path", ["/free/vary", "/page/vary", "/told/vary", "/tested/vary"])
def test_vary_never_names_the_cookie(origin: Origin, sidecar: Sidecar, path: str) -> None:
    origin.at(path, page(PAGE, "Vary: Accept-Language"))
    answer = load(sidecar.port, path)
    changed = answer.verdict.startswith("applied")
    assert values(answer, b"vary") == [b"Accept-Language, Accept-Encoding" if changed else b"Accept-Language"]


def test_the_unit_cookie_is_set_only_where_an_experiment_needs_it(origin: Origin, sidecar: Sidecar) -> None:
    for path, wanted in (("/tested/unit", True), ("/page/unit", False), ("/told/unit", False), ("/free/unit", False)):
        origin.at(path, page(PAGE, PUBLIC))
        answer = load(sidecar.port, path)
        cookies = values(answer, b"set-cookie")
        assert [cookie.startswith(b"lm_uid=") for cookie in cookies] == ([True] if wanted else [])
    cookie = values(load(sidecar.port, "/tested/unit"), b"set-cookie")[0]
    assert {part.strip() for part in cookie.split(b";")} >= {b"HttpOnly", b"SameSite=Lax", b"Path=/"}
    known = load(sidecar.port, "/tested/unit", f"Cookie: {cookie.partition(b';')[0].decode()}")
    assert (known.body, values(known, b"set-cookie")) == (NEW, [])
    assert values(known, b"cache-control") == [b"private, max-age=60"]


@pytest.mark.parametrize(
    ("accepted", "came_as", "leaves_as"),
    [
        ("gzip, br", "", ""),
        ("gzip, br", "gzip", "br"),
        ("gzip;q=0.5, br", "gzip", "br"),
        ("zstd, gzip;q=0", "gzip", "zstd"),
        ("deflate", "br", "deflate"),
        ("identity", "br", ""),
        (None, "gzip", ""),
    ],
)
def test_the_new_page_leaves_in_the_coding_that_the_visitor_prefers(
    origin: Origin, sidecar: Sidecar, accepted: str | None, came_as: str, leaves_as: str
) -> None:
    origin.at("/page/coding", page(codings.redo(PAGE, came_as), *([f"Content-Encoding: {came_as}"] if came_as else [])))
    answer = load(sidecar.port, "/page/coding", *([f"Accept-Encoding: {accepted}"] if accepted else []))
    assert (answer.get(b"content-encoding") or b"").decode() == leaves_as
    assert codings.undo(answer.body, leaves_as, bytes_max=10_000) == NEW
    assert values(answer, b"vary") == [b"Accept-Encoding"]


def test_trailers_of_a_response_are_dropped_with_what_announces_them(origin: Origin, sidecar: Sidecar) -> None:
    chunks = b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    origin.at("/free/sum", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunks)
    with Line(sidecar.port) as line:
        for _ in range(2):
            answer = line.get("/free/sum")
            assert (answer.body, answer.end_to_end) == (b"abc", [])


def test_hop_by_hop_fields_of_the_origin_stay_there(origin: Origin, sidecar: Sidecar) -> None:
    hop = (
        "Connection: keep-alive, X-Mine",
        "Keep-Alive: timeout=5",
        "X-Mine: 1",
        "Proxy-Connection: x",
        "Upgrade: h2c",
    )
    origin.at("/free/hop-back", response(b"x", *hop, "X-Kept: 1"))
    assert load(sidecar.port, "/free/hop-back").fields[0] == (b"X-Kept", b"1")
    assert len(load(sidecar.port, "/free/hop-back").fields) == 3  # and length and verdict

"""What becomes of a request on its way to the origin, seen at the origin to the byte."""

import threading
from collections.abc import Iterable

import pytest

from tests.end_to_end.http.conftest import NEW, PAGE
from tests.end_to_end.http.origin import Origin, Talk, ending
from tests.end_to_end.site import page, response
from tests.end_to_end.stack import Sidecar
from tests.end_to_end.visitor import Line, load

HOP_BY_HOP = (
    "Connection: keep-alive, X-Mine",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Upgrade: h2c",
    "X-Mine: 1",
    "Trailer: X-Sum",
)


def fields_of(head: bytes) -> list[tuple[str, str]]:
    """The fields of a head as text."""
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def names(head: bytes) -> set[str]:
    return {name.lower() for name, _ in fields_of(head)}


def only(values: Iterable[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in values if key.lower() == name]


def test_hop_by_hop_fields_and_those_that_connection_names_stay_here(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/hop", response(b"x"))
    load(sidecar.port, "/free/hop", *HOP_BY_HOP, "X-Kept: 1")
    gone = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "x-mine", "trailer", "transfer-encoding"}
    assert not names(origin.heads("/free/hop")[0]) & gone
    assert "x-kept" in names(origin.heads("/free/hop")[0])


@pytest.mark.parametrize(
    "target", ["%7Euser/a%2fb", "?", "?b=%20+&b", "/double//slash", "../b/./c", ";p=1,2", "?x=[1]|{2}", "?u=http://x/"]
)
def test_path_and_query_stay_as_they_came(origin: Origin, sidecar: Sidecar, target: str) -> None:
    whole = f"/free/target/{target}"
    origin.at(whole.partition("?")[0], response(b"x"))
    load(sidecar.port, whole)
    assert origin.heads(whole.partition("?")[0])[0].startswith(f"GET {whole} HTTP/1.1\r\n".encode())


def test_host_order_spelling_and_bytes_stay(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/host", response(b"x"))
    load(sidecar.port, "/free/host", "Host: Shop.Example:81", "x-odd: caf\xe9", "COOKIE: a=1", "Accept:")
    lines = origin.heads("/free/host")[0].split(b"\r\n")
    assert lines[1:5] == [b"Host: Shop.Example:81", b"x-odd: caf\xe9", b"COOKIE: a=1", b"Accept: "]
    assert "user-agent" not in names(origin.heads("/free/host")[0]), "nothing of the library's own"


def test_who_asked_is_told_and_strangers_are_not_believed(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/who", response(b"x"))
    load(sidecar.port, "/free/who", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil")
    fields = fields_of(origin.heads("/free/who")[0])
    assert only(fields, "x-forwarded-for") == ["10.0.0.1, 127.0.0.1"]
    assert only(fields, "x-forwarded-proto") == ["http"]
    assert only(fields, "x-forwarded-host") == ["shop.example"]
    assert only(fields, "forwarded") == ['for=127.0.0.1;host="shop.example";proto=http']


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [("gzip, br;q=0.9, dcz, zstd", ["gzip, br;q=0.9, zstd"]), ("compress", ["identity"]), (None, [])],
)
def test_only_codings_that_can_be_undone_are_asked_for(
    origin: Origin, sidecar: Sidecar, asked: str | None, passed_on: list[str]
) -> None:
    origin.at("/free/codings", response(b"x"))
    load(sidecar.port, "/free/codings", *([f"Accept-Encoding: {asked}"] if asked else []))
    assert only(fields_of(origin.heads("/free/codings")[0]), "accept-encoding") == passed_on


def test_for_a_page_that_may_be_rewritten_no_part_is_asked_for(origin: Origin, sidecar: Sidecar) -> None:
    for path, kept in (("/page/part", False), ("/told/part", False), ("/free/part", True)):
        origin.at(path, page(PAGE))
        load(sidecar.port, path, "Range: bytes=0-9", 'If-Range: "a"')
        assert ({"range", "if-range"} <= names(origin.heads(path)[0])) is kept


def test_conditions_are_mapped_back_to_the_origins_validator(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/page/known", page(PAGE, 'ETag: "a"'))
    etag = (load(sidecar.port, "/page/known").get(b"ETag") or b"").decode()
    origin.at("/page/known", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')
    answer = load(sidecar.port, "/page/known", f"If-None-Match: {etag}")
    assert only(fields_of(origin.heads("/page/known")[0]), "if-none-match") == ['"a"']
    assert (answer.status, answer.get(b"ETag")) == (304, etag.encode())


def test_an_origins_304_can_not_revive_another_variant(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/told/variant", page(PAGE, 'ETag: "a"'))
    german = (load(sidecar.port, "/told/variant", "Accept-Language: de").get(b"ETag") or b"").decode()
    for language, condition in (("en", german), ("de", '"a"'), ("en", '"a"')):
        origin.at("/told/variant", page(PAGE, 'ETag: "a"'))
        given = (f"Accept-Language: {language}", f"If-None-Match: {condition}", "If-Modified-Since: x")
        answer = load(sidecar.port, "/told/variant", *given)
        assert not names(origin.heads("/told/variant")[0]) & {"if-none-match", "if-modified-since"}
        assert (answer.status, answer.body) == (200, NEW if language == "de" else PAGE)


# ---- bodies


def test_100_continue_is_the_origins_to_say(origin: Origin, sidecar: Sidecar) -> None:
    def script(talk: Talk) -> bool:
        talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        talk.send(response(talk.exactly(4)))
        return True

    origin.at("/free/continue", script)
    with Line(sidecar.port) as line:
        line.send(b"PUT /free/continue HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert line.answer().status == 100
        line.send(b"body")
        assert line.answer().body == b"body"
    assert "expect" in names(origin.heads("/free/continue")[0])


def test_an_origin_that_declines_gets_no_body(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/declined", ending(response(b"no", status="417 Expectation Failed")))
    with Line(sidecar.port) as line:
        line.send(b"PUT /free/declined HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        answer = line.answer()
    assert (answer.status, answer.get(b"Connection")) == (417, b"close")


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_uploads_stream_without_waiting_for_their_end(origin: Origin, sidecar: Sidecar, framing: str) -> None:
    pieces = (b"first", b"later") if "Length" in framing else (b"5\r\nfirst\r\n", b"5\r\nlater\r\n0\r\n\r\n")

    def script(talk: Talk) -> bool:
        talk.until(b"first")
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        talk.until(b"later")
        talk.send(b"later")
        talk.until(b"" if "Length" in framing else b"\r\n0\r\n\r\n")
        return True

    origin.at("/free/upload", script)
    with Line(sidecar.port) as line:
        line.send(f"POST /free/upload HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode() + pieces[0])
        assert line.head().status == 200
        line.send(pieces[1])
        assert line.exactly(5) == b"later"
    assert framing.encode() in origin.heads("/free/upload")[0]


def test_trailers_of_a_request_are_dropped(origin: Origin, sidecar: Sidecar) -> None:
    got: list[bytes] = []

    def script(talk: Talk) -> bool:
        got.append(talk.until(b"\r\n0\r\n\r\n"))
        talk.send(response(b"x"))
        return True

    origin.at("/free/trailers", script)
    answer = load(
        sidecar.port,
        "/free/trailers",
        "Transfer-Encoding: chunked",
        "Trailer: X-Sum",
        method="POST",
        body=b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    )
    assert (answer.status, got) == (200, [b"3\r\nabc\r\n0\r\n\r\n"])
    assert "trailer" not in names(origin.heads("/free/trailers")[0])


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("begun", [b"", b"3\r\nabc\r\n"])
def test_an_upload_that_stalls_is_408_and_the_origins_request_is_given_up(
    origin: Origin, sidecar: Sidecar, framing: str, begun: bytes
) -> None:
    got: list[bytes] = []

    def script(talk: Talk) -> bool:
        got.append(talk.rest())
        return False

    origin.at("/free/stall", script)
    with Line(sidecar.port) as line:
        line.send(f"POST /free/stall HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode() + begun)
        answer = line.answer()
    assert (answer.status, answer.get(b"Connection"), answer.verdict) == (408, b"close", "")
    assert origin.asked["/free/stall"][0].ended.wait(5)
    assert not got[0].endswith(b"0\r\n\r\n"), "it never looks complete"


def test_an_upload_that_goes_on_in_time_may_take_as_long_as_it_likes(origin: Origin, sidecar: Sidecar) -> None:
    """Pieces, each within the time that one may take (0.75 s), and together longer; the pace is the origin's."""
    arrived = threading.Semaphore(0)

    def script(talk: Talk) -> bool:
        for _ in range(4):
            talk.exactly(1)
            threading.Event().wait(0.25)  # what is waited for is time itself
            arrived.release()
        talk.send(response(b"all of it"))
        return True

    origin.at("/free/long", script)
    with Line(sidecar.port) as line:
        line.send(b"POST /free/long HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            line.send(b"x")
            assert arrived.acquire(timeout=5)
        assert line.answer().body == b"all of it"


def test_a_response_that_has_begun_is_not_ended_by_a_stalled_upload(origin: Origin, sidecar: Sidecar) -> None:
    later_one_is_over = threading.Event()

    def script(talk: Talk) -> bool:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirs")
        assert later_one_is_over.wait(5)
        talk.send(b"t")
        return False

    origin.at("/free/both", script)
    origin.at("/free/silent-upload", lambda talk: bool(talk.rest()))
    with Line(sidecar.port) as line, Line(sidecar.port) as later:
        line.send(b"POST /free/both HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert line.head().status == 200
        later.send(b"POST /free/silent-upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert later.head().status == 408
        later_one_is_over.set()
        assert line.exactly(5) == b"first"


def test_an_upload_that_breaks_off_is_never_complete_for_the_origin(origin: Origin, sidecar: Sidecar) -> None:
    got: list[bytes] = []
    begun = threading.Event()

    def script(talk: Talk) -> bool:
        got.append(talk.until(b"abcd\r\n"))
        begun.set()
        got.append(talk.rest())
        return False

    origin.at("/free/broken", script)
    with Line(sidecar.port) as line:
        line.send(b"POST /free/broken HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n")
        assert begun.wait(5)
        line.send(b"nonsense\r\n\r\n")
        assert line.head().status == 400
    assert origin.asked["/free/broken"][0].ended.wait(5)
    assert got == [b"4\r\nabcd\r\n", b""]


# ---- nothing of our own accord


def test_no_redirect_is_followed(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/there", response(b"there"))
    origin.at("/free/moved", response(b"moved", "Location: /free/there", status="302 Found"))
    answer = load(sidecar.port, "/free/moved")
    assert (answer.status, answer.get(b"Location"), answer.body) == (302, b"/free/there", b"moved")
    assert origin.heads("/free/there") == []


def test_no_cookie_is_kept(origin: Origin, sidecar: Sidecar) -> None:
    origin.at("/free/jar", response(b"x", "Set-Cookie: a=1; Path=/"))
    with Line(sidecar.port) as line:
        for _ in range(2):
            assert line.get("/free/jar").get(b"Set-Cookie") == b"a=1; Path=/"
    assert not any("cookie" in names(head) for head in origin.heads("/free/jar"))


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_may_not_be_repeated_is_sent_once(origin: Origin, sidecar: Sidecar, method: str) -> None:
    origin.at("/free/once", ending(b""))
    assert load(sidecar.port, "/free/once", "Content-Length: 0", method=method).status == 502
    assert len(origin.heads("/free/once")) == 1


def test_a_page_is_asked_for_once_however_it_comes_out(origin: Origin, sidecar: Sidecar) -> None:
    for path in ("/page/asked", "/told/asked", "/free/asked", "/tested/asked"):
        origin.at(path, page(PAGE))
        load(sidecar.port, path)
        assert len(origin.heads(path)) == 1

"""HTTP.md, rewriting: what changes with a page, what must not be claimed of it any more, and when it passes after all."""

import asyncio
import gzip
import random
from typing import Any

import pytest

from rules.reasons import Reason
from sidecar.heads import codings
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.pages import without_content
from sidecar.rewriting.rewriting import Isolation, Rewriting
from sidecar.runtime import browser_script
from tests.sidecar.opened import Open
from tests.sidecar.wire import Answer, Conversation, answering, client, headline, html, origin, serving, table

PAGE = b"<!doctype html><html><head></head><body><h1>Old</h1></body></html>"
NEW = PAGE.replace(b"Old", b"New")
LONG = PAGE.replace(b"</body>", b"<p>quince and medlar</p>" * 100 + b"</body>")
LONG_NEW = LONG.replace(b"Old", b"New")
BROWSER = "Accept-Encoding: gzip, deflate, br, zstd"


async def fetched(response: bytes, *fields: str, method: str = "GET", **settings: Any) -> Answer:
    async with (
        origin(answering(response)) as site,
        serving(site.url, tables=table(headline()), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        return await visitor.get("/", *fields, method=method)


async def test_a_rewritten_page() -> None:
    answer = await fetched(html(PAGE, "Set-Cookie: a=1", "Accept-Ranges: bytes", "Content-MD5: x", "Last-Modified: y"))
    assert answer.body == NEW
    assert answer.verdict == b"applied; table=7; mutations=1"
    assert answer.get(b"Content-Length") == str(len(NEW)).encode()
    assert answer.all(b"Set-Cookie") == [b"a=1"]
    assert not any(
        answer.get(name) for name in (b"Accept-Ranges", b"Content-MD5", b"Last-Modified", b"Server", b"Date")
    )


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops"])
async def test_pages_of_bad_news_are_pages_too(status: str) -> None:
    answer = await fetched(html(PAGE, status=status))
    assert (answer.line, answer.body) == (f"HTTP/1.1 {status}".encode(), NEW)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
async def test_encoded_pages_are_changed_and_encoded_again(coding: str) -> None:
    given = html(codings.redo(LONG, coding), f"Content-Encoding: {coding}", "Vary: Accept-Encoding")
    answer = await fetched(given, f"Accept-Encoding: {coding}")
    assert (answer.get(b"Content-Encoding"), answer.all(b"Vary")) == (coding.encode(), [b"Accept-Encoding"])
    assert codings.undo(answer.body, coding, bytes_max=10_000) == LONG_NEW


@pytest.mark.parametrize("came_as", ["gzip", ""])
async def test_the_client_gets_the_coding_it_prefers(came_as: str) -> None:
    given = html(codings.redo(LONG, came_as), *([f"Content-Encoding: {came_as}"] if came_as else []))
    answer = await fetched(given, "Accept-Encoding: gzip;q=0.1", "Accept-Encoding: br")
    assert (answer.get(b"Content-Encoding"), answer.get(b"Vary")) == (b"br", b"Accept-Encoding")
    assert answer.get(b"Content-Length") == str(len(answer.body)).encode()
    assert codings.undo(answer.body, "br", bytes_max=10_000) == LONG_NEW


@pytest.mark.parametrize("accepted", [("Accept-Encoding: identity",), ()])
async def test_a_client_that_takes_no_coding_gets_none(accepted: tuple[str, ...]) -> None:
    answer = await fetched(html(gzip.compress(LONG), "Content-Encoding: gzip"), *accepted)
    assert (answer.get(b"Content-Encoding"), answer.get(b"Vary")) == (None, b"Accept-Encoding")
    assert answer.body == LONG_NEW


async def test_a_short_page_and_one_that_does_not_shrink_are_not_compressed() -> None:
    short = await fetched(html(PAGE), BROWSER)
    assert (short.get(b"Content-Encoding"), short.body) == (None, NEW)
    noise = b"<!--" + b"".join(
        b"%c" % (256 - 1 - number % 120) for number in random.Random(1).choices(range(120), k=1500)
    )
    page = noise + b"-->" + PAGE
    answer = await fetched(html(codings.redo(page, "zstd"), "Content-Encoding: zstd"), "Accept-Encoding: gzip")
    assert (answer.get(b"Content-Encoding") or b"gzip") == b"gzip"
    assert len(answer.body) <= len(page)


async def test_only_what_the_origin_compressed_is_where_that_is_asked_for() -> None:
    plain = await fetched(html(LONG), BROWSER, compression="as_origin")
    assert (plain.get(b"Content-Encoding"), plain.get(b"Vary"), plain.body) == (None, None, LONG_NEW)
    coded = await fetched(html(gzip.compress(LONG), "Content-Encoding: gzip"), BROWSER, compression="as_origin")
    assert (coded.get(b"Content-Encoding"), coded.get(b"Vary")) == (b"zstd", b"Accept-Encoding")


async def test_what_passes_is_never_compressed() -> None:
    page = LONG.replace(b"h1", b"h2")
    answer = await fetched(html(page), BROWSER)
    assert (answer.get(b"Content-Encoding"), answer.get(b"Vary"), answer.body) == (None, None, page)


async def test_a_finished_page_is_compressed_once(rewriting: Open) -> None:
    rewriter = Counted(await rewriting(isolation=Isolation.INLINE, memo_bytes_max=1_000_000))
    async with (
        origin(answering(html(LONG))) as site,
        serving(site.url, tables=table(headline()), rewriter=rewriter) as sidecar,  # type: ignore[arg-type]
        client(sidecar.port) as visitor,
    ):
        answers = [
            await visitor.get("/", f"Accept-Encoding: {coding}") for coding in [*["br"] * 4, "gzip", "br", "gzip"]
        ]
    assert {codings.undo(one.body, one.get(b"Content-Encoding").decode(), bytes_max=10_000) for one in answers} == {  # type: ignore[union-attr]
        LONG_NEW
    }
    # The first sighting is not kept; from the second on each coding is made once.
    assert rewriter.made == ["br", "br", "gzip"]


class Counted:
    """A rewriter with a memo, and what was compressed because it had no such bytes."""

    def __init__(self, rewriter: Rewriting) -> None:
        self._rewriter = rewriter
        self.made: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rewriter, name)

    def keep_coded(self, key: MemoKey, page: bytes, coding: str, coded: bytes) -> None:
        self.made.append(coding)
        self._rewriter.keep_coded(key, page, coding, coded)


async def test_nothing_matched_sends_the_origins_bytes_and_fields() -> None:
    body = gzip.compress(b"<p>no headline</p>")
    answer = await fetched(
        html(body, "Content-Encoding: gzip", 'ETag: "a"', "Last-Modified: y"), "Accept-Encoding: br, gzip"
    )
    assert answer.body == body
    assert (answer.get(b"ETag"), answer.get(b"Last-Modified")) == (b'"a"', b"y")
    assert answer.verdict == b"passed; reason=nothing_matched"


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (html(PAGE, "Cache-Control: no-transform"), Reason.NO_TRANSFORM),
        (html(PAGE, "Content-Disposition: attachment"), Reason.ATTACHMENT),
        (html(PAGE, "Content-Encoding: compress"), Reason.CONTENT_ENCODING),
        (html(b"not gzip", "Content-Encoding: gzip"), Reason.BROKEN_BODY),
        (html(gzip.compress(PAGE)[:-5], "Content-Encoding: gzip"), Reason.BROKEN_BODY),
        (html(PAGE + bytes(3000)), Reason.TOO_LARGE),
        (html(gzip.compress(PAGE + bytes(3000)), "Content-Encoding: gzip"), Reason.TOO_LARGE),
    ],
)
async def test_what_may_not_or_cannot_be_rewritten_passes(response: bytes, reason: Reason) -> None:
    answer = await fetched(response, page_bytes_max=2000)
    assert answer.verdict == f"passed; reason={reason.value}".encode()
    assert answer.body == response.partition(b"\r\n\r\n")[2]


async def test_a_page_that_turns_out_too_large_passes_whole() -> None:
    big = PAGE + bytes(300_000)
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    answer = await fetched(chunked % (len(big), big), page_bytes_max=2000)
    assert answer.verdict == b"passed; reason=too_large"
    assert answer.body == big


async def test_a_page_slower_than_the_buffering_deadline_is_flushed_and_streams_on() -> None:
    seen = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<h1\r\n"
        )
        await seen.wait()
        await conversation.send(b"9\r\n>Old</h1>\r\n0\r\n\r\n")

    async with (
        origin(script) as site,
        serving(site.url, tables=table(headline()), buffer_ms_max=50) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"passed; reason=too_slow" in await visitor.head()
        assert await visitor.chunk() == b"<h1"
        seen.set()
        assert await visitor.chunk() == b">Old</h1>"


async def test_a_page_that_breaks_off_while_it_is_gathered_breaks_off_for_the_visitor_too() -> None:
    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\n<h1>Old")

    async with (
        origin(script) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"passed; reason=broken_body" in await visitor.head()
        assert b"<h1>Old".startswith(await visitor.rest())


async def test_head_promises_nothing_of_the_origins_bytes() -> None:
    head = (
        b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 66\r\nETag: "a"\r\nAccept-Ranges: bytes\r\n\r\n'
    )
    answer = await fetched(head, method="HEAD")
    assert [name for name, _ in answer.fields] == [b"Content-Type", b"Vary", b"X-Layout-Mutation"]
    assert answer.get(b"Vary") == b"Accept-Encoding"
    assert answer.verdict == b"passed; reason=method"


async def test_charset_and_address_reach_the_rewriter() -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/a?b=c")
        [call] = sidecar.rewriter.calls
    assert (call.charset, call.nonce, call.address) == ("utf-8", None, "shop.example/a?b=c")


HIDE = {"id": "hide", "mutationType": "hide", "mutationPayload": {"target": {"selector": "h1"}, "mode": "style"}}


@pytest.mark.parametrize(
    ("policy", "expected_in_policy", "expected_in_page"),
    [
        ("style-src 'self' 'nonce-abc123'", b"style-src 'self' 'nonce-abc123'", b"abc123"),
        ("style-src 'self'", b"'self' 'sha256-", b"<style"),
        ("style-src 'unsafe-inline'", b"style-src 'unsafe-inline'", b"<style"),
    ],
)
async def test_csp_lets_the_engines_own_style_block_pass(
    policy: str, expected_in_policy: bytes, expected_in_page: bytes
) -> None:
    async with (
        origin(answering(html(PAGE, f"Content-Security-Policy: {policy}"))) as site,
        serving(site.url, tables=table(HIDE)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    assert expected_in_policy in (answer.get(b"Content-Security-Policy") or b"")
    assert expected_in_page in answer.body
    assert b"unsafe-inline" not in answer.raw or "unsafe-inline" in policy


async def test_csp_of_an_unchanged_page_stays() -> None:
    answer = await fetched(html(b"<p>", "Content-Security-Policy: style-src 'self'"))
    assert answer.get(b"Content-Security-Policy") == b"style-src 'self'"


ETAG = 'ETag: "v1"'


async def test_our_etag_is_answered_with_our_own_304() -> None:
    async with (
        origin(answering(html(PAGE, ETAG), b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\n\r\n')) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        first = await visitor.get("/")
        etag = (first.get(b"ETag") or b"").decode()
        second = await visitor.get("/", f"If-None-Match: {etag}")
        assert (second.status, second.get(b"ETag")) == (304, etag.encode())
        assert (first.get(b"Vary"), second.get(b"Vary")) == (b"Accept-Encoding", b"Accept-Encoding")
        assert b'If-None-Match: "v1"\r\n' in site.heads[1]
        assert (second.verdict or b"").startswith(b"applied")


async def test_a_304_that_does_not_say_what_it_means_confirms_no_other_page() -> None:
    """An origin that leaves out the ETag of its 304 has the second of two pages that a cache keeps."""

    async def script(conversation: Conversation) -> None:
        for version in (b"v1", b"v2"):
            await conversation.head()
            await conversation.send(html(PAGE + version, f'ETag: "{version.decode()}"'))
        head = await conversation.head()
        unchanged = b"HTTP/1.1 304 Not Modified\r\n\r\n"
        await conversation.send(unchanged if b'"v2"' in head else html(PAGE + b"v2", 'ETag: "v2"'))

    async with (
        origin(script) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        first, second = [(await visitor.get("/")).get(b"ETag") or b"" for _ in range(2)]
        asked = await visitor.get("/", f"If-None-Match: {first.decode()}, {second.decode()}")
    assert first != second
    assert (asked.status, asked.get(b"ETag")) == (304, second)
    assert b'If-None-Match: "v1"\r\n' in site.heads[2]


async def test_an_origin_304_cannot_revive_another_variant() -> None:
    async with (
        origin(answering(html(PAGE, ETAG))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        etag = ((await visitor.get("/")).get(b"ETag") or b"").decode()
        sidecar.tables.current = table(headline("Newer"), version=8)
        newer = await visitor.get("/", f'If-None-Match: {etag}, "v1"', "If-Modified-Since: x", "Range: bytes=0-1")
        assert newer.body == PAGE.replace(b"Old", b"Newer")
        assert not any(name in site.heads[1] for name in (b"If-None-Match", b"If-Modified-Since", b"Range"))


async def test_a_page_without_etag_is_told_apart_by_its_bytes() -> None:
    async with (
        origin(answering(html(PAGE), html(PAGE), html(PAGE + b" "))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        etag = ((await visitor.get("/")).get(b"ETag") or b"").decode()
        same = await visitor.get("/", f"If-None-Match: {etag}")
        assert (same.status, same.get(b"Vary")) == (304, b"Accept-Encoding")
        assert (await visitor.get("/", f"If-None-Match: {etag}")).status == 200


def test_a_304_says_nothing_about_content_and_no_policy() -> None:
    assert without_content([(b"Content-Security-Policy", b"x"), (b"Content-Type", b"y"), (b"Vary", b"z")]) == [
        (b"Vary", b"z")
    ]


@pytest.mark.parametrize("part", [",", ";", "a "])
async def test_a_page_whose_policy_would_take_long_to_read_passes(part: str) -> None:
    policy = (part * 60_000)[:60_000].strip()
    answer = await fetched(html(PAGE, f"Content-Security-Policy: style-src 'self'{policy}"))
    assert (answer.verdict, answer.body) == (b"passed; reason=too_large", PAGE)
    assert answer.get(b"Content-Security-Policy") == f"style-src 'self'{policy}".encode()


async def test_the_policy_lets_the_browser_script_in_where_a_page_calls_it() -> None:
    def policies(answer: Answer) -> list[bytes]:
        return answer.all(b"Content-Security-Policy")

    strict = html(PAGE, "Content-Security-Policy: script-src http://cdn.example")
    for delivery, called in (("client", True), ("guarded", True), ("edge", False)):
        rules = table(headline(delivery=delivery))
        async with (
            origin(answering(strict)) as site,
            serving(site.url, tables=rules) as sidecar,
            client(sidecar.port) as visitor,
        ):
            answer = await visitor.get("/")
        assert (browser_script.SCRIPT.address.encode() in answer.body) is called
        assert (browser_script.SCRIPT.integrity.encode() in answer.body) is called
        added = f" '{browser_script.SCRIPT.integrity}'".encode() if called else b""
        assert policies(answer) == [b"script-src http://cdn.example" + added]


async def test_a_policy_that_keeps_the_script_out_stays_as_it_is() -> None:
    loose = html(PAGE, "Content-Security-Policy: script-src http://cdn.example 'unsafe-inline'")
    rules = table(headline(delivery="client"))
    async with (
        origin(answering(loose)) as site,
        serving(site.url, tables=rules) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=nothing_matched")
    assert answer.get(b"Content-Security-Policy") == b"script-src http://cdn.example 'unsafe-inline'"

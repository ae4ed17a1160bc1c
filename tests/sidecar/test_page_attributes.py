"""What an origin says of its page, through the worker: it decides, and whatever is wrong with it costs no page."""

import asyncio
import gzip
from typing import Any

import pytest

from tests.sidecar.wire import (
    Answer,
    Conversation,
    InlineRewriter,
    answering,
    client,
    headline,
    html,
    origin,
    response,
    serving,
    table,
)

META = b'<meta name="layout-mutation:emotion" content="joy">'
ISLAND = b'<script type="application/json" data-layout-attributes>{"emotion": "calm"}</script>'
PUBLIC = "Cache-Control: public, max-age=60"
HEADER = 'X-Layout-Attributes: {"emotion": "awe"}'


def page(head: bytes = b"") -> bytes:
    return b"<!doctype html><html><head>" + head + b"</head><body><h1>Old</h1></body></html>"


def new(body: bytes) -> bytes:
    return body.replace(b"Old", b"New")


def felt(emotion: str = "joy", **fields: Any) -> dict[str, Any]:
    return headline(conditions={"page.emotion": emotion}, **fields)


async def fetched(*fields: str, rules: Any = None, body: bytes, method: str = "GET", **settings: Any) -> Answer:
    async with (
        origin(answering(body)) as site,
        serving(site.url, tables=rules or table(felt()), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        return await visitor.get("/", *fields, method=method)


async def test_a_meta_decides_and_the_page_stays_everybodys() -> None:
    answer = await fetched(body=html(page(META), PUBLIC))
    assert (answer.body, answer.get(b"Cache-Control")) == (new(page(META)), b"public, max-age=60")
    assert answer.verdict == b"applied; table=7; mutations=1"


async def test_an_emotion_that_the_page_says_is_everybodys_too() -> None:
    said = {"kind": "derived", "id": "emotion", "givenBy": "page.emotion", "otherwise": "calm"}
    rules = table(headline(trigger={"on": "emotion", "emotions": ["joy"]}), attributes=[said])
    for head, body in ((META, new(page(META))), (b"", page())):
        answer = await fetched(rules=rules, body=html(page(head), PUBLIC))
        assert (answer.body, answer.get(b"Cache-Control")) == (body, b"public, max-age=60")


@pytest.mark.parametrize(
    ("head", "fields", "emotion"),
    [
        (META, (), "joy"),
        (META + ISLAND, (), "calm"),
        (META + ISLAND, (HEADER,), "awe"),
        (META, ('X-Layout-Attributes: {"other": 1}',), "joy"),
        (META, ("X-Layout-Attributes: {broken",), "joy"),
        (META + ISLAND.replace(b"}", b""), (), "joy"),
        (META, (HEADER, HEADER), "joy"),
    ],
)
async def test_the_header_goes_before_the_island_and_that_before_the_meta(
    head: bytes, fields: tuple[str, ...], emotion: str
) -> None:
    answer = await fetched(rules=table(felt(emotion)), body=html(page(head), *fields))
    assert answer.body == new(page(head))


@pytest.mark.parametrize("head", [b"", META.replace(b"joy", b"anger"), b"<!--" + META + b"-->"])
async def test_what_does_not_fit_passes_byte_for_byte(head: bytes) -> None:
    answer = await fetched(body=html(page(head), PUBLIC, 'ETag: "a"'))
    assert answer.body == page(head)
    assert (answer.get(b"ETag"), answer.get(b"Cache-Control")) == (b'"a"', b"public, max-age=60")
    assert answer.verdict == b"passed; reason=no_rules"


async def test_a_coded_page_is_read_and_one_that_passes_keeps_its_coding() -> None:
    coded = gzip.compress(page(META))
    for emotion, body in (("joy", new(page(META))), ("anger", page(META))):
        answer = await fetched(
            "Accept-Encoding: gzip", rules=table(felt(emotion)), body=html(coded, "Content-Encoding: gzip")
        )
        assert gzip.decompress(answer.body) == body
        assert (answer.body == coded) is (emotion == "anger")


async def test_a_page_whose_rules_do_not_read_it_streams() -> None:
    arrived = asyncio.Event()

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(response(b"", "Content-Type: text/html").replace(b"Length: 0", b"Length: 8") + b"head")
        await arrived.wait()
        await conversation.send(b"tail")

    async with (
        origin(script) as site,
        serving(
            site.url, tables=table(felt(pageSlug="/other"), headline(id="b", conditions={"query.a": "b"}))
        ) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert b"reason=no_rules" in await visitor.head()
        assert await visitor.exactly(4) == b"head"
        arrived.set()
        assert await visitor.exactly(4) == b"tail"


@pytest.mark.parametrize("length", [True, False])
async def test_a_page_that_is_too_large_passes_whole(*, length: bool) -> None:
    large = page(META) + b" " * 5_000
    body = html(large)
    if not length:
        head, _, _ = body.partition(b"\r\n\r\n")
        head = head[: head.rindex(b"\r\n")] + b"\r\nTransfer-Encoding: chunked"
        body = b"%s\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (head, len(large), large)
    answer = await fetched(body=body, page_bytes_max=1_024)
    assert (answer.body, answer.verdict) == (large, b"passed; reason=too_large")


async def test_a_page_that_can_not_be_read_passes_whole() -> None:
    broken = gzip.compress(page(META))[:-12]
    answer = await fetched("Accept-Encoding: gzip", body=html(broken, "Content-Encoding: gzip"))
    assert (answer.body, answer.verdict) == (broken, b"passed; reason=broken_body")


async def test_the_header_alone_can_redirect() -> None:
    to = {
        "id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/sold-out"}, "conditions": {"page.stock": 0},
    }  # fmt: skip
    answer = await fetched(rules=table(to), body=html(page(), 'X-Layout-Attributes: {"stock": 0}'))
    assert (answer.status, answer.get(b"Location"), answer.body) == (302, b"/sold-out", b"")


async def test_the_origin_is_asked_without_conditions_and_its_page_can_still_be_confirmed() -> None:
    asked: list[bytes] = []

    async def script(conversation: Conversation) -> None:
        while True:
            asked.append(await conversation.head())
            await conversation.send(html(page(META), 'ETag: "a"'))

    async with (
        origin(script) as site,
        serving(site.url, tables=table(felt())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        first = await visitor.get("/")
        etag = first.get(b"ETag")
        assert etag is not None
        again = await visitor.get("/", f"If-None-Match: {etag.decode()}")
        theirs = await visitor.get("/", 'If-None-Match: "a"', "Range: bytes=0-10")
    assert (again.status, again.body) == (304, b"")
    assert (theirs.status, theirs.body) == (200, new(page(META)))
    assert not any(name in head.lower() for head in asked for name in (b"if-none-match", b"range"))


async def test_a_head_says_nothing_of_bytes_that_a_get_would_not_have() -> None:
    answer = await fetched(body=html(page(META), 'ETag: "a"').removesuffix(page(META)), method="HEAD")
    assert (answer.get(b"ETag"), answer.get(b"Content-Length")) == (None, None)
    assert answer.body == b""


async def test_a_piece_of_a_page_is_for_one_visitor_where_the_page_might_be_changed() -> None:
    answer = await fetched("HX-Request: true", body=html(page(META), PUBLIC))
    assert answer.body == page(META)
    assert answer.get(b"Cache-Control") == b"private, max-age=60"


async def test_what_is_no_json_is_counted_and_told_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    body = html(page(ISLAND.replace(b"}", b"")), "X-Layout-Attributes: [1]")
    async with (
        origin(answering(body, body, body)) as site,
        serving(site.url, tables=table(felt())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for _ in range(3):
            assert (await visitor.get("/")).status == 200
        families = {family.name: family for family in sidecar.application.telemetry.families()}
    refused = families["layout_mutation_handed_over_refused"].samples
    assert {sample.labels["place"]: sample.value for sample in refused} == {"header": 3, "island": 3}
    lines = [line for line in capsys.readouterr().out.splitlines() if "page_attributes_refused" in line]
    assert sorted(line.partition("reason=")[2] for line in lines) == ["header", "island"]


async def test_switched_off_it_is_not_even_gathered() -> None:
    token = "a-secret-of-some-length"
    answer = await fetched(
        f"X-Layout-Mutation-Token: {token}", "X-Layout-Mutation: off", body=html(page(META)), ops_token=token
    )
    assert (answer.body, answer.verdict) == (page(META), b"passed; reason=switched_off")


async def test_a_rewriter_that_fails_leaves_the_page() -> None:
    async with (
        origin(answering(html(page(META)))) as site,
        serving(site.url, tables=table(felt()), rewriter=InlineRewriter(broken=True)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    assert (answer.body, answer.verdict) == (page(META), b"passed; reason=rewrite_failed")

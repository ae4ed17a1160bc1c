"""Rules tried out: visitors and caches notice nothing, and what would have changed is counted."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rules.table import DecisionTable
from sidecar.shadow import Copy, Shadow
from tests.sidecar.one_headline import LOOKING, PAGE, counted, variant, weighing
from tests.sidecar.waiting import until
from tests.sidecar.wire import (
    Client,
    Conversation,
    InlineRewriter,
    Script,
    Sidecar,
    answering,
    client,
    headline,
    html,
    origin,
    response,
    serving,
    table,
)

NEW = PAGE.replace(b"Old", b"Newer")
TOKEN = "a-secret-of-some-length"
WITH = (f"X-Layout-Mutation-Token: {TOKEN}", "X-Layout-Mutation-Explain: 1")
FOR_ONE = headline("Newer", conditions={"mobile": True})
VARIANT = variant("Newer")
EXPERIMENT = weighing(0.0, 1.0)
STEPS: dict[str, Any] = {"state_keys": "k" * 32}


@asynccontextmanager
async def shadowing(
    rules: DecisionTable | None, script: Script, **settings: Any
) -> AsyncIterator[tuple[Sidecar, Client]]:
    async with (
        origin(script) as site,
        serving(site.url, tables=rules, shadow=True, ops_token=TOKEN, **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        yield sidecar, visitor


async def tried(sidecar: Sidecar, reason: str, times: int = 1) -> None:
    await until(lambda: counted(sidecar, "shadow_responses").get(reason) == times)


@pytest.mark.parametrize(
    "rules",
    [
        table(headline("Newer")),
        table(FOR_ONE),
        table(VARIANT, experiments=[EXPERIMENT]),
        table(headline("Newer"), attributes=[LOOKING]),
        table({"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/new", "status": 302}}),
    ],
    ids=["all", "one", "experiment", "remembered", "redirect"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_visitor_and_a_cache_get_what_they_would_without_rules(rules: DecisionTable, method: str) -> None:
    page = html(PAGE, 'ETag: "a"', "Cache-Control: public, max-age=60", "Vary: Accept")
    fields = ("User-Agent: Mobi", 'If-None-Match: "b"', "Cookie: lm_state=old")
    async with origin(answering(page)) as site, serving(site.url) as plain, client(plain.port) as visitor:
        expected = await visitor.get("/", *fields, method=method)
        asked = site.heads[0]
    async with (
        origin(answering(page)) as site,
        serving(site.url, tables=rules, shadow=True, server_timing="always", **STEPS) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/", *fields, method=method)
        assert site.heads[0].split(b"\r\n")[2:] == asked.split(b"\r\n")[2:]
        if method == "GET":
            await until(lambda: sum(counted(sidecar, "shadow_responses").values()) == 1)
    verdict = b"passed; reason=" + (b"shadow" if method == "GET" else b"method")
    assert expected.verdict is not None
    assert answer.raw == expected.raw.replace(expected.verdict, verdict)
    assert answer.body == expected.body


async def test_what_would_have_changed_is_counted_by_reason_and_bytes() -> None:
    rules = table(
        headline("Newer", pageSlug="/a"), headline("x", id="none", pageSlug="/b", conditions={"mobile": True})
    )
    async with shadowing(rules, answering(html(PAGE))) as (sidecar, visitor):
        for target in ("/a", "/a", "/b"):
            answer = await visitor.get(target)
            assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=shadow")
        await tried(sidecar, "applied", 2)
        await tried(sidecar, "no_rules")
        assert counted(sidecar, "shadow_bytes") == {"original": 2 * len(PAGE), "changed": 2 * len(NEW)}
        assert counted(sidecar, "responses") == {"shadow200": 3}


async def test_a_compressed_page_counts_as_it_would_leave() -> None:
    packed = gzip.compress(PAGE)
    page = html(packed, "Content-Encoding: gzip")
    async with shadowing(table(headline("Newer")), answering(page)) as (sidecar, visitor):
        answer = await visitor.get("/", "Accept-Encoding: gzip")
        assert answer.body == packed
        await tried(sidecar, "applied")
        assert counted(sidecar, "shadow_bytes")["original"] == len(answer.body)


async def test_a_page_streams_as_it_comes_and_is_tried_when_it_is_whole() -> None:
    release = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def script(conversation: Conversation) -> None:
        await conversation.head()
        await conversation.send(head + b"%x\r\n%s\r\n" % (20, PAGE[:20]))
        await release.wait()
        await conversation.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE) - 20, PAGE[20:]))

    async with shadowing(table(headline("Newer")), script) as (sidecar, visitor):
        await visitor.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert b"reason=shadow" in await visitor.head()
        assert await visitor.chunk() == PAGE[:20]
        release.set()
        assert await visitor.chunk() + await visitor.chunk() == PAGE[20:]
        await tried(sidecar, "applied")
        assert counted(sidecar, "shadow_bytes")["changed"] == len(NEW)


async def test_a_page_that_is_too_large_passes_and_is_told_so() -> None:
    large = PAGE + b" " * 2000
    chunked = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    script = answering(chunked % (len(large), large))
    async with shadowing(table(headline("Newer")), script, page_bytes_max=1024) as (sidecar, visitor):
        assert (await visitor.get("/")).body == large
        await tried(sidecar, "too_large")
        assert (sidecar.rewriter.calls, counted(sidecar, "shadow_bytes")) == ([], {})


async def test_what_fails_costs_nothing_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline()), rewriter=InlineRewriter(broken=True), shadow=True) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/")).body == PAGE
        await tried(sidecar, "rewrite_failed")
    assert capsys.readouterr().out.count("page_passed") == 1


@pytest.mark.parametrize(
    ("page", "fields", "verdict"),
    [
        (response(b"{}", "Content-Type: application/json"), (), b"content_type"),
        (html(PAGE), ("HX-Request: true",), b"partial"),
        (response(b"", "Location: /", status="302 Found"), (), b"status"),
    ],
)
async def test_what_is_no_page_passes_for_what_it_is(page: bytes, fields: tuple[str, ...], verdict: bytes) -> None:
    async with shadowing(table(FOR_ONE), answering(page)) as (sidecar, visitor):
        answer = await visitor.get("/", *fields)
        assert answer.verdict == b"passed; reason=" + verdict
        assert answer.get(b"Cache-Control") is None
        assert counted(sidecar, "shadow_responses") == {}


async def test_without_a_table_or_switched_off_nothing_is_tried() -> None:
    async with shadowing(None, answering(html(PAGE))) as (sidecar, visitor):
        assert (await visitor.get("/")).verdict == b"passed; reason=no_table"
        sidecar.tables.current = table(headline())
        sidecar.application.switch.told(True)
        assert (await visitor.get("/")).verdict == b"passed; reason=switched_off"
        assert counted(sidecar, "shadow_responses") == {}


async def test_an_operator_is_told_and_gets_the_origins_page_too() -> None:
    rules = table(headline("Newer"), VARIANT, experiments=[EXPERIMENT], attributes=[LOOKING])
    async with shadowing(rules, answering(html(PAGE)), **STEPS) as (sidecar, visitor):
        answer = await visitor.get("/", *WITH)
        assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=shadow")
        assert answer.get(b"X-Layout-Mutation-Explain") == b"headline=applied, v=shadowed"
        assert (answer.get(b"Server-Timing") or b"").startswith(b'lm;desc="shadow";dur=')
        assert (answer.get(b"Cache-Control"), answer.all(b"Set-Cookie")) == (b"no-store", [])
        assert counted(sidecar, "shadow_responses") == {}


async def test_an_operator_is_told_why_a_page_would_not_have_changed() -> None:
    async with shadowing(table(FOR_ONE), answering(html(PAGE))) as (_, visitor):
        answer = await visitor.get("/", *WITH)
        assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=no_rules")


async def test_a_page_that_is_not_tried_for_want_of_room_is_counted() -> None:
    async with shadowing(table(headline("Newer")), answering(html(PAGE))) as (sidecar, visitor):
        sidecar.application.proxy.shadow._copies_max = 0
        assert (await visitor.get("/")).body == PAGE
        await until(lambda: counted(sidecar, "shadow_skipped")[""] == 1)
        assert counted(sidecar, "shadow_responses") == {}


# ---- its parts


def test_a_copy_is_whole_up_to_its_bound() -> None:
    copy = Copy(4)
    for piece in (b"ab", b"", b"cd"):
        copy.take(piece)
    assert copy.whole == b"abcd"
    copy.take(b"e")
    copy.take(b"")
    assert not copy._pieces  # what can't be tried is not kept either
    assert copy.whole is None


async def test_no_more_pages_are_tried_at_once_than_the_bound_and_none_after_the_end() -> None:
    shadow, release = Shadow(copies_max=2), asyncio.Event()
    ended: list[str] = []

    async def trial() -> None:
        try:
            await release.wait()
        finally:
            ended.append("x")

    assert [shadow.begin(trial) for _ in range(3)] == [True, True, False]
    release.set()
    await until(lambda: len(ended) == 2)
    release.clear()
    await until(lambda: shadow.begin(trial))
    await asyncio.sleep(0)
    await shadow.close()
    assert len(ended) == 3

"""Visitors who are remembered: pages in a row over real HTTP, with a browser that keeps its cookies."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from rules import limits
from rules.table import DecisionTable
from tests.sidecar.one_headline import NEW, PAGE, counted, variant, weighing
from tests.sidecar.remembered import BUYING, KEY, LOOKED, PUBLIC, is_remembered, visiting
from tests.sidecar.wire import (
    NOON,
    UNIT,
    Script,
    answering,
    headline,
    html,
    response,
    table,
)

NEXT_KEY = "second-" * 5
MOOD = {"kind": "quiz", "id": "mood", "questions": [{"id": "sky", "answers": ["rain", "sun"]}]}
RAINY = headline(pageSlug="/result", trigger={"on": "quiz", "quiz": "mood", "question": "sky", "answers": ["rain"]})


# ---- what is remembered decides


async def test_a_journey_unlocks_a_mutation() -> None:
    async with visiting(table(LOOKED, attributes=[BUYING])) as visits:
        assert (await visits.get("/offers")).body == PAGE
        assert is_remembered(await visits.get("/product/tea"))
        assert (await visits.get("/offers")).body == NEW
        visits.time.pass_by(limits.SESSION_MINUTES)
        assert (await visits.get("/offers")).body == PAGE


async def test_the_page_with_the_answer_already_knows_it_and_the_last_answer_stands() -> None:
    async with visiting(table(RAINY, attributes=[MOOD])) as visits:
        assert (await visits.get("/result")).body == PAGE
        assert (await visits.get("/result?sky=rain")).body == NEW
        assert (await visits.get("/result")).body == NEW
        assert (await visits.get("/result?sky=hail")).body == NEW
        assert (await visits.get("/result?sky=sun")).body == PAGE
        assert (await visits.get("/result")).body == PAGE


async def test_visits_pages_and_the_first_referral_reach_the_rules() -> None:
    filled = {
        "id": "m",
        "mutationType": "replace",
        "mutationPayload": {
            "target": {"selector": "h1"},
            "scope": "inner",
            "content": {"text": "{{visits}} {{pagesSeen}} {{firstReferral.referrer|nobody}} {{firstReferral.landing}}"},
        },
    }
    async with visiting(table(filled)) as visits:
        assert b"<h1>1 1 news.example /land</h1>" in (await visits.get("/land", "Referer: https://news.example/x")).body
        assert b"<h1>1 2 news.example /land</h1>" in (await visits.get("/b", "Referer: http://shop.example/land")).body
        visits.time.pass_by(60)
        assert b"<h1>2 1 news.example /land</h1>" in (await visits.get("/c", "Referer: https://other.example/")).body


VARIANT = variant()


def weighed(control: float, new: float, **fields: Any) -> DecisionTable:
    return table(VARIANT, experiments=[weighing(control, new, **fields)])


async def test_a_sticky_assignment_survives_a_change_of_weights() -> None:
    async with visiting(weighed(0.0, 1.0)) as visits:
        assert (await visits.get("/")).body == NEW
        assert set(visits.browser.cookies) == {"lm_uid", "lm_state"}
        visits.sidecar.tables.current = weighed(1.0, 0.0)
        again = await visits.get("/")
        assert (again.body, again.all(b"Set-Cookie")) == (NEW, [])
        del visits.browser.cookies["lm_state"]
        assert (await visits.get("/")).body == PAGE
        visits.sidecar.tables.current = weighed(0.0, 1.0, disableStickyBucketing=True)
        assert (await visits.get("/")).body == NEW


# ---- who is remembered, and where


async def test_nothing_is_remembered_without_keys() -> None:
    async with visiting(table(LOOKED, RAINY, attributes=[BUYING, MOOD]), state_keys="") as visits:
        answer = await visits.get("/product/tea")
        assert (answer.all(b"Set-Cookie"), answer.get(b"Cache-Control")) == ([], b"public, max-age=60")
        assert (await visits.get("/result?sky=rain")).body == PAGE
        assert not any(counted(visits.sidecar, "failures").values())


async def test_where_nothing_is_declared_there_is_no_cookie_and_caches_are_as_they_were() -> None:
    async with visiting(table(headline())) as visits:
        visits.browser.cookies["lm_state"] = "x"
        answer = await visits.get("/")
        assert (answer.body, answer.all(b"Set-Cookie")) == (NEW, [])
        assert answer.get(b"Cache-Control") == b"public, max-age=60"
        assert counted(visits.sidecar, "states_refused") == {}


async def test_a_page_that_could_add_something_is_for_one_visitor_whoever_asks() -> None:
    async with visiting(table(LOOKED, attributes=[BUYING])) as visits:
        for _ in range(2):
            assert (await visits.get("/product/tea")).get(b"Cache-Control") == b"private, max-age=60"
        other = await visits.get("/about")
        assert (other.get(b"Cache-Control"), other.all(b"Set-Cookie")) == (b"public, max-age=60", [])


@pytest.mark.parametrize(
    ("method", "page", "fields"),
    [
        ("POST", html(PAGE), ()),
        ("HEAD", response(b"", "Content-Type: text/html"), ()),
        ("GET", html(PAGE, status="404 Not Found"), ()),
        ("GET", response(b"{}", "Content-Type: application/json"), ()),
        ("GET", html(PAGE), ("HX-Request: true",)),
        ("GET", response(b"", "Location: /", status="302 Found"), ()),
        ("GET", html(PAGE, "Content-Disposition: attachment"), ()),
    ],
)
async def test_only_pages_that_a_visitor_sees_are_remembered(method: str, page: bytes, fields: tuple[str, ...]) -> None:
    async with visiting(table(LOOKED, attributes=[BUYING]), answering(page, html(PAGE))) as visits:
        answer = await visits.get("/product/tea", *fields, method=method, body=b"x" if method == "POST" else b"")
        assert answer.all(b"Set-Cookie") == []
        assert (await visits.get("/offers")).body == PAGE


@pytest.mark.parametrize(
    ("method", "page", "known"),
    [("GET", html(PAGE), True), ("GET", html(PAGE, status="404 Not Found"), False), ("POST", html(PAGE), False)],
)
async def test_a_page_that_does_not_count_is_decided_with_what_was_known(method: str, page: bytes, known: bool) -> None:
    async with visiting(table(RAINY, attributes=[MOOD]), answering(page)) as visits:
        answer = await visits.get("/result?sky=rain", method=method, body=b"x" if method == "POST" else b"")
        assert answer.body == (NEW if known else PAGE)


async def test_the_cookie_is_written_when_something_changes_and_now_and_then() -> None:
    async with visiting(table(LOOKED, attributes=[BUYING])) as visits:
        assert not is_remembered(await visits.get("/about"))
        assert is_remembered(await visits.get("/product/tea"))
        assert not is_remembered(await visits.get("/product/tea"))
        assert not is_remembered(await visits.get("/about"))
        visits.time.pass_by(limits.STATE_MINUTES_STALE)
        renewed = await visits.get("/about")
        assert is_remembered(renewed)
        assert renewed.get(b"Cache-Control") == b"private, max-age=60"
        visits.time.pass_by(limits.SESSION_MINUTES - 1)
        assert (await visits.get("/offers")).body == NEW


async def test_the_cookie_is_secure_where_the_visitor_is() -> None:
    async with visiting(table(LOOKED, attributes=[BUYING]), trust_forwarded=True, state_days=7) as visits:
        [cookie] = (await visits.get("/product/tea", "X-Forwarded-Proto: https")).all(b"Set-Cookie")
        assert cookie.endswith(b"; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax; Secure")


async def test_the_origin_sees_the_request_as_it_came() -> None:
    async with visiting(table(LOOKED, attributes=[BUYING])) as visits:
        await visits.get("/product/tea")
        await visits.get("/offers")
        assert f"Cookie: lm_state={visits.browser.cookies['lm_state']}\r\n".encode() in visits.site.heads[1]


async def test_a_redirect_in_place_of_the_page_remembers_it_too() -> None:
    away = {
        "id": "r",
        "pageSlug": "/result",
        "trigger": {"on": "quiz", "quiz": "mood", "question": "sky"},
        "mutationType": "redirect",
        "mutationPayload": {"to": "/offers", "status": 302},
    }
    shown = headline(pageSlug="/offers", conditions={"mood.sky": "sun"})
    async with visiting(table(away, shown, attributes=[MOOD])) as visits:
        answer = await visits.get("/result?sky=sun")
        assert (answer.status, answer.get(b"Location")) == (302, b"/offers")
        assert b"private" in (answer.get(b"Cache-Control") or b"")
        assert (await visits.get("/offers")).body == NEW


# ---- consent


async def test_without_consent_nothing_is_read_or_written_and_what_is_there_goes() -> None:
    rules = table(LOOKED, RAINY, attributes=[BUYING, MOOD])
    async with visiting(rules, consent="required", consent_cookie="ok") as visits:
        answer = await visits.get("/product/tea")
        assert (answer.all(b"Set-Cookie"), answer.get(b"Cache-Control")) == ([], b"private, max-age=60")
        visits.browser.cookies["lm_state"] = "forged"
        assert (await visits.get("/result?sky=rain")).body == PAGE
        assert counted(visits.sidecar, "states_refused") == {}
        visits.browser.cookies["ok"] = "1"
        await visits.get("/product/tea")
        assert (await visits.get("/offers")).body == NEW
        del visits.browser.cookies["ok"]
        withdrawn = await visits.get("/offers")
        assert withdrawn.body == PAGE
        assert withdrawn.all(b"Set-Cookie") == [b"lm_state=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]
        assert visits.browser.cookies == {}
        assert (await visits.get("/offers")).all(b"Set-Cookie") == []


async def test_a_browser_is_told_to_forget_with_a_page_that_a_visitor_sees() -> None:
    pages = (html(PAGE, status="404 Not Found"), html(PAGE))
    rules = table(LOOKED, headline(id="all"), attributes=[BUYING])
    async with visiting(rules, answering(*pages), privacy_signals="gpc") as visits:
        visits.browser.cookies["lm_state"] = "kept"
        answers = [await visits.get("/offers", "Sec-GPC: 1") for _ in pages]
        assert [(answer.body, len(answer.all(b"Set-Cookie"))) for answer in answers] == [(NEW, 0), (NEW, 1)]


# ---- whom to believe


async def test_a_forged_state_is_none_and_is_counted_and_never_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with visiting(table(LOOKED, attributes=[BUYING])) as visits:
        await visits.get("/product/tea")
        good = visits.browser.cookies["lm_state"]
        flipped = good[:-3] + ("A" if good[-3] != "A" else "B") + good[-2:]
        for value in (flipped, "%%%", "A" * 5000):
            visits.browser.cookies["lm_state"] = value
            assert (await visits.get("/offers", 'If-None-Match: "a"')).body == PAGE
            assert "lm_state" not in visits.browser.cookies, "what is none is removed"
        assert counted(visits.sidecar, "states_refused") == {"forged": 1, "malformed": 1, "too_long": 1}
        assert flipped not in capsys.readouterr().out


async def test_keys_are_rotated_without_forgetting_anybody() -> None:
    rules = table(LOOKED, attributes=[BUYING])
    async with visiting(rules) as before, visiting(rules, state_keys=f"{NEXT_KEY}, {KEY}") as during:
        await before.get("/product/tea")
        during.browser.cookies = dict(before.browser.cookies)
        assert (await during.get("/offers")).body == NEW
        during.time.pass_by(limits.STATE_MINUTES_STALE)
        await during.get("/offers")
        async with visiting(rules, state_keys=NEXT_KEY) as after:
            after.browser.cookies = dict(before.browser.cookies)
            assert (await after.get("/offers")).body == PAGE
            after.browser.cookies = dict(during.browser.cookies)
            assert (await after.get("/offers")).body == NEW


async def test_another_worker_knows_what_one_has_seen() -> None:
    rules = table(LOOKED, attributes=[BUYING])
    async with visiting(rules) as one, visiting(rules) as other:
        await one.get("/product/tea")
        other.browser.cookies = one.browser.cookies
        assert (await other.get("/offers")).body == NEW


# ---- pages that the browser holds


def revalidating(etag: str = '"a"', *fields: str) -> Script:
    """An origin that answers 304 whenever it is asked whether its page is still good."""
    whole, confirmed = html(PAGE, f"ETag: {etag}", *fields), response(b"", f"ETag: {etag}", status="304 Not Modified")

    async def script(conversation: Any) -> None:
        while True:
            head = await conversation.head()
            await conversation.send(confirmed if f"If-None-Match: {etag}".encode() in head else whole)

    return script


async def test_a_page_that_the_browser_holds_is_sent_whole_where_it_has_something_to_tell() -> None:
    async with visiting(table(LOOKED, attributes=[BUYING]), revalidating()) as visits:
        answer = await visits.get("/product/tea", 'If-None-Match: "a"')
        assert (answer.status, is_remembered(answer)) == (200, True)
        again = await visits.get("/product/tea", 'If-None-Match: "a"')
        assert (again.status, again.all(b"Set-Cookie")) == (304, [])


async def test_a_304_for_a_page_that_could_add_something_is_as_private_as_the_page() -> None:
    """A cache in front may have kept the page before the journey was there, and asks with its ETag for all its visitors."""
    etag = 'ETag: "a"'
    script = answering(html(PAGE, etag, PUBLIC), response(b"", etag, PUBLIC, status="304 Not Modified"))
    async with visiting(table(LOOKED, attributes=[BUYING]), script) as visits:
        await visits.get("/product/tea")
        confirmed = await visits.get("/product/tea", 'If-None-Match: "a"')
        assert (confirmed.status, confirmed.get(b"Cache-Control")) == (304, b"private, max-age=60")
        other = await visits.get("/about", 'If-None-Match: "a"')
        assert (other.status, other.get(b"Cache-Control")) == (304, b"public, max-age=60")
    part = html(PAGE[:9], "Content-Range: bytes 0-8/99", PUBLIC, status="206 Partial Content")
    async with visiting(table(LOOKED, attributes=[BUYING]), answering(html(PAGE), part)) as visits:
        await visits.get("/product/tea")
        piece = await visits.get("/product/tea", "Range: bytes=0-8")
        assert (piece.status, piece.get(b"Cache-Control")) == (206, b"private, max-age=60")


async def test_so_is_one_of_ours() -> None:
    sees = headline(pageSlug="/product/*")
    async with visiting(table(sees, attributes=[BUYING]), revalidating()) as visits:
        etag = (await visits.get("/product/tea")).get(b"ETag") or b""
        held = await visits.get("/product/tea", f"If-None-Match: {etag.decode()}")
        assert (held.status, held.all(b"Set-Cookie")) == (304, [])
        visits.time.pass_by(limits.SESSION_MINUTES)
        answer = await visits.get("/product/tea", f"If-None-Match: {etag.decode()}")
        assert (answer.status, answer.body, is_remembered(answer)) == (200, NEW, True)
        assert b"If-None-Match" not in visits.site.heads[-1]


async def test_a_304_sets_no_cookie_even_if_time_passes_while_the_origin_is_asked() -> None:
    sees = headline(pageSlug="/product/*")
    async with visiting(table(sees, attributes=[BUYING]), revalidating()) as visits:
        etag = ((await visits.get("/product/tea")).get(b"ETag") or b"").decode()
        moments = iter([NOON, NOON + timedelta(minutes=limits.STATE_MINUTES_STALE)])
        visits.sidecar.application.proxy._questions._now = lambda: next(moments)
        answer = await visits.get("/product/tea", f"If-None-Match: {etag}")
        assert (answer.status, answer.all(b"Set-Cookie")) == (304, [])
        assert next(moments, None) is None


async def test_so_is_one_whose_origin_has_no_validators() -> None:
    async with visiting(table(headline(pageSlug="/product/*"), attributes=[BUYING])) as visits:
        etag = ((await visits.get("/product/tea")).get(b"ETag") or b"").decode()
        assert (await visits.get("/product/tea", f"If-None-Match: {etag}")).status == 304
        visits.browser.cookies.clear()
        answer = await visits.get("/product/tea", f"If-None-Match: {etag}")
        assert (answer.status, is_remembered(answer)) == (200, True)


async def test_a_step_that_depends_on_the_layout_is_owed_its_page_too() -> None:
    step = {"id": "look", "pageSlug": "/product/*", "conditions": {"layoutId": "tea"}}
    rules = table(headline(pageSlug="/product/*"), attributes=[{**BUYING, "steps": [step]}])
    async with visiting(rules, revalidating('"a"', "X-Layout-Id: tea")) as visits:
        etag = ((await visits.get("/product/tea")).get(b"ETag") or b"").decode()
        visits.browser.cookies.clear()
        answer = await visits.get("/product/tea", f"If-None-Match: {etag}")
        assert (answer.status, is_remembered(answer)) == (200, True)


# ---- nothing of ours costs a page


async def test_a_clock_that_fails_costs_no_page() -> None:
    def broken() -> datetime:
        raise RuntimeError("no time")

    async with visiting(table(LOOKED, attributes=[BUYING])) as visits:
        visits.sidecar.application.proxy._questions._now = broken
        answer = await visits.get("/product/tea")
        assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=decide_failed")


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_where_no_visit_may_be_mutated_nobody_is_remembered(share: float) -> None:
    async with visiting(table(LOOKED, attributes=[BUYING]), rollout=share) as visits:
        assert is_remembered(await visits.get("/product/tea")) is bool(share)


async def test_a_unit_is_still_given_beside_it() -> None:
    async with visiting(weighed(0.5, 0.5)) as visits:
        cookies = (await visits.get("/")).all(b"Set-Cookie")
        assert [cookie.partition(b"=")[0] for cookie in cookies] == [b"lm_uid", b"lm_state"]
        assert UNIT.encode() in cookies[0]

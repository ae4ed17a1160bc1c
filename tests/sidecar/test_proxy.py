"""One request through the worker: who is served what, what caches are told, and that nothing of ours costs a page."""

import json
from datetime import datetime
from typing import Any

import jwt
import pytest

from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from tests.sidecar.wire import (
    UNIT,
    Answer,
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

PAGE = b"<!doctype html><html><head></head><body><h1>Old</h1></body></html>"
NEW = PAGE.replace(b"Old", b"New")
TOKEN = "a-secret-of-some-length"


async def fetched(*fields: str, rules: Any = None, page: bytes = b"", **settings: Any) -> Answer:
    async with (
        origin(answering(page or html(PAGE, "Cache-Control: public, max-age=60"))) as site,
        serving(site.url, tables=rules, **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        return await visitor.get("/", *fields)


# ---- fail open


async def test_a_rewriter_that_raises_costs_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        origin(answering(html(PAGE, 'ETag: "a"'))) as site,
        serving(site.url, tables=table(headline()), rewriter=InlineRewriter(broken=True)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for _ in range(3):
            answer = await visitor.get("/")
            assert (answer.body, answer.get(b"ETag")) == (PAGE, b'"a"')
            assert answer.verdict == b"passed; reason=rewrite_failed"
        families = {family.name: family for family in sidecar.application.telemetry.families()}
        failures = {sample.labels["reason"]: sample.value for sample in families["layout_mutation_failures"].samples}
    assert failures["rewrite_failed"] == 3
    assert "page_passed" in capsys.readouterr().out  # one line a second, and a traceback takes its time


async def test_a_page_that_passes_by_failure_is_still_for_one_visitor_only() -> None:
    async with (
        origin(answering(html(PAGE, "Cache-Control: public, max-age=60"))) as site,
        serving(site.url, tables=table(MOBILE), rewriter=InlineRewriter(broken=True)) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/", "User-Agent: Mobi")
    assert answer.verdict == b"passed; reason=rewrite_failed"
    assert answer.get(b"Cache-Control") == b"private, max-age=60"


async def test_deciding_that_raises_costs_no_page() -> None:
    def broken_clock() -> datetime:
        raise RuntimeError("no time")

    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        sidecar.application.proxy._questions._now = broken_clock
        answer = await visitor.get("/", 'If-None-Match: "a"')
    assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=decide_failed")


async def test_dressing_that_raises_costs_no_page() -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(VARIANT, experiments=[EXPERIMENT])) as sidecar,
        client(sidecar.port) as visitor,
    ):
        sidecar.application.proxy._questions._new_unit = lambda: "\ud800" * 8  # can not be written into a cookie
        answer = await visitor.get("/")
    assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=rewrite_failed")


# ---- requests that are not forwarded


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_smuggling_shapes_answer_400_and_never_reach_the_origin(request_bytes: bytes) -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.send(request_bytes)
        head = await visitor.head()
        assert head.split(b" ")[1] == b"400"
        assert site.heads == [] or b"0x3" in request_bytes


async def test_addresses_of_our_own_are_not_forwarded() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        assert (await visitor.get("/.layout-mutation/other")).status == 404
        await visitor.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await visitor.answer()).status == 501
        assert site.heads == []


async def test_an_absolute_target_names_the_host() -> None:
    async with origin(answering(response(b"x"))) as site, serving(site.url) as sidecar, client(sidecar.port) as visitor:
        await visitor.get("http://other.example:81/a?b")
    assert site.heads[0].startswith(b"GET /a?b HTTP/1.1\r\nHost: other.example:81\r\n")


async def test_requests_in_a_row_are_answered_in_their_order() -> None:
    async with (
        origin(answering(response(b"1"), response(b"22"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [(await visitor.answer()).body, (await visitor.answer()).body] == [b"1", b"22"]


# ---- what caches are told

MOBILE = headline(conditions={"mobile": True})


@pytest.mark.parametrize(("agent", "body"), [("Mobi", NEW), ("desktop", PAGE)])
async def test_a_page_whose_rules_look_at_the_visitor_is_private_changed_or_not(agent: str, body: bytes) -> None:
    answer = await fetched(f"User-Agent: {agent}", rules=table(MOBILE))
    assert (answer.body, answer.get(b"Cache-Control")) == (body, b"private, max-age=60")
    assert b"Cookie" not in b"".join(answer.all(b"Vary"))


async def test_a_page_whose_rules_look_at_nothing_stays_public() -> None:
    answer = await fetched(rules=table(headline()))
    assert (answer.body, answer.get(b"Cache-Control")) == (NEW, b"public, max-age=60")


@pytest.mark.parametrize("source", ["news", "other"])
async def test_a_page_by_campaign_is_not_kept_for_addresses_without_one(source: str) -> None:
    """Changed or not: what a cache has of one campaign would be shown for another."""
    page = html(PAGE, 'No-Vary-Search: params=("utm_source")')
    by_campaign = table(headline(conditions={"campaign.source": source}))
    assert (await fetched(rules=by_campaign, page=page)).all(b"No-Vary-Search") == []
    assert len((await fetched(rules=table(headline()), page=page)).all(b"No-Vary-Search")) == 1
    redirect = {
        "id": "r",
        "mutationType": "redirect",
        "mutationPayload": {"to": "/new", "status": 301, "keepQuery": True},
    }
    assert (await fetched(rules=table(redirect), page=page)).all(b"No-Vary-Search") == []


# ---- experiments and consent

EXPERIMENT = {"id": "test", "variations": [{"key": "control"}, {"key": "new", "weight": 1000}], "unit": "lm_uid"}
OPERATIONS = headline()["mutationPayload"]
VARIANT = {
    "id": "variant",
    "mutationType": "variant",
    "mutationPayload": {"experimentId": "test", "variations": {"control": {"operations": []}, "new": OPERATIONS}},
}


async def test_the_unit_cookie_is_set_only_where_an_experiment_asks() -> None:
    rules = table(VARIANT, experiments=[EXPERIMENT])
    answer = await fetched(rules=rules)
    assert answer.all(b"Set-Cookie") == [f"lm_uid={UNIT}; Max-Age=31536000; Path=/; HttpOnly; SameSite=Lax".encode()]
    assert answer.get(b"Cache-Control") == b"private, max-age=60"
    assert (await fetched("Cookie: lm_uid=12345678", rules=rules)).all(b"Set-Cookie") == []
    assert (await fetched(rules=table(headline()))).all(b"Set-Cookie") == []


async def test_a_unit_cookie_never_goes_out_with_a_304() -> None:
    """A shared cache may have the page from before the experiment, and merge the 304 into it (RFC 9111 4.3.4)."""
    control = {**EXPERIMENT, "variations": [{"key": "control"}, {"key": "new", "weight": 0}]}
    etag = (await fetched(rules=table(headline(id="all")))).get(b"ETag")
    assert etag is not None
    rules = table(headline(id="all"), VARIANT, experiments=[control])
    answer = await fetched(f"If-None-Match: {etag.decode()}", rules=rules)
    assert (answer.status, answer.get(b"ETag"), len(answer.all(b"Set-Cookie"))) == (200, etag, 1)
    known = await fetched(f"If-None-Match: {etag.decode()}", f"Cookie: lm_uid={UNIT}", rules=rules)
    assert (known.status, known.all(b"Set-Cookie")) == (304, [])


async def test_neither_a_304_nor_a_piece_of_a_page_sets_a_cookie() -> None:
    """A shared cache may merge a 304's fields into what it keeps (RFC 9111 4.3.4)."""
    unchanged = response(b"", 'ETag: "a"', status="304 Not Modified")
    async with (
        origin(answering(html(PAGE, 'ETag: "a"'), unchanged, html(PAGE))) as site,
        serving(site.url, tables=table(VARIANT, experiments=[EXPERIMENT])) as sidecar,
        client(sidecar.port) as visitor,
    ):
        first = await visitor.get("/")
        etag = (first.get(b"ETag") or b"").decode()
        again = await visitor.get("/", f"If-None-Match: {etag}")
        piece = await visitor.get("/", "HX-Request: true")
    assert [len(answer.all(b"Set-Cookie")) for answer in (first, again, piece)] == [1, 0, 0]
    assert (again.status, piece.verdict) == (304, b"passed; reason=partial")


async def test_what_an_origin_says_in_our_name_is_not_passed_on() -> None:
    page = html(PAGE, "X-Layout-Mutation: applied; table=1; mutations=9", "x-layout-mutation: other")
    for rules, verdict in (
        (table(headline()), b"applied; table=7; mutations=1"),
        (table(), b"passed; reason=no_rules"),
    ):
        assert (await fetched(rules=rules, page=page)).all(b"X-Layout-Mutation") == [verdict]


async def test_on_https_the_cookie_is_secure() -> None:
    rules = table(VARIANT, experiments=[EXPERIMENT])
    answer = await fetched("X-Forwarded-Proto: https", rules=rules, trust_forwarded=True)
    assert (answer.get(b"Set-Cookie") or b"").endswith(b"; Secure")
    stranger = await fetched("X-Forwarded-Proto: https", rules=rules)
    assert not (stranger.get(b"Set-Cookie") or b"").endswith(b"; Secure")


async def test_without_the_consent_that_is_required_there_is_no_cookie() -> None:
    rules = table(VARIANT, experiments=[EXPERIMENT])
    settings: dict[str, Any] = {"rules": rules, "consent": "required", "consent_cookie": "ok"}
    waiting = await fetched(**settings)
    assert (waiting.body, waiting.all(b"Set-Cookie")) == (PAGE, [])
    assert len((await fetched("Cookie: ok=1", **settings)).all(b"Set-Cookie")) == 1


async def test_without_consent_the_unit_that_a_visit_still_has_is_not_there() -> None:
    """The visitor took the consent back: what is kept in the browser is not read either."""
    known = headline(conditions={"lm_uid": {"$exists": True}})
    back = headline(conditions={"returning": True})
    settings: dict[str, Any] = {"consent": "required", "consent_cookie": "ok"}
    for rules in (table(VARIANT, experiments=[EXPERIMENT]), table(known), table(back)):
        for cookie, body, told in ((f"lm_uid={UNIT}", PAGE, 1), (f"lm_uid={UNIT}; ok=1", NEW, 0)):
            answer = await fetched(f"Cookie: {cookie}", rules=rules, **settings)
            assert (answer.body, len(answer.all(b"Set-Cookie"))) == (body, told)


async def test_one_user_on_two_devices_sees_one_variation() -> None:
    experiment = EXPERIMENT | {
        "unit": "user",
        "fallbackUnit": "lm_uid",
        "variations": [{"key": "control"}, {"key": "new"}],
    }
    settings: dict[str, Any] = {
        "rules": table(VARIANT, experiments=[experiment]),
        "units": "user=header:X-User-Id",
    }
    seen = set()
    for user in range(8):
        phone, desk = [
            await fetched(f"X-User-Id: {user}", f"Cookie: lm_uid=device-{device}-{user}", **settings)
            for device in ("phone", "desk")
        ]
        assert phone.body == desk.body
        assert phone.all(b"Set-Cookie") == [], "who is known needs no anonymous id"
        assert phone.get(b"Cache-Control") == b"private, max-age=60"
        seen.add(phone.body)
    assert seen == {PAGE, NEW}
    anonymous = await fetched(**settings)
    assert len(anonymous.all(b"Set-Cookie")) == 1


async def test_a_token_that_does_not_verify_is_counted_and_costs_nothing() -> None:
    experiment = EXPERIMENT | {"unit": "user"}
    async with (
        origin(answering(html(PAGE))) as site,
        serving(
            site.url,
            tables=table(VARIANT, experiments=[experiment]),
            units="user=jwt:Authorization:sub",
            unit_jwt_keys="k" * 32,
        ) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/", "Authorization: Bearer no.such.token")
        assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=no_rules")
        right = jwt.encode({"sub": "ada"}, "k" * 32, algorithm="HS256")
        assert (await visitor.get("/", f"Authorization: Bearer {right}")).body == NEW
        families = {family.name: family for family in sidecar.application.telemetry.families()}
    (count, *_) = families["layout_mutation_unit_tokens_refused"].samples
    assert (count.labels, count.value) == ({"attribute": "user"}, 1)


# ---- rollout


async def test_outside_the_rollout_pages_pass_and_shared_caches_keep_neither() -> None:
    answer = await fetched(rules=table(headline()), rollout=0)
    assert (answer.body, answer.verdict) == (PAGE, b"passed; reason=rollout")
    assert answer.get(b"Cache-Control") == b"private, max-age=60"


# ---- operators


async def test_toggles_without_the_token_do_nothing_and_never_reach_the_origin() -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline()), ops_token=TOKEN) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for fields in (["X-Layout-Mutation: off"], ["X-Layout-Mutation: off", "X-Layout-Mutation-Token: guess"]):
            assert (await visitor.get("/", *fields)).body == NEW
    assert not any(b"x-layout-mutation" in head.lower() for head in site.heads)


async def test_toggles_with_the_token() -> None:
    token = f"X-Layout-Mutation-Token: {TOKEN}"
    settings: dict[str, Any] = {"rules": table(headline(moduleId=None)), "ops_token": TOKEN}
    off = await fetched(token, "X-Layout-Mutation: off", **settings)
    assert (off.body, off.verdict) == (PAGE, b"passed; reason=switched_off")
    assert (off.get(b"Cache-Control"), off.get(b"X-Layout-Mutation-Explain")) == (b"no-store", None)
    disabled = await fetched(token, "X-Layout-Mutation-Disable: *", "X-Layout-Mutation-Explain: 1", **settings)
    assert disabled.body == PAGE
    assert disabled.get(b"X-Layout-Mutation-Explain") == b"headline=switched_off"
    unclear = await fetched(
        token, "X-Layout-Mutation-Disable: layre:micro, mutation:other", "X-Layout-Mutation-Explain: 1", **settings
    )
    assert unclear.body == NEW
    assert unclear.get(b"X-Layout-Mutation-Explain") == b"layre:micro=not_understood, headline=applied"
    for word in ("mutation:headline", "layer:global", "page:/**"):
        named = await fetched(token, f"X-Layout-Mutation-Disable: {word}", **settings)
        assert (named.body, named.verdict) == (PAGE, b"passed; reason=no_rules")
        assert (await fetched(token, f"X-Layout-Mutation-Only: {word}", **settings)).body == NEW
    explained = await fetched(token, "X-Layout-Mutation-Explain: 1", **settings)
    assert (explained.body, explained.get(b"X-Layout-Mutation-Explain")) == (NEW, b"headline=applied")
    assert explained.get(b"Cache-Control") == b"no-store"


async def test_a_mutation_in_quarantine_is_skipped_and_the_operator_is_told() -> None:
    explain = (f"X-Layout-Mutation-Token: {TOKEN}", "X-Layout-Mutation-Explain: 1")
    rules = table(headline(version=4))
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=rules, ops_token=TOKEN) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get("/", *explain)).body == NEW
        sidecar.application.inspection.hold(Held((HeldMutation("headline", 4, Why.DIFFERS, 1, 600.0),)))
        held = await visitor.get("/", *explain)
        assert (held.body, held.verdict) == (PAGE, b"passed; reason=no_rules")
        assert held.get(b"X-Layout-Mutation-Explain") == b"headline=quarantined"
        assert (await visitor.get("/")).body == PAGE
        sidecar.tables.current = table(headline(version=5), version=8)
        assert (await visitor.get("/", *explain)).body == NEW, "a new version is tried at once"


async def test_a_variation_can_be_forced() -> None:
    rules = table(VARIANT, experiments=[EXPERIMENT])
    token = f"X-Layout-Mutation-Token: {TOKEN}"
    for variation, body in (("new", NEW), ("control", PAGE)):
        force = f"X-Layout-Mutation-Force: test={variation}"
        assert (await fetched(token, force, rules=rules, ops_token=TOKEN)).body == body


# ---- layouts, local mode


async def test_the_layout_that_the_origin_names_takes_part() -> None:
    rules = table(headline(layoutId="product"))
    assert (await fetched(rules=rules, page=html(PAGE, "X-Layout-Id: product"))).body == NEW
    assert (await fetched(rules=rules, page=html(PAGE, "X-Layout-Id: home"))).body == PAGE


async def test_local_mode_asks_under_the_origins_name_and_keeps_the_browser_here() -> None:
    async with origin(answering(b"")) as site:
        name = site.url.removeprefix("http://")
        moved = response(b"", f"Location: {site.url}/next", "Set-Cookie: a=1; Domain=x; Secure", status="302 Found")
        async with (
            origin(answering(moved)) as real,
            serving(real.url, local_mode=True) as sidecar,
            client(sidecar.port) as visitor,
        ):
            answer = await visitor.get("/", "Host: localhost:8080", "Origin: http://localhost:8080")
    authority = real.url.removeprefix("http://").encode()
    assert real.heads[0].split(b"\r\n")[1:3] == [b"Host: " + authority, b"Origin: http://" + authority]
    assert b"orwarded" not in real.heads[0]
    assert answer.get(b"Set-Cookie") == b"a=1"
    assert answer.get(b"Location") == f"http://{name}/next".encode()


# ---- metrics and logs


@pytest.mark.parametrize(("access_log", "lines"), [(False, 0), (True, 1)])
async def test_an_access_log_is_written_only_on_demand_and_without_the_query(
    access_log: bool, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, access_log=access_log) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/a?email=secret")
    printed = capsys.readouterr().out
    assert (printed.count("/a"), "secret" in printed) == (lines, False)


async def test_responses_are_counted_by_reason_and_status() -> None:
    async with (
        origin(answering(html(PAGE), response(b"x", status="404 Not Found"))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/")
        await visitor.get("/")
        families = {family.name: family for family in sidecar.application.telemetry.families()}
        counted = {json.dumps(sample.labels): sample.value for sample in families["layout_mutation_responses"].samples}
    assert counted == {
        '{"reason": "applied", "status": "200"}': 1.0,
        '{"reason": "content_type", "status": "404"}': 1.0,
    }


async def test_a_piece_of_a_page_that_has_rules_is_for_one_visitor() -> None:
    """A shared cache must not give everybody the piece that one visitor's library asked for."""
    page = html(b"<h1>Old</h1>", "Cache-Control: public, max-age=600")
    async with (
        origin(answering(page, page)) as site,
        serving(site.url, tables=table(headline(pageSlug="/ruled"))) as sidecar,
        client(sidecar.port) as visitor,
    ):
        ruled = await visitor.get("/ruled", "HX-Request: true")
        free = await visitor.get("/free", "HX-Request: true")
    assert (ruled.verdict, ruled.get(b"Cache-Control")) == (b"passed; reason=partial", b"private, max-age=600")
    assert (free.verdict, free.get(b"Cache-Control")) == (b"passed; reason=partial", b"public, max-age=600")


async def test_what_other_caches_prefer_to_cache_control_goes_where_a_page_is_for_one_visitor() -> None:
    page = html(b"<h1>Old</h1>", "Cache-Control: public", "X-Accel-Expires: 3600", "Edge-Control: max-age=1d")
    async with (
        origin(answering(page)) as site,
        serving(site.url, tables=table(headline(conditions={"language": "de"}))) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    assert answer.get(b"Cache-Control") == b"private"
    assert answer.get(b"X-Accel-Expires") is None
    assert answer.get(b"Edge-Control") is None


async def test_a_status_below_100_is_no_interim_response() -> None:
    async with (
        origin(answering(response(b"x", status="099 Odd"))) as site,
        serving(site.url) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/")
    assert answer.status == 502

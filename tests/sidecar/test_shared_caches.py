"""HTTP.md, caches: which responses of the worker a cache in front may keep for a variant, and which for nobody."""

from typing import Any

import pytest

from tests.sidecar.remembered import BUYING
from tests.sidecar.wire import Answer, InlineRewriter, answering, client, headline, html, origin, serving, table

PAGE = b"<!doctype html><html><head></head><body><h1>Old</h1></body></html>"
NEW = PAGE.replace(b"Old", b"New")
PUBLIC = "Cache-Control: public, max-age=60"
GERMANY = headline(conditions={"country": "DE"})
CACHE: dict[str, Any] = {
    "country_header": "X-Country",
    "headers": "X-Device",
    "cache_variants": "X-Country=DE|AT, X-Device=mobile|desktop",
    "cache_variants_field": "CDN-Cache-Control",
}
EXPERIMENT = {"id": "test", "variations": [{"key": "control"}, {"key": "new"}], "unit": "lm_uid"}
VARIANT = {
    "id": "variant",
    "mutationType": "variant",
    "conditions": {"country": "DE"},
    "mutationPayload": {"experimentId": "test", "variations": {"control": {}, "new": headline()["mutationPayload"]}},
}


async def fetched(*fields: str, rules: Any, page: bytes = b"", rewriter: Any = None, **given: Any) -> Answer:
    method = given.pop("method", "GET")
    async with (
        origin(answering(page or html(PAGE, PUBLIC))) as site,
        serving(site.url, tables=rules, rewriter=rewriter, **{**CACHE, **given}) as sidecar,
        client(sidecar.port) as visitor,
    ):
        return await visitor.get("/", "X-Country: DE", "X-Device: mobile", *fields, method=method)


def variant(answer: Answer) -> tuple[bytes | None, bytes | None]:
    """Its key and its lifetime. Whatever they are, all other caches are told the same."""
    assert answer.all(b"Cache-Control") == [b"private, max-age=60"]
    return answer.get(b"X-Layout-Mutation-Variant"), answer.get(b"CDN-Cache-Control")


KEPT = (b"X-Country=DE", b"max-age=60")
NOT_KEPT = (None, None)


@pytest.mark.parametrize(("country", "body"), [("DE", NEW), ("AT", PAGE)])
async def test_changed_or_not_a_page_is_kept_for_its_variant(country: str, body: bytes) -> None:
    answer = await fetched(rules=table(headline(conditions={"country": country})))
    assert (answer.body, variant(answer)) == (body, KEPT)
    assert b"X-Country" in (answer.get(b"Vary") or b"")


INNER = ("Cache-Control: private, max-age=60", "CDN-Cache-Control: max-age=60", "x-layout-mutation-variant: X-Shop=1")
"""As another sidecar behind this one would say it."""


async def test_a_variant_of_another_sidecar_behind_this_one_is_named_once() -> None:
    answer = await fetched(rules=table(GERMANY), page=html(PAGE, *INNER))
    assert (answer.body, variant(answer)) == (NEW, KEPT)
    assert answer.all(b"X-Layout-Mutation-Variant") == [b"X-Country=DE"]


async def test_a_page_that_is_kept_no_more_is_none_of_another_sidecars_variants() -> None:
    answer = await fetched(rules=table(GERMANY), page=html(PAGE, *INNER), cache_variants="", cache_variants_field="")
    assert (answer.body, variant(answer)) == (NEW, NOT_KEPT)


async def test_another_sidecars_variant_stays_named_where_no_rule_looks_at_the_visitor() -> None:
    answer = await fetched(rules=table(headline()), page=html(PAGE, *INNER))
    assert (answer.body, variant(answer)) == (NEW, (b"X-Shop=1", b"max-age=60"))


async def test_what_is_the_same_for_all_is_the_origins_to_say() -> None:
    answer = await fetched(rules=table(headline()))
    assert (answer.all(b"Cache-Control"), answer.get(b"X-Layout-Mutation-Variant")) == ([b"public, max-age=60"], None)


async def test_nothing_is_kept_for_variants_unless_it_is_asked_for() -> None:
    answer = await fetched(rules=table(GERMANY), cache_variants="", cache_variants_field="")
    assert variant(answer) == NOT_KEPT


async def test_an_attribute_of_the_page_or_derived_from_the_country_alone_is_no_obstacle() -> None:
    near = {
        "id": "near",
        "kind": "derived",
        "cases": [{"conditions": {"country": {"$in": ["DE", "AT"]}}, "value": "yes"}],
    }
    rules = table(headline(conditions={"near": "yes", "path": "/"}), attributes=[near])
    assert variant(await fetched(rules=rules)) == KEPT


@pytest.mark.parametrize(
    "rules",
    [
        table(headline(conditions={"country": "DE", "language": "de"})),
        table(headline(conditions={"country": "DE", "returning": True})),
        table(GERMANY, headline(conditions={"cookies.plan": "gold"}) | {"id": "other"}),
        table(headline(conditions={"country": "DE", "hour": {"$gt": 1}})),
        table(VARIANT, experiments=[EXPERIMENT]),
        table(GERMANY | {"conditions": {"country": "DE", "unknown": "x"}}),
    ],
)
async def test_nothing_is_kept_where_anything_else_about_the_visitor_was_read(rules: Any) -> None:
    for cookie in ((), ("Cookie: lm_uid=12345678; plan=gold",)):
        assert variant(await fetched(*cookie, rules=rules)) == NOT_KEPT


async def test_nothing_is_kept_of_a_rollout_in_part_or_where_visits_are_remembered() -> None:
    assert variant(await fetched(rules=table(GERMANY), rollout=0.5)) == NOT_KEPT
    counted = {"id": "seen", "kind": "counter"}
    remembering: dict[str, Any] = {"rules": table(GERMANY, attributes=[counted]), "state_keys": "k" * 32}
    told = await fetched(**remembering)
    assert (len(told.all(b"Set-Cookie")), variant(told)) == (1, NOT_KEPT)
    silent = await fetched(**remembering, consent="required", consent_cookie="ok")
    assert (silent.all(b"Set-Cookie"), variant(silent)) == ([], NOT_KEPT)


async def test_a_rollout_in_part_leaves_a_page_without_rules_to_the_origin() -> None:
    answer = await fetched(rules=table(headline(pageSlug="/other")), rollout=0.5)
    assert answer.all(b"Cache-Control") == [b"public, max-age=60"]


async def test_a_response_that_has_a_browser_forget_is_kept_for_nobody() -> None:
    """All that was read is the country, and the page itself adds nothing to what is remembered."""
    rules = table(GERMANY, attributes=[BUYING])
    given: dict[str, Any] = {"rules": rules, "state_keys": "k" * 32, "privacy_signals": "gpc"}
    assert variant(await fetched(**given)) == KEPT
    told = await fetched("Sec-GPC: 1", "Cookie: lm_state=kept", **given)
    assert [cookie.partition(b";")[0] for cookie in told.all(b"Set-Cookie")] == [b"lm_state="]
    assert variant(told) == NOT_KEPT


async def test_nothing_is_kept_of_a_failure_a_piece_or_what_came_with_credentials() -> None:
    rules = table(GERMANY)
    failed = await fetched(rules=rules, rewriter=InlineRewriter(broken=True))
    assert (failed.verdict, variant(failed)) == (b"passed; reason=rewrite_failed", NOT_KEPT)
    piece = await fetched("HX-Request: true", rules=rules)
    assert (piece.verdict, variant(piece)) == (b"passed; reason=partial", NOT_KEPT)
    assert variant(await fetched("Authorization: Basic x", rules=rules)) == NOT_KEPT
    assert variant(await fetched(rules=rules, method="HEAD")) == NOT_KEPT


async def test_an_operators_page_is_stored_nowhere() -> None:
    token = "a-secret-of-some-length"
    answer = await fetched(
        f"X-Layout-Mutation-Token: {token}", "X-Layout-Mutation-Explain: 1", rules=table(GERMANY), ops_token=token
    )
    assert answer.all(b"Cache-Control") == [b"no-store"]
    assert answer.get(b"CDN-Cache-Control") is None


SHARED = (
    "Cache-Control: public, max-age=60, s-maxage=600, stale-while-revalidate=30",
    "Age: 20",
    "Expires: Fri, 27 Nov 2026 08:00:00 GMT",
    "Vary: Origin",
    "Surrogate-Control: max-age=900",
    "X-LiteSpeed-Cache-Control: public, max-age=900",
)


async def test_a_page_that_is_the_same_for_all_keeps_what_the_origin_says_to_caches() -> None:
    answer = await fetched(rules=table(headline()), page=html(PAGE, *SHARED))
    assert answer.body == NEW
    kept = [
        pair for pair in answer.fields if pair[0] not in {b"Vary", b"ETag", b"X-Layout-Mutation", b"Content-Length"}
    ]
    given = [tuple(field.encode().split(b": ", 1)) for field in SHARED if not field.startswith("Vary")]
    assert kept[1:] == given
    assert answer.all(b"Vary") == [b"Origin, Accept-Encoding"]


async def test_of_a_page_for_one_visitor_only_what_browsers_are_told_is_left() -> None:
    answer = await fetched(rules=table(headline(conditions={"returning": True})), page=html(PAGE, *SHARED))
    assert answer.all(b"Cache-Control") == [b"private, max-age=60, stale-while-revalidate=30"]
    assert (answer.get(b"Age"), answer.get(b"Expires")) == (b"20", b"Fri, 27 Nov 2026 08:00:00 GMT")
    assert not any(b"surrogate" in name.lower() or b"litespeed" in name.lower() for name, _ in answer.fields)


@pytest.mark.parametrize(
    "spelling", ["no-transform", "No-Transform , max-age=1", "max-age=1,\tNO-TRANSFORM", "no-transform=1"]
)
async def test_no_transform_in_any_spelling(spelling: str) -> None:
    answer = await fetched(
        "Accept-Encoding: br", rules=table(headline()), page=html(PAGE * 50, f"Cache-Control: {spelling}")
    )
    assert (answer.verdict, answer.body, answer.get(b"Content-Encoding")) == (
        b"passed; reason=no_transform",
        PAGE * 50,
        None,
    )


async def test_a_304_says_the_same_of_its_page() -> None:
    async with (
        origin(answering(html(PAGE, PUBLIC, 'ETag: "v1"'), NOT_MODIFIED)) as site,
        serving(site.url, tables=table(GERMANY), **CACHE) as sidecar,
        client(sidecar.port) as visitor,
    ):
        first = await visitor.get("/", "X-Country: DE", "X-Device: mobile")
        etag = (first.get(b"ETag") or b"").decode()
        again = await visitor.get("/", "X-Country: DE", "X-Device: mobile", f"If-None-Match: {etag}")
        assert (again.status, variant(again), again.get(b"Vary")) == (304, KEPT, first.get(b"Vary"))


NOT_MODIFIED = f'HTTP/1.1 304 Not Modified\r\n{PUBLIC}\r\nETag: "v1"\r\n\r\n'.encode()

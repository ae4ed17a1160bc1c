"""Redirects at the edge: in place of which pages, with which fields, and kept by which caches. Built by `sidecar.proxy`."""

from typing import Any

import pytest

from tests.sidecar.wire import (
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
TOKEN = "a-secret-of-some-length"
PASSED = b"passed; reason="


def redirect(to: str = "/new", **fields: Any) -> dict[str, Any]:
    payload = {"to": to} | {name: fields.pop(name) for name in ("status", "keepQuery") if name in fields}
    return {"id": "r", "pageSlug": "/old", "mutationType": "redirect", "mutationPayload": payload} | fields


async def asked(
    *fields: str,
    rules: Any = None,
    page: bytes = b"",
    target: str = "/old",
    method: str = "GET",
    body: bytes = b"",
    **settings: Any,
) -> Answer:
    async with (
        origin(answering(page or html(PAGE, "Cache-Control: public, max-age=60"))) as site,
        serving(site.url, tables=rules or table(redirect()), **settings) as sidecar,
        client(sidecar.port) as visitor,
    ):
        lines = [f"{method} {target} HTTP/1.1", "Host: shop.example", *fields]
        length = [f"Content-Length: {len(body)}"] if body else []
        await visitor.send("\r\n".join([*lines, *length, "", ""]).encode() + body)
        return await visitor.answer(bodiless=method == "HEAD")


async def test_a_redirect_stands_in_place_of_the_page() -> None:
    answer = await asked(rules=table(redirect(), headline()))
    assert answer.line == b"HTTP/1.1 302 Found"
    assert answer.fields == [
        (b"Location", b"/new"),
        (b"Cache-Control", b"no-cache"),
        (b"X-Layout-Mutation", b"applied; table=7; mutations=1"),
        (b"Content-Length", b"0"),
    ]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_every_status_and_method_of_a_document(status: int) -> None:
    for method, page in (("GET", html(PAGE)), ("HEAD", html(PAGE).removesuffix(PAGE))):
        answer = await asked(rules=table(redirect(status=status)), method=method, page=page)
        assert (answer.status, answer.get(b"Location")) == (status, b"/new")


async def test_cookies_and_what_is_true_of_the_site_stay_and_the_pages_own_fields_go() -> None:
    of_the_page = [
        'ETag: "a"', "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT", "Content-Language: de", "Accept-Ranges: bytes",
        "Content-Security-Policy: default-src 'self'", "Expires: 0", "Age: 3", "Refresh: 5; url=/x", "Location: /x",
        "Link: </a.css>; rel=preload", "CDN-Cache-Control: max-age=60", "Surrogate-Control: x", "Content-Encoding: gzip",
    ]  # fmt: skip
    kept = ["Set-Cookie: a=1", "Set-Cookie: b=2", "Strict-Transport-Security: max-age=1", "Server: origin"]
    answer = await asked(page=html(PAGE, *of_the_page, *kept))
    names = [f"{name.decode()}: {value.decode()}" for name, value in answer.fields]
    own = ["Location: /new", "Cache-Control: no-cache", "X-Layout-Mutation: applied; table=7; mutations=1"]
    assert names == [*kept, *own, "Content-Length: 0"]


async def test_the_body_of_the_page_is_not_waited_for() -> None:
    endless = html(PAGE).replace(b"Content-Length: %d" % len(PAGE), b"Content-Length: 999999")
    assert (await asked(page=endless)).status == 302


@pytest.mark.parametrize(
    ("answered", "fields", "reason"),
    [
        (response(b"", "Location: /theirs", status="301 Moved Permanently"), (), b"status"),
        (response(b"{}", "Content-Type: application/json"), (), b"content_type"),
        (html(PAGE, "Cache-Control: no-transform"), (), b"no_transform"),
        (html(PAGE, "Content-Disposition: attachment"), (), b"attachment"),
        (html(PAGE), ("HX-Request: true",), b"partial"),
    ],
)
async def test_what_forbids_rewriting_forbids_redirecting(
    answered: bytes, fields: tuple[str, ...], reason: bytes
) -> None:
    answer = await asked(*fields, page=answered)
    assert answer.verdict == PASSED + reason
    assert answer.get(b"Location") != b"/new"


async def test_a_page_that_is_not_found_may_have_moved() -> None:
    assert (await asked(page=html(PAGE, status="404 Not Found"))).status == 302


async def test_a_post_is_answered_with_its_page_and_the_changes_of_it() -> None:
    rules = table(redirect(), headline())
    answer = await asked(rules=rules, method="POST", body=b"a=b")
    assert (answer.status, answer.body) == (200, PAGE.replace(b"Old", b"New"))


async def test_an_address_is_never_redirected_to_itself() -> None:
    rules = table(redirect(pageSlug="*", keepQuery=True))
    there = await asked(rules=rules, target="/new?a=%27")
    assert (there.status, there.verdict) == (200, PASSED + b"no_rules")
    assert (await asked(rules=rules, target="/old?a='&b")).get(b"Location") == b"/new?a=%27&b"


@pytest.mark.parametrize(
    ("rules", "fields", "caching"),
    [
        ([redirect(status=301)], (), b"max-age=3600"),
        ([redirect(status=308), headline(pageSlug="/old")], (), b"max-age=3600"),
        ([redirect(status=301, conditions={"mobile": True})], ("User-Agent: Mobi",), b"no-store"),
        ([redirect(status=301), headline(conditions={"mobile": True})], (), b"no-store"),
        ([redirect(status=301, schedule={"startsAt": "2025-01-01T00:00:00Z"})], (), b"no-store"),
        ([redirect(conditions={"mobile": True})], ("User-Agent: Mobi",), b"private, no-cache"),
    ],
)
async def test_caches_keep_only_what_every_visit_gets(
    rules: list[Any], fields: tuple[str, ...], caching: bytes
) -> None:
    answer = await asked(*fields, rules=table(*rules))
    assert answer.get(b"Location") == b"/new"
    assert answer.all(b"Cache-Control") == [caching]


@pytest.mark.parametrize(
    ("said", "lasting", "passing"),
    [
        ("Cache-Control: private", b"no-store", b"private, no-cache"),
        ("Cache-Control: max-age=60, no-store", b"no-store", b"private, no-cache"),
        ("CDN-Cache-Control: no-store", b"no-store", b"private, no-cache"),
        ("Pragma: no-cache", b"no-store", b"private, no-cache"),
        ("Vary: *", b"no-store", b"private, no-cache"),
        ("Vary: Cookie", b"max-age=3600", b"no-cache"),
    ],
)
async def test_a_redirect_is_kept_by_nobody_who_may_not_keep_the_page(
    said: str, lasting: bytes, passing: bytes
) -> None:
    """Of one visitor's page the origin may say another layout, by which a rule goes that reads nothing of the visitor."""
    page = html(PAGE, "X-Layout-Id: mine", said)
    for status, expected in ((301, lasting), (302, passing)):
        answer = await asked(rules=table(redirect(status=status, layoutId="mine")), page=page)
        assert (answer.status, answer.all(b"Cache-Control")) == (status, [expected])


async def test_a_lasting_redirect_is_not_kept_with_somebodys_cookie_or_in_a_partial_rollout() -> None:
    lasting = table(redirect(status=301))
    assert (await asked(rules=lasting, page=html(PAGE, "Set-Cookie: a=1"))).get(b"Cache-Control") == b"no-store"
    partial = await asked(rules=lasting, rollout=0.999999)
    assert (partial.status, partial.get(b"Cache-Control")) == (301, b"no-store")


async def test_no_unit_is_given_to_who_is_sent_away() -> None:
    payload = {"experimentId": "e", "variations": {"control": {}, "new": headline()["mutationPayload"]}}
    variant = {"id": "v", "mutationType": "variant", "mutationPayload": payload}
    experiment = {"id": "e", "variations": [{"key": "control"}, {"key": "new"}]}
    answer = await asked(rules=table(redirect(status=308), variant, experiments=[experiment]))
    assert (answer.status, answer.all(b"Set-Cookie"), answer.get(b"Cache-Control")) == (308, [], b"no-store")


async def test_switches_hold() -> None:
    token = f"X-Layout-Mutation-Token: {TOKEN}"
    settings: dict[str, Any] = {"rules": table(redirect(moduleId="hero")), "ops_token": TOKEN}
    for switch in ("X-Layout-Mutation: off", "X-Layout-Mutation-Disable: hero", "X-Layout-Mutation-Only: cta"):
        answer = await asked(token, switch, **settings)
        assert (answer.status, answer.body, answer.get(b"Cache-Control")) == (200, PAGE, b"no-store")
    shown = await asked(token, "X-Layout-Mutation-Explain: 1", **settings)
    assert (shown.status, shown.get(b"X-Layout-Mutation-Explain")) == (302, b"r=applied")
    assert shown.all(b"Cache-Control") == [b"no-store"]
    assert (await asked(rollout=0)).verdict == PASSED + b"rollout"


async def test_a_copy_of_the_page_is_not_confirmed_while_a_redirect_applies() -> None:
    """The origin's own ETag, and one of ours from before the redirect: both would bring the page back."""
    page = html(PAGE, 'ETag: "a"')
    async with (
        origin(answering(page)) as site,
        serving(site.url, tables=table(headline())) as before,
        serving(site.url, tables=table(headline(), redirect())) as after,
        client(before.port) as early,
        client(after.port) as late,
    ):
        ours = (await early.get("/old")).get(b"ETag") or b""
        assert ours.startswith(b'W/"lm.')
        for etag in (ours.decode(), '"a"'):
            answer = await late.get("/old", f"If-None-Match: {etag}", "Range: bytes=0-3")
            assert (answer.status, answer.get(b"ETag")) == (302, None)
        assert not any(b"if-none-match" in head.lower() for head in site.heads)


async def test_a_redirect_needs_no_rewriter() -> None:
    assert (await asked(rewriter=InlineRewriter(broken=True))).status == 302


async def test_in_local_mode_a_redirect_to_the_site_stays_here() -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(redirect(f"{site.url}/new")), local_mode=True) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/old", "Host: localhost:8080")
    assert answer.get(b"Location") == b"http://localhost:8080/new"

"""What the origin is asked, and who is taken to ask."""

from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from sidecar.context import visit
from tests.sidecar.visiting import visiting
from tests.sidecar.wire import answering, client, headline, html, origin, serving, table

TOKEN = "a-secret-of-some-length"
PAGE = b"<!doctype html><html><head></head><body><h1>Old</h1></body></html>"


async def asked(request: bytes, **settings: Any) -> bytes:
    """The head that the origin gets."""
    async with origin(answering(html(PAGE))) as site:
        async with serving(site.url, tables=table(headline()), **settings) as sidecar, client(sidecar.port) as visitor:
            await visitor.send(request)
            await visitor.answer()
        return site.heads[0].replace(site.url.removeprefix("http://").encode(), b"origin")


@pytest.mark.parametrize(
    ("method", "framing"),
    [(b"GET", None), (b"OPTIONS", None), (b"POST", b"Content-Length: 0\r\n"), (b"DELETE", b"Content-Length: 0\r\n")],
)
async def test_a_method_that_may_have_a_body_says_that_there_is_none(method: bytes, framing: bytes | None) -> None:
    head = await asked(method + b" / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert (b"Content-Length" in head) is (framing is not None)
    assert framing is None or framing in head


async def test_a_body_goes_on_in_the_framing_that_it_came_in() -> None:
    sized = await asked(b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc")
    assert b"\r\nContent-Length: 3\r\n" in sized
    chunked = await asked(
        b"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert b"\r\nTransfer-Encoding: chunked\r\n" in chunked
    assert b"Content-Length" not in chunked


async def test_what_a_request_says_is_read_once_however_many_layouts_its_etags_name() -> None:
    """A visitor can name eight; each time a query of 16 KB was read anew, and a signature verified."""
    tags = ", ".join(f'W/"lm.0123456789abcdef.{letter}mE.s.x"' for letter in "ABCDEFGH")
    rules = table(headline(conditions={"user": "ada"}))
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=rules, units="user=jwt:Authorization:sub", unit_jwt_keys="k" * 32) as sidecar,
        client(sidecar.port) as visitor,
    ):
        await visitor.get("/", f"If-None-Match: {tags}", "Authorization: Bearer no.such.token")
        families = {family.name: family for family in sidecar.application.telemetry.families()}
    refused, *_ = families["layout_mutation_unit_tokens_refused"].samples
    assert refused.value == 2, "once for the question, and once for the answer"


@pytest.mark.parametrize(
    ("fields", "settings"),
    [
        ((), {"rollout": 0.0}),
        ((), {"rollout": 1e-9}),
        ((), {"shadow": True}),
        ((f"X-Layout-Mutation-Token: {TOKEN}", "X-Layout-Mutation: off"), {"ops_token": TOKEN}),
    ],
    ids=["rollout over", "rollout of others", "shadow", "an operator's off"],
)
async def test_who_gets_no_changed_page_gets_none_back_by_its_validator(
    fields: tuple[str, ...], settings: dict[str, Any]
) -> None:
    """A browser still has one of before; a 304 would have it shown."""
    page, rules = html(PAGE, 'ETag: "a"'), table(headline())
    async with (
        origin(answering(page, page)) as site,
        serving(site.url, tables=rules) as before,
        serving(site.url, tables=rules, **settings) as sidecar,
        client(before.port) as first,
        client(sidecar.port) as visitor,
    ):
        etag = ((await first.get("/")).get(b"ETag") or b"").decode()
        answer = await visitor.get("/", f"If-None-Match: {etag}", *fields)
    assert (etag.startswith('W/"lm.'), answer.status, answer.body) == (True, 200, PAGE)
    assert b"If-None-Match" not in site.heads[1]


@pytest.mark.parametrize("field", ["If-None-Match", "If-Modified-Since", "Range"])
async def test_each_condition_by_itself_is_kept_from_the_origin_of_a_page(field: str) -> None:
    """Its answer would be a piece of the page, or a word that the page from before a rule is still good."""
    values = {"If-None-Match": '"a"', "If-Modified-Since": "Fri, 27 Nov 2026 08:00:00 GMT", "Range": "bytes=0-9"}
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        answer = await visitor.get("/", f"{field}: {values[field]}")
        assert answer.verdict == b"applied; table=7; mutations=1"
        assert field.encode() not in site.heads[0]


async def test_a_write_names_the_origins_validator() -> None:
    page = html(PAGE, 'ETag: "a"')
    async with (
        origin(answering(page, page)) as site,
        serving(site.url, tables=table(headline())) as sidecar,
        client(sidecar.port) as visitor,
    ):
        etag = ((await visitor.get("/")).get(b"ETag") or b"").decode()
        await visitor.get("/", f"If-Match: {etag}", method="PUT", body=b"x")
        assert b'\r\nIf-Match: "a"\r\n' in site.heads[1]
        assert b"lm." not in site.heads[1]


@pytest.mark.parametrize(
    ("target", "accept", "settings", "stays"),
    [
        ("/style.css", "*/*", {}, True),
        ("/page", "text/html", {}, False),
        ("/page", "text/html", {"rollout": 0.0}, True),
        ("/page", "text/html", {"rollout": 1e-9}, False),
    ],
    ids=["no page", "a page", "a page that nobody gets changed", "a page that few get changed"],
)
async def test_what_is_certain_to_pass_keeps_its_validator_and_its_range(
    target: str, accept: str, settings: dict[str, Any], stays: bool
) -> None:
    lines = (f"GET {target} HTTP/1.1", "Host: a", f"Accept: {accept}", 'If-None-Match: "a"', "Range: bytes=0-1", "", "")
    head = await asked("\r\n".join(lines).encode(), **settings)
    assert [b'If-None-Match: "a"' in head, b"Range: bytes=0-1" in head] == [stays, stays]


async def test_what_connection_names_stays_here_and_so_do_our_own_fields() -> None:
    head = await asked(
        b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Layout-Mutation: off\r\nX-End: 2\r\n\r\n"
    )
    assert b"X-Hop" not in head
    assert b"X-Layout-Mutation" not in head
    assert b"\r\nX-End: 2\r\n" in head


async def test_only_a_trusted_proxy_says_who_asks_over_what() -> None:
    request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"
    assert b"proto=http\r\n" in await asked(request)
    assert b"proto=https\r\n" in await asked(request, trust_forwarded=True)


@pytest.mark.parametrize("trusted", [True, False])
async def test_behind_a_trusted_proxy_a_visitor_is_at_the_last_address_that_it_wrote_down(trusted: bool) -> None:
    """Those before it are what the visitor says. Who has no unit is in a rollout or not by the address."""
    addresses = [f"192.0.2.{number}" for number in range(50)]
    inside = {one: visit.in_rollout(0.5, replace(visiting(), address=one)) for one in (*addresses, "127.0.0.1")}
    assert 10 < sum(inside.values()) < 40
    async with (
        origin(answering(*[html(PAGE)] * 50)) as site,
        serving(site.url, tables=table(headline()), rollout=0.5, trust_forwarded=trusted) as sidecar,
        client(sidecar.port) as visitor,
    ):
        for said, nearest in pairwise(addresses):
            answer = await visitor.get("/", f"X-Forwarded-For: {said}, {nearest} ")
            is_changed = inside[nearest if trusted else "127.0.0.1"]
            assert answer.body == (PAGE.replace(b"Old", b"New") if is_changed else PAGE)


async def test_in_local_mode_the_origin_is_asked_under_its_own_name() -> None:
    head = await asked(b"GET / HTTP/1.1\r\nHost: localhost:1\r\nReferer: http://localhost:1/a\r\n\r\n", local_mode=True)
    assert b"\r\nHost: origin\r\n" in head
    assert b"\r\nReferer: http://origin/a\r\n" in head
    assert b"Forwarded" not in head

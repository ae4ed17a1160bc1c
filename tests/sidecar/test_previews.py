"""Preview links: who sees the draft, and that nothing of it reaches the origin, a cache or the browser's memory."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rules import previews
from rules.previews import Preview, seal
from rules.sealing import key_id
from rules.table import DecisionTable
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from tests.sidecar.one_headline import LOOKING, PAGE, counted, variant, weighing
from tests.sidecar.wire import (
    NOON,
    Client,
    Origin,
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

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
LATER = int(NOON.timestamp()) + 60
VARIANT = variant("Varied")
EXPERIMENT = weighing(1.0, 0.0)


def page(text: str) -> bytes:
    return PAGE.replace(b"Old", text.encode())


def link(*drafts: Any, target: str = "/", expires_at: int = LATER, signing: Any = KEY, **forced: str) -> str:
    rules = msgspec.json.encode({"mutations": drafts}) if drafts else b""
    token = seal(Preview(expires_at, forced, rules), key_id=key_id(PUBLIC), sign=signing.sign)
    return f"{target}{'&' if '?' in target else '?'}layout-mutation-preview={token}"


@asynccontextmanager
async def previewing(
    rules: DecisionTable | None, script: Script | None = None, **settings: Any
) -> AsyncIterator[tuple[Sidecar, Client, Origin]]:
    async with (
        origin(script or answering(html(PAGE, 'ETag: "a"', "Cache-Control: public, max-age=60"))) as site,
        serving(
            site.url, tables=rules, table_public_keys=base64.b64encode(PUBLIC).decode(), state_keys="k" * 32, **settings
        ) as sidecar,
        client(sidecar.port) as visitor,
    ):
        yield sidecar, visitor, site


async def test_a_draft_is_shown_to_who_has_the_link_and_to_nobody_else() -> None:
    async with previewing(table(headline("Live"))) as (sidecar, visitor, site):
        answer = await visitor.get(link(headline("Draft"), target="/a?b=%7E"))
        assert (answer.body, answer.verdict) == (page("Draft"), b"applied; table=7; mutations=1")
        assert site.heads[0].startswith(b"GET /a?b=%7E HTTP/1.1\r\n")
        assert (await visitor.get("/a?b=%7E")).body == page("Live")
        assert counted(sidecar, "previews") == {"shown": 1}


async def test_nothing_of_it_stays() -> None:
    rules = table(headline("Live"), VARIANT, experiments=[EXPERIMENT], attributes=[LOOKING])
    async with previewing(rules) as (_, visitor, site):
        plain = await visitor.get("/")
        assert len(plain.all(b"Set-Cookie")) == 2
        answer = await visitor.get(link(headline("Draft")), 'If-None-Match: "a"', "Range: bytes=0-1")
        assert (answer.status, answer.body) == (200, page("Draft"))
        assert (answer.all(b"Set-Cookie"), answer.all(b"ETag")) == ([], [])
        assert answer.all(b"Cache-Control") == [b"no-store"]
        assert (answer.all(b"Server-Timing"), answer.all(b"X-Layout-Mutation-Explain")) == ([], [])
        assert b"If-None-Match" not in site.heads[-1]
        assert b"Range" not in site.heads[-1]


async def test_a_variation_is_forced_and_an_operators_word_goes_before() -> None:
    token = "a-secret-of-some-length"
    async with previewing(table(VARIANT, experiments=[EXPERIMENT]), ops_token=token) as (_, visitor, _):
        assert (await visitor.get("/")).body == PAGE
        assert (await visitor.get(link(e="new"))).body == page("Varied")
        said = (f"X-Layout-Mutation-Token: {token}", "X-Layout-Mutation-Force: e=control")
        assert (await visitor.get(link(e="new"), *said)).body == PAGE
        assert (await visitor.get(link(e="new"), said[0], "X-Layout-Mutation: off")).body == PAGE


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (link(headline("Draft"), expires_at=LATER - 60), "expired"),
        (link(headline("Draft"), signing=Ed25519PrivateKey.generate()), "bad_signature"),
        ("/?layout-mutation-preview=nonsense", "malformed"),
        ("/?layout-mutation-preview", "malformed"),
        ("/?layout-mutation-preview=%ff", "malformed"),
        (link(headline("Draft", conditions={"a": {"$regex": "("}})), "invalid_rules"),
        (
            link({"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/x", "status": 302}}),
            "invalid_rules",
        ),
    ],
)
async def test_a_link_that_does_not_count_is_the_page_that_everybody_sees(address: str, why: str) -> None:
    async with previewing(table(headline("Live"))) as (sidecar, visitor, site):
        expected, answer = await visitor.get("/"), await visitor.get(address)
        assert answer.raw == expected.raw
        assert answer.body == expected.body == page("Live")
        assert site.heads[0] == site.heads[1]
        assert counted(sidecar, "previews") == {why: 1}
        assert not any(counted(sidecar, "failures").values()), "somebody's link is no failure of ours"


async def test_without_public_keys_no_link_counts() -> None:
    async with (
        origin(answering(html(PAGE))) as site,
        serving(site.url, tables=table()) as sidecar,
        client(sidecar.port) as visitor,
    ):
        assert (await visitor.get(link(headline("Draft")))).body == PAGE
        assert counted(sidecar, "previews") == {"bad_signature": 1}


async def test_the_rollout_and_shadow_mode_do_not_keep_it_away_but_off_is_off() -> None:
    for settings in ({"rollout": 0.0}, {"shadow": True}):
        async with previewing(table(), **settings) as (sidecar, visitor, _):
            answer = await visitor.get(link(headline("Draft")))
            assert (answer.body, answer.all(b"Cache-Control")) == (page("Draft"), [b"no-store"])
            sidecar.application.switch.told(True)
            assert (await visitor.get(link(headline("Draft")))).verdict == b"passed; reason=switched_off"
            assert counted(sidecar, "previews") == {"shown": 1}


async def test_a_page_that_a_link_shows_is_no_event() -> None:
    async with previewing(table(headline("Live"))) as (sidecar, visitor, _):
        await visitor.get(link(headline("Draft")))
        assert sidecar.told.events == []
        await visitor.get("/")
        assert len(sidecar.told.events) == 1


async def test_one_draft_is_compiled_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hold a link, visitors have the rest of the machine."""
    at_work, most, compiled = 0, 0, previews.with_draft
    several = threading.Barrier(2)

    def compiling(*given: Any) -> Any:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        with suppress(threading.BrokenBarrierError):
            several.wait(0.02)
        at_work -= 1
        return compiled(*given)

    monkeypatch.setattr(previews, "with_draft", compiling)
    async with previewing(table()) as (sidecar, visitor, _), client(sidecar.port) as other:
        answers = await asyncio.gather(*(one.get(link(headline("Draft"))) for one in (visitor, other)))
    assert ([answer.body for answer in answers], most) == ([page("Draft")] * 2, 1)


async def test_there_is_a_draft_where_there_is_no_table() -> None:
    async with previewing(None) as (_, visitor, _):
        assert (await visitor.get(link(headline("Draft")))).body == page("Draft")
        assert (await visitor.get(link(e="new"))).verdict == b"passed; reason=no_table"


async def test_the_origin_is_not_told_by_the_page_that_leads_on_either() -> None:
    async with previewing(table()) as (_, visitor, site):
        await visitor.get("/style.css", "Referer: http://shop.example" + link(headline("Draft"), target="/a?b"))
        assert b"\r\nReferer: http://shop.example/a?b\r\n" in site.heads[0]
        await visitor.get("/style.css", "Referer: http://shop.example/about-layout-mutation-preview?x=%7E")
        assert b"\r\nReferer: http://shop.example/about-layout-mutation-preview?x=%7E\r\n" in site.heads[1]


async def test_what_is_no_page_passes_without_the_parameter() -> None:
    async with previewing(table(), answering(response(b"{}", "Content-Type: application/json"))) as (_, visitor, site):
        answer = await visitor.get(link(headline("Draft"), target="/data"))
        assert (answer.body, answer.verdict) == (b"{}", b"passed; reason=content_type")
        assert site.heads[0].startswith(b"GET /data HTTP/1.1\r\n")


async def test_what_comes_of_a_draft_is_not_laid_to_the_mutation_in_force() -> None:
    async with previewing(table(headline("Live"))) as (sidecar, visitor, _):
        live = sidecar.tables.current
        assert live is not None
        await visitor.get(link(headline("Draft", version=1)))
        assert live.versions(["preview:headline"]) == {}  # so that a second opinion finds nothing to hold
        sidecar.application.inspection.hold(Held((HeldMutation("headline", 1, Why.DIFFERS, 1, 600.0),)))
        assert (await visitor.get("/")).body == PAGE
        assert (await visitor.get(link(headline("Draft", version=1)))).body == page("Draft")

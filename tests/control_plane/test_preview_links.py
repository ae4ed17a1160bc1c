"""Links to the site: what they carry, where they lead, and that a sidecar shows it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from control_plane.preview_links import SECONDS
from control_plane.signing import Signer
from rules.context import Context
from rules.decision import decide
from rules.model import LayoutMutation, decode_mutation, decode_rules
from rules.previews import Preview, Refusal, opened, taken, with_draft
from tests.control_plane.plane import Plane, headline, running, settings_of
from tests.sidecar.wire import NOON


@pytest.fixture
async def plane(database_url: str, redis_url: str, redis_environment: str, tmp_path: Path) -> AsyncIterator[Plane]:
    urls = {"shop.example": "https://www.shop.example/"}
    settings = settings_of(database_url, redis_url, redis_environment, tmp_path, site_urls=urls)
    async with running(settings) as instance:
        yield instance


def said(plane: Plane, link: str, in_s: float = 0) -> Preview | Refusal:
    """What a sidecar with the public key reads, so many seconds from now."""
    signer = Signer(plane.services.settings.signing_key)
    public: Ed25519PublicKey = signer._public

    def verify(name: str, signature: bytes, message: bytes) -> bool:
        public.verify(signature, message)
        return name == signer.key_id

    token = taken(link)[1]
    assert token is not None
    now = plane.services.publishing.now().timestamp()
    return opened(token, verify=verify, now_s=now + in_s)


async def linked(plane: Plane, draft: LayoutMutation | None, site: str = "shop.example", address: str = "/a") -> str:
    return await plane.services.preview_links.link(site, address, draft=draft, forced={"e": "new"})


def draft(**more: Any) -> LayoutMutation:
    return decode_mutation(msgspec.json.encode(headline("Draft", id="hero", **more)))


async def test_a_link_leads_to_the_site_and_keeps_the_query(plane: Plane) -> None:
    for site, address, shown in (
        ("shop.example", "/a?b=%7E#c", "https://www.shop.example/a?b=%7E&layout-mutation-preview="),
        ("other.example", "/", "https://other.example/?layout-mutation-preview="),
    ):
        assert (await linked(plane, None, site, address)).startswith(shown)
    with pytest.raises(ValueError, match="CONTROL_PLANE_SITE_URLS"):
        await linked(plane, None, "*")


async def test_a_link_holds_for_an_hour(plane: Plane) -> None:
    link = await linked(plane, None)
    found = said(plane, link, SECONDS - 60)
    assert isinstance(found, Preview)
    assert (found.forced, found.rules) == ({"e": "new"}, b"")
    assert said(plane, link, SECONDS + 1) is Refusal.EXPIRED


async def test_a_draft_comes_as_if_it_were_on_with_what_it_refers_to(plane: Plane) -> None:
    for kind, document in (
        ("segments", {"id": "tea", "conditions": {"mobile": True}}),
        ("segments", {"id": "unused", "conditions": {"mobile": True}}),
        ("attributes", {"id": "buying", "kind": "journey", "steps": [{"id": "look", "pageSlug": "/**"}]}),
    ):
        answer = await plane.ask("POST", kind, document)
        assert answer.status == 201, answer.body
    paused = draft(isActive=False, status="paused", trigger={"on": "segment", "segment": "tea"})
    found = said(plane, await linked(plane, paused))
    assert isinstance(found, Preview)
    file = decode_rules(found.rules)
    assert [(one.id, one.is_active, one.status) for one in file.mutations] == [("hero", True, "active")]
    assert ([one.id for one in file.segments], file.attributes) == (["tea"], [])
    made = with_draft(None, found.rules, "shop.example", "/a")
    for mobile, reason in ((True, "applied"), (False, "trigger")):
        context = Context(site="shop.example", path="/a", now=NOON, attributes={"mobile": mobile})
        assert [outcome.reason.value for outcome in decide(made, context).outcomes] == [reason]


async def test_what_no_link_can_show_is_said(plane: Plane) -> None:
    redirect = decode_mutation(
        b'{"id": "r", "mutationType": "redirect", "mutationPayload": {"to": "/x", "status": 302}}'
    )
    with pytest.raises(ValueError, match="redirect is not shown"):
        await linked(plane, redirect)
    with pytest.raises(ValueError, match="too large for a link"):
        await linked(plane, draft(note="".join(chr(0x4E00 + (i * i) % 20_000) for i in range(9_000))))

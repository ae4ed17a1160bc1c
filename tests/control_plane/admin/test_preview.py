"""Preview: both sides of a page of a registered origin, harmless, and for nobody but who asked."""

import pytest

from control_plane.admin.addresses import PREFIX
from control_plane.admin.preview import KeptPage, KeptPages
from control_plane.services import Services
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import HEADLINE, write

FORM = "form[data-typed]"


def frames(page_sources: list[str | None]) -> tuple[str, str]:
    before, after = page_sources
    assert before is not None
    assert after is not None
    return before, after


async def test_what_is_saved_is_shown_as_if_it_were_on(admin: Person, origin: str) -> None:
    saved = await write(admin)
    page = await admin.open(f"{PREFIX}/preview?mutation={saved.id}")
    assert page.status == 200
    assert "Applied" in page.words(".outcomes")
    assert "A second parser agrees" in page.words()
    iframes = page.tree.css("iframe")
    assert [node.attributes.get("sandbox", "none") for node in iframes] == [None, None]
    before, after = frames([node.attributes["src"] for node in iframes])
    shown_before, shown_after = await admin.open(before), await admin.open(after)
    assert shown_before.words("h1") == "Welcome"
    assert shown_after.words("h1") == "Summer is here"
    policy = shown_after.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none'; style-src " + origin)
    assert "frame-ancestors 'self'" in policy
    base = shown_after.tree.css_first("base")
    assert base is not None
    assert base.attributes["href"] == f"{origin}/"


async def test_what_is_typed_is_shown_unsaved_and_the_way_back_keeps_it(admin: Person, services: Services) -> None:
    form = await admin.open(f"{PREFIX}/new?type=replace")
    page = await admin.submit(form, FORM, {**HEADLINE, "note": "two\nlines", "priority": "5"}, button="preview")
    assert page.status == 200, page.words()
    _, after = frames([node.attributes["src"] for node in page.tree.css("iframe")])
    assert (await admin.open(after)).words("h1") == "Summer is here"
    assert (await services.mutations.page()).items == ()
    elsewhere = await admin.submit(page, "form.filters", {"previewAddress": "/other"})
    assert (
        "belongs to another page" in elsewhere.words(".outcomes").lower() or "No mutation is about" in elsewhere.words()
    )
    back = await admin.submit(elsewhere, ".head form", button="edit")
    assert back.words("h1") == "New mutation"
    saved = await admin.submit(back, FORM, button="save")
    assert saved.words("h1") == "Summer headline"
    (stored,) = (await services.mutations.page()).items
    assert (stored.note, stored.priority, stored.page_slug) == ("two\nlines", 5, "/")


async def test_a_form_that_is_wrong_is_shown_again(admin: Person) -> None:
    form = await admin.open(f"{PREFIX}/new?type=replace")
    page = await admin.submit(form, FORM, {**HEADLINE, "mutationPayload.target.selector": "h1["}, button="preview")
    assert page.status == 422
    assert page.tree.css_first('[id="mutationPayload.target.selector"][aria-invalid]') is not None


async def test_an_edit_is_shown_in_place_of_what_is_saved(admin: Person) -> None:
    saved = await write(admin)
    on = await admin.submit(saved.page, "details.turn form")
    form = await admin.open(on.url.partition("?")[0] + "/edit")
    page = await admin.submit(form, FORM, {"mutationPayload.content.value": "Autumn"}, button="preview")
    before, after = frames([node.attributes["src"] for node in page.tree.css("iframe")])
    assert (await admin.open(after)).words("h1") == "Autumn"
    assert (await admin.open(before)).words("h1") == "Welcome"
    assert len(page.tree.css(".outcomes tbody tr")) == 1


async def test_redirects_stay_at_the_origin(admin: Person, origin: str) -> None:
    page = await admin.open(f"{PREFIX}/preview?previewSite=*&previewAddress=/moved")
    before, _ = frames([node.attributes["src"] for node in page.tree.css("iframe")])
    base = (await admin.open(before)).tree.css_first("base")
    assert base is not None
    assert base.attributes["href"] == f"{origin}/deep/page"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "query",
    [
        "previewAddress=/away",
        "previewAddress=/data",
        "previewSite=evil.example&previewAddress=/%0d%0aHost:x",
        "previewAddress=/x&previewVisit=[1]",
        "previewAddress=/x&previewVisit={",
    ],
)
async def test_other_addresses_are_refused_in_words(refused: tuple[Person, Services], query: str) -> None:
    page = await refused[0].open(f"{PREFIX}/preview?{query}")
    assert page.status == 422
    assert page.words("[role=alert] h2") == "No preview of this page"
    assert not page.tree.css("iframe")


async def test_an_address_never_leads_to_another_host(admin: Person, origin: str) -> None:
    for address in ("//169.254.169.254/x", "http://169.254.169.254/", "\\\\evil", "@evil/"):
        page = await admin.open(f"{PREFIX}/preview?previewAddress={address}")
        for node in page.tree.css("iframe"):
            assert (await admin.open(node.attributes["src"] or "")).words("h1") == "Welcome"  # our origin answered


async def test_documents_are_for_the_session_that_asked(admin: Person, viewer: Person) -> None:
    page = await admin.open(f"{PREFIX}/preview?previewAddress=/")
    before, _ = frames([node.attributes["src"] for node in page.tree.css("iframe")])
    assert (await viewer.open(before)).status == 404
    assert (await admin.open(f"{PREFIX}/preview/unknown/after")).status == 404


def test_old_previews_are_forgotten() -> None:
    pages = KeptPages(pages_max=2, bytes_max=100)
    kept = KeptPage(session_id="s", before=b"x" * 30, after=b"x" * 30, charset=None, policy="")
    first, second = pages.keep(kept), pages.keep(kept)
    assert (pages.get(first), pages.get(second)) == (None, kept)
    whole = KeptPage(session_id="s", before=b"x" * 1_000, after=b"", charset=None, policy="")
    assert pages.get(pages.keep(whole)) == whole  # the newest is always kept


async def test_a_redirect_is_told_above_the_page_it_stands_for(admin: Person) -> None:
    form = await admin.open(f"{PREFIX}/new?type=redirect")
    typed = {"name": "Moved", "pageSlug": "/", "mutationPayload.to": "/elsewhere?a", "mutationPayload.status": "307"}
    page = await admin.submit(form, FORM, typed, button="preview")
    assert page.status == 200, page.words()
    assert "sent to /elsewhere?a with status 307" in page.words()
    assert "redirects to /elsewhere?a" in page.words(".outcomes")
    assert "passes as it came" not in page.words()


async def test_who_may_write_can_open_it_on_the_site(admin: Person, editor: Person, viewer: Person) -> None:
    saved = await write(admin)
    there = f"{PREFIX}/preview?mutation={saved.id}&previewSite=shop.example&previewAddress=/a?b"
    for somebody in (admin, editor):
        link = (await somebody.open(there)).tree.css_first("#on-site")
        assert link is not None
        assert (link.attributes["href"] or "").startswith("https://shop.example/a?b&layout-mutation-preview=")
        assert link.attributes["rel"] == "noopener noreferrer"
    assert (await viewer.open(there)).tree.css_first("#on-site") is None
    nothing = f"{PREFIX}/preview?previewSite=shop.example&previewAddress=/a"
    assert (await admin.open(nothing)).tree.css_first("#on-site") is None
    forced = await admin.open(f"{nothing}&previewForced=e%3Dnew")
    assert forced.words("#on-site") == "Open on the site"


async def test_where_there_is_no_link_it_says_why(admin: Person) -> None:
    saved = await write(admin)
    shown = await admin.open(f"{PREFIX}/preview?mutation={saved.id}&previewSite=*&previewAddress=/")
    assert "CONTROL_PLANE_SITE_URLS does not say" in shown.words("#on-site")

"""The page of toggles: written, put in force, lifted and deleted, by whoever may."""

import pytest

from control_plane.admin.addresses import TOGGLES, mutation
from control_plane.services import Services
from rules.model import Toggle
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write

FORM = "#new-toggle"


async def served(services: Services) -> list[Toggle]:
    """The toggles that visitors get."""
    table = await services.publishing.current()
    return [] if table is None else list(table.rules.toggles)


async def test_a_toggle_from_its_form_to_its_end(admin: Person, services: Services) -> None:
    saved = await write(admin)
    page = await admin.open(TOGGLES)
    assert page.words(".empty h2") == "Nothing is switched off here"
    fields = {
        "toggle.name": "Sale over",
        "toggle.mutationId": saved.id,
        "toggle.note": "Until Monday.",
        "reason": "broken",
    }
    page = await admin.submit(page, FORM, fields, button="save")
    assert (page.status, page.words("[role=status]")) == (200, "The toggle is saved.")
    row = page.words("tbody tr")
    assert "Sale over" in row
    assert f"mutation {saved.id}" in row
    assert "off now" in row
    assert "broken" in row
    assert page.tree.css_first(f'tbody a[href="{mutation(saved.id)}"]') is not None
    [toggle] = await served(services)
    assert (toggle.name, toggle.mutation_id, toggle.site) == ("Sale over", saved.id, "*")
    page = await admin.submit(page, "form[action$=lift]", {"reason": "mended"})
    assert "applies again" in page.words("[role=status]")
    assert "not in force" in page.words("tbody tr")
    assert await served(services) == []
    page = await admin.submit(page, "form[action$=force]")
    assert [one.id for one in await served(services)] == [toggle.id]
    page = await admin.submit(page, "form[action$=delete]")
    assert "Deleted" in page.words("[role=status]")
    assert await served(services) == []
    actions = [(one.action, one.reason) for one in await services.toggles.versions(toggle.id)]
    assert actions == [("deleted", ""), ("updated", ""), ("updated", "mended"), ("created", "broken")]


@pytest.mark.parametrize(
    ("fields", "field", "fragment"),
    [
        ({"toggle.moduleId": "no spaces"}, "toggle.moduleId", "letters"),
        ({"toggle.pageSlug": "not a path"}, "toggle.pageSlug", "path pattern"),
        ({}, "", "Say what is off"),
    ],
)
async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(
    admin: Person, fields: dict[str, str], field: str, fragment: str
) -> None:
    given = {"toggle.name": "Kept", **fields}
    page = await admin.submit(await admin.open(TOGGLES), FORM, given, button="save")
    assert page.status == 422
    assert fragment in page.words("#problems")
    if field:
        assert page.tree.css_first(f'#problems a[href="#{field}"]') is not None
    name = page.tree.css_first('[id="toggle.name"]')
    assert name is not None
    assert name.attributes["value"] == "Kept"


async def test_an_editor_prepares_and_does_not_switch_and_a_viewer_reads(
    editor: Person, viewer: Person, services: Services
) -> None:
    page = await editor.open(TOGGLES)
    refused = await editor.submit(page, FORM, {"toggle.layer": "page"}, button="save")
    assert refused.status == 403
    assert "takes the role publisher" in refused.words("[role=alert]")
    csrf = await editor.word()
    page = await editor.send(
        TOGGLES, {"csrf": csrf, "toggle.layer": "page", "toggle.site": "*", "toggle.pageSlug": "*"}
    )
    assert "not in force" in page.words("tbody tr")
    refused = await editor.submit(page, "form[action$=force]")
    assert refused.status == 403
    assert await served(services) == []
    seen = await viewer.open(TOGGLES)
    assert "layer page" in seen.words("tbody tr")
    assert seen.tree.css_first("main form") is None


async def test_a_switch_that_someone_else_was_faster_at_says_so(admin: Person) -> None:
    fields = {"toggle.moduleId": "hero"}
    page = await admin.submit(await admin.open(TOGGLES), FORM, fields, button="save")
    await admin.submit(page, "form[action$=lift]")
    late = await admin.submit(page, "form[action$=lift]")
    assert late.status == 409
    assert "at version 2" in late.words("[role=alert]")


async def test_what_a_toggle_switches_off_is_off_in_the_preview(admin: Person, services: Services) -> None:
    saved = await write(admin)
    await admin.submit(saved.page, "details.turn form")
    shown = await services.preview.page("/")
    assert [one.reason for one in shown.outcomes] == ["applied"]
    await admin.submit(await admin.open(TOGGLES), FORM, {"toggle.mutationId": saved.id}, button="save")
    shown = await services.preview.page("/")
    [outcome] = shown.outcomes
    assert outcome.reason == "switched_off"
    assert outcome.detail.startswith("toggle ")

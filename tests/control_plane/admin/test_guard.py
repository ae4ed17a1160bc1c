"""Changes come from our own pages, from who may make them; what came too late is not lost."""

import pytest

from control_plane.admin.addresses import PREFIX, mutation
from control_plane.services import Services
from tests.control_plane.admin.person import Person, form_fields
from tests.control_plane.admin.writing import write


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_another_site_changes_nothing_even_with_the_word(
    admin: Person, services: Services, headers: dict[str, str]
) -> None:
    saved = await write(admin)
    page = await admin.open(mutation(saved.id))
    form = page.tree.css_first("details.turn form")
    assert form is not None
    answer = await admin.send(mutation(saved.id, "activate"), form_fields(form), headers)
    assert answer.status == 403
    assert not (await services.mutations.get(saved.id)).is_active


@pytest.mark.parametrize("word", ["", "0" * 64, "ä"])
async def test_a_wrong_word_changes_nothing_and_keeps_what_was_typed(
    admin: Person, services: Services, word: str
) -> None:
    page = await admin.open(f"{PREFIX}/new?type=hide")
    form = page.tree.css_first("form[data-typed]")
    assert form is not None
    typed = form_fields(form) | {
        "name": "Kept <b>",
        "mutationPayload.target.selector": ".x",
        "do": "save",
        "csrf": word,
    }
    answer = await admin.send(f"{PREFIX}/new", typed)
    assert (answer.status, answer.words("h1")) == (403, "Send it again")
    assert (await services.mutations.page()).items == ()
    sent = await admin.submit(answer, "main form")
    assert sent.words("h1") == "Kept <b>"


async def test_a_session_that_ended_loses_nothing(admin: Person, services: Services) -> None:
    page = await admin.open(f"{PREFIX}/new?type=hide")
    form = page.tree.css_first("form[data-typed]")
    assert form is not None
    typed = form_fields(form) | {"name": "Long work", "mutationPayload.target.selector": ".x", "do": "save"}
    admin.session.cookie_jar.clear()
    answer = await admin.send(f"{PREFIX}/new", typed)
    assert (answer.status, answer.words("h1")) == (401, "Your session has ended")
    await admin.sign_in()
    again = await admin.submit(answer, "main form")
    assert again.words("h1") == "Send it again"
    assert (await admin.submit(again, "main form")).words("h1") == "Long work"
    assert len((await services.mutations.page()).items) == 1


async def test_a_viewer_looks_and_writes_nothing(admin: Person, viewer: Person, services: Services) -> None:
    saved = await write(admin)
    assert (await viewer.open()).status == 200
    page = await viewer.open(mutation(saved.id))
    assert page.status == 200
    assert not page.tree.css("details.turn, a[href$=edit]")
    word = page.tree.css_first("form.who input[name=csrf]")
    assert word is not None
    own = {"csrf": word.attributes["value"] or "", "version": "1", "reason": "x", "to": "1"}
    for address in ("activate", "deactivate", "archive", "rollback", "edit"):
        answer = await viewer.send(mutation(saved.id, address), own)
        assert answer.status == 403, address
    for address in (f"{PREFIX}/new", f"{PREFIX}/preview"):
        assert (await viewer.send(address, own)).status == 403
    assert (await viewer.open(f"{PREFIX}/new")).status == 403
    assert (await services.mutations.get(saved.id)).version == 1


async def test_an_editor_writes_and_does_not_publish(admin: Person, editor: Person, services: Services) -> None:
    saved = await write(editor)
    page = await editor.open(mutation(saved.id))
    answer = await editor.submit(page, "details.turn form")
    assert answer.status == 409
    assert "publisher" in answer.words("[role=alert]")
    assert not (await services.mutations.get(saved.id)).is_active

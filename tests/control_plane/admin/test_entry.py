"""One entry: before and after in words, undone alone or with what was done together, unless a later change stands in the way."""

from control_plane.admin.addresses import HISTORY, entry, mutation
from control_plane.services import Services
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write


async def newest(services: Services, kind: str = "mutation") -> int:
    return (await services.audit.page(kind=kind, limit=1)).items[0].number


async def test_what_was_changed_stands_beside_what_was_and_is_undone(
    publisher: Person, editor: Person, services: Services
) -> None:
    written = (await write(editor)).id
    created = await newest(services)
    form = await editor.open(f"{mutation(written)}/edit")
    await editor.submit(form, "form[data-typed]", {"mutationPayload.content.value": "Autumn is here"}, button="save")
    changed = await newest(services)
    page = await editor.open(entry(changed))
    assert page.words("h1") == "editor updated the mutation Summer headline"
    assert (page.all_words(".changes del"), page.all_words(".changes ins")) == (["Summer"], ["Autumn"])
    assert page.words(".changes th[scope=row]") == "New content"
    assert "says again what it said in version 1" in page.words("#undo")
    assert page.tree.css_first("#undo form") is None, "an editor may not"

    page = await publisher.open(entry(created))
    assert "is archived; its history stays" in page.words("#undo")
    assert "was updated by editor since (version 2" in page.words("#undo .problem")
    assert page.tree.css_first("#undo form") is None
    refused = await publisher.send(entry(created, "undo"), {"csrf": await publisher.word(), "reason": "no"})
    assert (refused.status, "undo those changes first" in refused.words("[role=alert]")) == (409, True)

    page = await publisher.open(entry(changed))
    refused = await publisher.submit(page, "#undo form", button="alone")
    assert (refused.status, "say why you undo it" in refused.words("[role=alert]")) == (422, True)
    page = await publisher.submit(page, "#undo form", {"reason": "too early"}, button="alone")
    assert page.url.endswith(f"{HISTORY}?done=undone")
    assert "Taken back" in page.words("[role=status]")
    assert "publisher took back what was done to the mutation" in page.words("tbody tr")
    assert "Summer is here" in (await editor.open(mutation(written))).words(".said")


async def test_what_is_no_document_and_what_is_not_there(viewer: Person, services: Services) -> None:
    page = await viewer.open(entry(await newest(services, "session")))
    assert page.words("h1") == "viewer signed in"
    assert "It changed no document" in page.words()
    assert page.tree.css_first("#undo") is None
    assert (await viewer.open(f"{HISTORY}/999999")).status == 404
    assert (await viewer.open(f"{HISTORY}/{'9' * 30}")).status == 404

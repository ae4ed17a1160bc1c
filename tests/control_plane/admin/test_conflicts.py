"""The page of conflicts: both sides with what differs, and a choice that takes what was seen and a reason."""

from typing import Any
from uuid import uuid4

import msgspec

from control_plane.admin.addresses import CONFLICTS, PREFIX, conflict, mutation
from control_plane.services import Services
from control_plane.store import Kind, Shelf
from control_plane.store.mirror.conflicts import Conflict, ConflictDocument, Side, side
from service.clock import now
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write


async def wait_with(services: Services, mutation_id: str, text: str | None, problem: str = "it is another one") -> str:
    """A conflict as a replay leaves it: the mutation with another text, or deleted where that is None; its id."""
    stored = await services.store.find(Kind.MUTATION, mutation_id)
    assert stored is not None
    theirs = await services.store.version(Kind.MUTATION, mutation_id, stored.version)
    assert theirs is not None
    content: dict[str, Any] = msgspec.json.decode(theirs.content)
    content["mutationPayload"]["content"] = {"text": text}
    ours = Side(
        version=theirs.version,
        content=msgspec.Raw(msgspec.json.encode(content)),
        deleted=text is None,
        action="updated",
        actor="Ada",
        reason="called from the train",
        at=now(),
    )
    met = ConflictDocument(kind=Kind.MUTATION, id=mutation_id, ours=ours, theirs=side(theirs, deleted=False))
    kept = Conflict(
        id=str(uuid4()), at=now(), found_at=now(), actor="Ada", reason="", problem=problem, documents=(met,), records=()
    )
    async with services.store.transaction() as transaction:
        await transaction.keep(Shelf.CONFLICT, kept.id, msgspec.json.encode(kept), now())
    return kept.id


async def test_both_sides_stand_beside_each_other_and_a_person_takes_the_one_that_waits(
    publisher: Person, editor: Person, services: Services
) -> None:
    assert (await publisher.open(CONFLICTS)).words(".empty h2") == "Nothing waits"
    written = (await write(editor)).id
    waiting = await wait_with(services, written, "Autumn is here")
    await services.conflicts.look()
    banner = (await editor.open(PREFIX)).tree.css_first(f'.banner a[href="{CONFLICTS}"]')
    assert banner is not None, "the alert leads here"
    page = await publisher.open(CONFLICTS)
    text = page.words(f"#conflict-{waiting}")
    assert "A change by Ada to Summer headline waits" in text
    assert "In the way: it is another one." in text
    assert "created by editor" in text
    assert "called from the train" in text
    assert page.all_words(".changes del") == ["Summer"]
    assert page.all_words(".changes ins") == ["Autumn"]
    assert page.tree.css_first(f'a[href="{mutation(written)}"]') is not None
    assert (await editor.open(CONFLICTS)).tree.css_first("form.choice") is None
    refused = await publisher.submit(page, "form.choice", button="ours")
    assert (refused.status, "say in `reason`" in refused.words("[role=alert]")) == (422, True)
    page = await publisher.submit(page, "form.choice", {"reason": "Ada is right"}, button="ours")
    assert "as a new version" in page.words("[role=status]")
    assert page.words(".empty h2") == "Nothing waits"
    assert (await services.mutations.get(written)).version == 2
    assert "Autumn is here" in (await publisher.open(mutation(written))).words(".said")
    assert (await editor.open(PREFIX)).tree.css_first(".banner") is None, "and the alert is over"


async def test_nobody_chooses_between_what_they_did_not_see(
    publisher: Person, editor: Person, services: Services
) -> None:
    written = (await write(editor)).id
    waiting = await wait_with(services, written, None)
    page = await publisher.open(CONFLICTS)
    assert "deletes it" in page.words(f"#conflict-{waiting}")
    form = await editor.open(f"{mutation(written)}/edit")
    await editor.submit(form, "form[data-typed]", {"name": "Later"}, button="save")
    refused = await publisher.submit(page, "form.choice", {"reason": "gone"}, button="theirs")
    assert refused.status == 409
    assert "is at version 2 now, you saw 1" in refused.words("[role=alert]")
    assert "changed once more since" in refused.words(f"#conflict-{waiting}")
    kept = refused.tree.css_first("form.choice input[name=reason]")
    assert kept is not None
    assert kept.attributes["value"] == "gone", "what was typed is there"
    page = await publisher.submit(refused, "form.choice", {"reason": "gone"}, button="theirs")
    assert "stays in force" in page.words("[role=status]")
    assert (await services.mutations.get(written)).version == 2
    gone = await publisher.send(conflict(waiting), {"csrf": await publisher.word(), "do": "theirs", "reason": "x"})
    assert gone.status == 404
    denied = await editor.send(conflict(waiting), {"csrf": await editor.word(), "do": "theirs", "reason": "x"})
    assert denied.status == 403

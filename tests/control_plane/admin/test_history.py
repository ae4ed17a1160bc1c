"""One mutation and its versions: who, when, why, what changed, and the way back."""

from msgspec.structs import replace

from control_plane.admin.addresses import mutation
from control_plane.intent import Intent
from control_plane.publishing import SYSTEM
from control_plane.services import Services
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write

FORM = "form[data-typed]"


async def test_history_and_roll_back(admin: Person, services: Services) -> None:
    saved = await write(admin)
    form = await admin.open(mutation(saved.id, "edit"))
    changed = {"mutationPayload.content.value": "Winter is here", "reason": "first frost"}
    page = await admin.submit(form, FORM, changed, button="save")
    assert page.words(".changes del") == "Summer"
    assert page.words(".changes ins") == "Winter"
    assert page.words(".versions blockquote") == "first frost"
    refused = await admin.submit(page, "form[action$=rollback]", {"reason": "  "})
    assert refused.status == 409
    assert "why" in refused.words("[role=alert]")
    back = await admin.submit(page, "form[action$=rollback]", {"reason": "warm again"})
    assert "Rolled back" in back.words("[role=status]")
    newest = await services.mutations.get(saved.id)
    assert (newest.version, newest.rollback_pointer) == (3, 2)
    compared = await admin.open(f"{mutation(saved.id)}?from=1&to=3")
    assert "say the same" in compared.words("[aria-labelledby=changes-title]")
    for query in ("?from=9&to=7", "?from=x&to=%00", "?done=<script>"):
        assert (await admin.open(f"{mutation(saved.id)}{query}")).status == 200


async def test_what_a_mutation_costs_a_cdn_is_on_its_page_while_it_is_on(admin: Person, services: Services) -> None:
    saved = await write(admin)
    intent = Intent(actor=SYSTEM, reason="a test")
    await services.mutations.edit(saved.id, lambda one: replace(one, conditions={"returning": True}), intent)
    told = "It reads `returning`: no shared cache keeps"
    assert told not in (await admin.open(mutation(saved.id))).words("main")
    await services.mutations.activate(saved.id, intent)
    assert told in (await admin.open(mutation(saved.id))).words("main")


async def test_the_page_says_nothing_of_triggers_that_were_not_chosen(admin: Person) -> None:
    words = (await admin.open(mutation((await write(admin)).id))).words("main")
    assert "On every page load" in words
    assert "The step was reached" not in words
    assert "scrolled" not in words

"""The buttons that change what visitors see, each with a reason and the version that was seen."""

from control_plane.admin.addresses import mutation
from control_plane.services import Services
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write

FORM = "form[data-typed]"
SWITCH = "details.turn form"


async def test_on_off_and_archived(admin: Person, services: Services) -> None:
    saved = await write(admin)
    on = await admin.submit(saved.page, SWITCH, {"reason": "summer begins"})
    assert "Switched on." in on.words("[role=status]")
    assert "is published." in on.words("[role=status]")
    table = await services.publishing.current()
    assert table is not None
    assert [one.id for one in table.rules.mutations] == [saved.id]
    off = await admin.submit(on, SWITCH)
    assert "Switched off." in off.words("[role=status]")
    away = await admin.submit(off, "form[action$=archive]")
    assert "Archived." in away.words("[role=status]")
    assert (await admin.open()).words(".empty h2") == "No mutations yet"
    reasons = [(one.action, one.reason) for one in await services.mutations.versions(saved.id)]
    assert reasons[1:3] == [("deactivated", ""), ("activated", "summer begins")]
    back = await admin.submit(away, "form[action$=restore]", {"reason": "needed again"})
    assert "Restored, and switched off" in back.words("[role=status]")
    restored = await services.mutations.get(saved.id)
    assert (restored.is_active, restored.status) == (False, "paused")


async def test_a_switch_that_someone_else_was_faster_at_says_so(admin: Person, editor: Person) -> None:
    saved = await write(admin)
    await editor.submit(await editor.open(mutation(saved.id, "edit")), FORM, {"name": "Newer"}, button="save")
    late = await admin.submit(saved.page, SWITCH)
    assert late.status == 409
    assert "version 2" in late.words("[role=alert]")


async def test_a_roll_back_to_nothing_is_refused(admin: Person) -> None:
    saved = await write(admin)
    for to, status in {"": 400, "x": 400, "-1": 400, "99": 404}.items():
        given = {"csrf": await admin.word(), "version": "1", "to": to, "reason": "r"}
        assert (await admin.send(mutation(saved.id, "rollback"), given)).status == status

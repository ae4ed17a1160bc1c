"""The page of settings: read by everybody, changed by an administrator; with what is done regularly."""

from datetime import timedelta

from control_plane.admin.addresses import SETTINGS
from control_plane.services import Services
from tests.control_plane.admin.person import Person


async def test_an_administrator_changes_them_and_what_is_wrong_stands_at_its_field(
    admin: Person, services: Services
) -> None:
    page = await admin.open(SETTINGS)
    typed = {"eventsKeptDays": "4000", "alertsKeptDays": "9.5", "checkIntervalS": "often", "reason": "less disk"}
    page = await admin.submit(page, "#settings", typed, button="save")
    assert page.status == 422
    assert page.all_words("[role=alert] li") == [
        "Days that alerts are kept: It takes a whole number.",
        "Days that events are kept: It takes 1 to 400.",
        "Seconds between looks at Redis: It takes a number.",
    ]
    good = {"eventsKeptDays": "40", "alertsKeptDays": "90", "checkIntervalS": "0.5"}
    page = await admin.submit(page, "#settings", good, button="save")
    assert "Saved." in page.words("[role=status]")
    assert (services.adjustable.current().events_kept_days, services.adjustable.current().check_interval_s) == (40, 0.5)
    refused = await admin.submit(page, "#settings", {"eventsKeptDays": "41"}, button="save")
    assert (refused.status, "say in `reason`" in refused.words("[role=alert]")) == (409, True)


async def test_others_read_them(viewer: Person, editor: Person) -> None:
    page = await viewer.open(SETTINGS)
    assert page.tree.css_first("#settings button") is None
    assert page.tree.css_first("#eventsKeptDays[readonly]") is not None
    denied = await editor.send(SETTINGS, {"csrf": await editor.word(), "eventsKeptDays": "3"})
    assert denied.status == 403


async def test_what_is_done_regularly_is_shown(viewer: Person, services: Services) -> None:
    async def work() -> None:
        return None

    services.schedules.every("tidy", timedelta(hours=1), work)
    await services.schedules.look()
    await services.schedules.look()
    assert "tidy" in (await viewer.open(SETTINGS)).words("#schedules tbody")

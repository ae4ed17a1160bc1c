"""The page of alerts: what is open and what was; acknowledged by whoever may."""

from control_plane.admin.addresses import ALERTS, PREFIX, alert
from control_plane.alerts import Severity
from control_plane.services import Services
from tests.control_plane.admin.person import Person


async def test_an_alert_from_its_opening_to_its_end(editor: Person, services: Services) -> None:
    page = await editor.open(ALERTS)
    assert page.words(".empty h2") == "All is well"
    services.alerts.report("schema_drift", Severity.WARNING, "A column is missing.", "Run it.", "ALTER TABLE …")
    page = await editor.open(ALERTS)
    assert page.tree.css_first(".banner") is None, "it stands on the page itself"
    assert "look today A column is missing. Run it. What was found ALTER TABLE …" in page.words(".alerts li")
    refused = await editor.submit(page, "form[action$=acknowledge]")
    assert (refused.status, "say in `reason`" in refused.words("[role=alert]")) == (422, True)
    page = await editor.submit(page, "form[action$=acknowledge]", {"reason": "ordered"})
    assert page.status == 200
    assert "Acknowledged" in page.words("[role=status]")
    assert "Acknowledged by editor" in page.words(".alerts li")
    assert page.tree.css_first("form[action$=acknowledge]") is None
    assert "Acknowledged and still open: A column is missing." in (await editor.open(PREFIX)).words(".banner")
    services.alerts.settle("schema_drift")
    page = await editor.open(ALERTS)
    assert page.words(".empty h2") == "All is well"
    row = page.words("tbody tr")
    assert "A column is missing.schema_drift" in row
    assert "editor: ordered" in row


async def test_a_viewer_reads_and_what_is_not_open_is_not_acknowledged(
    viewer: Person, editor: Person, services: Services
) -> None:
    services.alerts.report("x", Severity.WARNING, "What.", "Do this.")
    page = await viewer.open(ALERTS)
    assert "What." in page.words(".alerts")
    assert page.tree.css_first("form[action$=acknowledge]") is None
    denied = await viewer.send(alert("x"), {"csrf": await viewer.word(), "reason": "mine"})
    assert denied.status == 403
    missing = await editor.send(alert("y/z"), {"csrf": await editor.word(), "reason": "mine"})
    assert missing.status == 404

"""Open alerts at the top of every page, each condition once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from aiohttp import web
from yarl import URL

from control_plane.admin.addresses import ALERTS, BACKUPS, CONFLICTS, PREFIX, TOGGLES
from control_plane.admin.banner import PAGES, shown
from control_plane.alerts import Alert, Alerts, Severity
from control_plane.services import SERVICES, Services
from tests.control_plane.admin.person import Person

AT = datetime(2026, 11, 27, tzinfo=UTC)


def alert(instance: str, opened_at: datetime, severity: Severity = Severity.WARNING) -> Alert:
    return Alert(
        id="x",
        opening=instance,
        severity=severity,
        summary=f"of {instance}",
        advice="do this",
        instance=instance,
        opened_at=opened_at,
        seen_at=AT,
    )


def test_what_several_instances_found_is_shown_once() -> None:
    [one] = shown([alert("b", AT, Severity.CRITICAL), alert("a", AT - timedelta(hours=1))])
    assert (one.alert.summary, one.instances, one.since) == ("of b", ("a", "b"), AT - timedelta(hours=1))
    assert (one.tone, one.word, one.known) == ("bad", "act now", False)


def test_it_is_known_where_somebody_knows_of_all_of_it() -> None:
    known = msgspec.structs.replace(alert("a", AT), acknowledged_at=AT)
    assert [one.known for one in shown([known])] == [True]
    assert [one.known for one in shown([known, alert("b", AT)])] == [False]


def test_a_page_is_named_for_alerts_that_there_are() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path("control_plane").rglob("*.py")]
    assert [word for word in PAGES if sum(f'"{word}"' in source for source in sources) < 2] == []


async def test_an_alert_leads_where_whoever_looks_may_go(viewer: Person, admin: Person, services: Services) -> None:
    services.alerts.report("backup_old", Severity.WARNING, "Old.", "Make one.")
    services.alerts.report("conflicts_open", Severity.WARNING, "Conflicts.", "Settle them.")
    leads = {person: await person.open() for person in (viewer, admin)}
    for person, there in ((viewer, False), (admin, True)):
        page = leads[person]
        assert page.tree.css_first(f'.banner a[href="{CONFLICTS}"]') is not None
        assert (page.tree.css_first(f'.banner a[href="{BACKUPS}"]') is not None) is there


def report(alerts: Alerts) -> None:
    alerts.report("database_away", Severity.CRITICAL, "The <database> is away.", "Start it.", "refused")
    alerts.report("repaired", Severity.INFO, "An index was rebuilt.", "Nothing to do.")


async def test_every_page_has_it_and_none_without_alerts(viewer: Person, services: Services) -> None:
    assert (await viewer.open()).tree.css_first(".banner") is None
    report(services.alerts)
    for address in (PREFIX, TOGGLES, f"{PREFIX}/preview", f"{PREFIX}/mutations/none", f"{PREFIX}/nothing"):
        page = await viewer.open(address)
        assert page.all_words(".banner li .badge") == ["act now", "for you to know"], address
        text = page.words(".banner li.bad")
        assert text == "act now The <database> is away. Start it. What was found refused"
        assert page.tree.css_first(f'.banner a[href="{ALERTS}"]') is not None


async def test_it_is_there_while_nobody_can_answer(viewer: Person, beginning: tuple[web.Application, int]) -> None:
    plane, port = beginning
    viewer.base = URL(f"http://127.0.0.1:{port}")
    report(plane[SERVICES].alerts)
    page = await viewer.open()
    assert page.status == 503
    assert "Start it." in page.words(".banner")
    page = await viewer.open(ALERTS)
    assert page.status == 200
    assert "be read while the database is away" in page.words("main")
    assert "The <database> is away." in page.words("main")


async def test_who_is_not_signed_in_sees_none(person: Person, services: Services) -> None:
    report(services.alerts)
    page = await person.open()
    assert page.status == 401
    assert "database" not in page.text

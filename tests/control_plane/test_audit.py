"""Who did what, when and why."""

import asyncpg

from control_plane.audit import AUDIT_CHAIN_BROKEN
from control_plane.intent import Action
from control_plane.settings import ControlPlaneSettings
from control_plane.tokens import Actor, Role
from tests.control_plane.plane import Plane


async def test_every_change_is_noted_with_the_table_that_carries_it(plane: Plane) -> None:
    await plane.create(id="welcome")
    await plane.ask("POST", "mutations/welcome/rollback", {"version": 1, "reason": "try"}, role="publisher")
    entries = (await plane.ask("GET", "audit?kind=mutation&subject=welcome")).json()["items"]
    assert [(one["action"], one["actor"], one["role"], one["reason"]) for one in entries] == [
        ("rolled_back", "the publisher", "publisher", "try"),
        ("created", "the admin", "admin", ""),
    ]
    assert [(one["versionBefore"], one["versionAfter"], one["tableVersion"]) for one in entries] == [
        (1, 2, 3),
        (None, 1, 2),
    ]
    tables = (await plane.ask("GET", "audit?kind=table")).json()["items"]
    assert [(one["action"], one["versionAfter"]) for one in tables] == [("published", n) for n in (3, 2, 1)]


async def test_a_refused_change_is_not_noted(plane: Plane) -> None:
    await plane.ask("DELETE", "mutations/none")
    assert len((await plane.ask("GET", "audit")).json()["items"]) == 1


async def test_entries_are_turned_page_by_page(plane: Plane) -> None:
    audit = plane.services.audit
    for number in range(5):
        await audit.record(Actor("Ada", Role.ADMIN), Action.SIGNED_IN, f"s{number}", "link")
    numbers: list[int] = []
    cursor: str | None = None
    while True:
        page = await audit.page(kind="session", cursor=cursor, limit=2)
        numbers += [entry.number for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert numbers == [6, 5, 4, 3, 2]
    assert (await audit.page(subject="\x00")).items == ()


async def test_an_administrator_has_the_chain_verified(plane: Plane) -> None:
    await plane.create(id="welcome")
    answer = (await plane.ask("GET", "audit/verify")).json()
    assert (answer["sound"], answer["chainedSince"], answer["faults"]) == (True, 1, [])
    assert answer["anchors"] == 1, "the mirror"
    assert (await plane.ask("GET", "audit/verify")).json()["anchors"] == 2, "and the last look"
    assert plane.services.audit.verified is not None
    assert (await plane.ask("GET", "audit/verify", role="publisher")).status == 403


async def test_what_is_found_is_an_alert_until_it_is_mended(plane: Plane, settings: ControlPlaneSettings) -> None:
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("UPDATE layout_mutation.ledger SET audit_number = audit_number + 1")
    assert not (await plane.services.audit.verify()).sound
    assert [alert.id for alert in plane.services.alerts.open()] == [AUDIT_CHAIN_BROKEN]
    await connection.execute("UPDATE layout_mutation.ledger SET audit_number = audit_number - 1")
    await connection.close()
    await plane.services.audit.verify()
    assert plane.services.alerts.open() == ()

"""What the healer does reaches the audit, an alert, a metric and the API; what it leaves is told with its remedy."""

from datetime import UTC, datetime

import asyncpg
import pytest

from control_plane.alerts import Alerts, Severity
from control_plane.healer import ROWS_LOST, SCHEMA_DRIFT, SCHEMA_MADE_ANEW, SCHEMA_REPAIRED, Healer
from control_plane.intent import Publication
from control_plane.schema import address, healing
from control_plane.schema.runner import SchemaError
from control_plane.store import Installation, StoreError
from control_plane.store.postgres import PostgresStore
from control_plane.telemetry import Telemetry
from tests.control_plane.plane import Plane, until

NOW = datetime(2026, 11, 27, tzinfo=UTC)


class Kit:
    """A healer with what it tells."""

    def __init__(self, url: str, store: PostgresStore) -> None:
        self.url, self.store = url, store
        self.alerts, self.telemetry = Alerts(), Telemetry()
        self.healer = self.made()

    def made(self, *, copy_of: healing.CopyOf | None = None) -> Healer:
        place = address.parse(self.url)
        return Healer(place, self.store, self.alerts, self.telemetry, clock=lambda: NOW, copy_of=copy_of)

    async def run(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def open(self) -> dict[str, Severity]:
        return {alert.id: alert.severity for alert in self.alerts.open()}

    def metric(self, line: str) -> bool:
        return line in self.telemetry.exposition(Publication(published=True, table_version=1)).decode()


@pytest.fixture
async def kit(database_url: str, store: PostgresStore) -> Kit:
    return Kit(database_url, store)


async def test_a_repair_is_audited_told_and_counted(kit: Kit) -> None:
    await kit.run("DROP TRIGGER audit_entries_are_immutable ON layout_mutation.audit_entries")
    outcome = await kit.healer.heal()
    assert [drift.kind for drift in outcome.repaired] == ["trigger_missing"]
    (entry,) = await kit.store.audit_page(None, None, None, 10)
    assert (entry.actor, entry.action, entry.kind) == ("control-plane", "healed", "schema")
    assert entry.subject == "audit_entries.audit_entries_are_immutable"
    assert entry.reason.startswith("trigger_missing: CREATE OR REPLACE TRIGGER")
    assert kit.open() == {SCHEMA_REPAIRED: Severity.INFO}
    assert kit.metric('control_plane_schema_repairs_total{drift="trigger_missing"} 1.0')
    assert kit.healer.findings().fine


async def test_what_is_for_a_person_is_an_alert_until_it_is_gone(kit: Kit) -> None:
    await kit.run("ALTER TABLE layout_mutation.mutations ADD COLUMN note text")
    await kit.healer.look_after()
    assert kit.open() == {SCHEMA_DRIFT: Severity.WARNING}
    statement = 'ALTER TABLE layout_mutation.mutations DROP COLUMN "note";'
    assert statement in kit.alerts.open()[0].detail
    findings = kit.healer.findings()
    assert (findings.fine, findings.looked_at) == (False, NOW)
    assert kit.metric("control_plane_schema_drift 1.0")
    assert await kit.store.audit_page(None, None, None, 10) == []
    await kit.run(statement)
    await kit.healer.look_after()
    assert kit.open() == {}


@pytest.mark.parametrize("with_copy", [True, False])
async def test_a_schema_that_is_gone_is_made_again_and_whoever_has_a_copy_restores_it(
    kit: Kit, with_copy: bool
) -> None:
    await kit.run("DROP SCHEMA layout_mutation CASCADE")
    outcome = await kit.made(copy_of=no_copy if with_copy else None).heal()
    assert outcome.left == ()
    assert kit.open() == ({} if with_copy else {SCHEMA_MADE_ANEW: Severity.CRITICAL})
    assert (await kit.store.position()).audit_number == 0


async def test_rows_that_nobody_has_a_copy_of_are_told_as_lost(kit: Kit) -> None:
    await kit.store.found(Installation("018f0000-0000-7000-8000-000000000000", 1, NOW))
    await kit.run("DROP TABLE layout_mutation.toggles CASCADE")
    outcome = await kit.made(copy_of=no_copy).heal()
    assert outcome.emptied == ("toggles",)
    assert kit.open() == {SCHEMA_REPAIRED: Severity.INFO, ROWS_LOST: Severity.CRITICAL}


async def no_copy(_: str) -> None:
    return None


async def test_a_newer_schema_is_left_alone(kit: Kit) -> None:
    await kit.run(
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (9999, 'x', 'x', 0); "
        "DROP TABLE layout_mutation.toggles CASCADE"
    )
    with pytest.raises(SchemaError, match="newer"):
        await kit.healer.heal()
    await kit.healer.look_after()
    assert kit.open() == {SCHEMA_DRIFT: Severity.CRITICAL}


async def test_a_database_that_is_away_is_nothing_to_heal(kit: Kit) -> None:
    kit.url = "postgresql://nobody@127.0.0.1:1/nothing"
    away = kit.made()
    with pytest.raises(StoreError):
        await away.heal()
    await away.look_after()
    assert kit.open() == {}


async def test_nobody_waits_for_a_look_that_never_ends(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is gone says nothing any more, and a start waits for the look of before."""
    monkeypatch.setattr("control_plane.healer.LOOK_TIMEOUT_S", 0)
    with pytest.raises(StoreError):
        await kit.healer.heal()
    monkeypatch.undo()
    assert (await kit.healer.heal()).left == ()


async def test_a_start_heals_what_it_finds(plane: Plane) -> None:
    """And the API repairs on demand, under the name of whoever asked."""
    connection = await asyncpg.connect(plane.services.settings.database_url)
    try:
        await connection.execute("DROP INDEX layout_mutation.mutations_served")
    finally:
        await connection.close()
    healed = await plane.ask("POST", "health/heal", role="admin")
    assert [drift["kind"] for drift in healed.json()["repaired"]] == ["index_missing"]
    entries = (await plane.ask("GET", "audit?kind=schema")).json()["items"]
    assert [entry["action"] for entry in entries] == ["healed"]
    assert entries[0]["actor"] != "control-plane"

    async def told() -> bool:
        alerts = (await plane.ask("GET", "alerts")).json()["items"]
        return SCHEMA_REPAIRED in {alert["id"] for alert in alerts}

    await until(told)

"""What people set while it runs: bounds, audit with before and after, other instances, an older or newer program."""

from datetime import UTC, datetime

import msgspec
import pytest

from control_plane.alerts import Alerts
from control_plane.installation_settings import ROW, AdjustableSettings, InstallationSettings, described
from control_plane.intent import Intent
from control_plane.refusals import Refusal, Refused
from control_plane.store import Shelf, Store
from control_plane.tokens import Actor, Role
from tests.control_plane.plane import Plane, until

NOW = datetime(2026, 11, 27, tzinfo=UTC)
INTENT = Intent(actor=Actor("Ada", Role.ADMIN), reason="less disk")


def adjustable(store: Store, alerts: Alerts | None = None) -> AdjustableSettings:
    return AdjustableSettings(store, alerts or Alerts(), clock=lambda: NOW)


async def test_defaults_are_written_down_once(store: Store) -> None:
    settings = adjustable(store)
    assert (await settings.read()).change == 0
    await settings.seed()
    first = await store.position()
    await settings.seed()
    await adjustable(store).seed()
    assert await store.position() == first
    at = await settings.read()
    assert (at.settings, at.change > 0) == (InstallationSettings(), True)


async def test_a_change_is_noted_setting_by_setting_and_heard_of_elsewhere(store: Store) -> None:
    settings, elsewhere = adjustable(store), adjustable(store)
    await elsewhere.read()
    at = await settings.put(InstallationSettings(events_kept_days=7, check_interval_s=2.5), INTENT)
    entries = await store.audit_page("setting", None, None, 10)
    assert sorted((entry.subject, entry.reason, entry.actor) for entry in entries) == [
        ("checkIntervalS", "1.0 → 2.5: less disk", "Ada"),
        ("eventsKeptDays", "30 → 7: less disk", "Ada"),
    ]
    assert await settings.put(at.settings, INTENT) == at, "the same again changes nothing"
    assert len(await store.audit_page("setting", None, None, 10)) == 2
    await elsewhere.read()
    assert elsewhere.current().events_kept_days == 7


async def test_who_saw_an_older_version_or_gives_no_reason_is_refused(store: Store) -> None:
    settings = adjustable(store)
    at = await settings.put(InstallationSettings(events_kept_days=7), INTENT)
    for intent, refusal in (
        (msgspec.structs.replace(INTENT, reason=""), Refusal.REASON_REQUIRED),
        (msgspec.structs.replace(INTENT, expected_version=at.change - 1), Refusal.VERSION_CONFLICT),
    ):
        with pytest.raises(Refused) as refused:
            await settings.put(InstallationSettings(), intent)
        assert refused.value.refusal is refusal
    await settings.put(InstallationSettings(), msgspec.structs.replace(INTENT, expected_version=at.change))


async def test_settings_of_a_newer_program_leave_the_last_ones_in_force_and_are_told(store: Store) -> None:
    alerts = Alerts()
    settings = adjustable(store, alerts)
    await settings.put(InstallationSettings(events_kept_days=7), INTENT)
    async with store.transaction() as transaction:
        await transaction.keep(Shelf.SETTING, ROW, b'{"eventsKeptDays":9,"ofTheFuture":1}', NOW)
    await settings.read()
    assert settings.current().events_kept_days == 7
    assert [alert.id for alert in alerts.open()] == ["settings_unreadable"]
    await settings.put(InstallationSettings(events_kept_days=8), INTENT)
    assert (settings.current().events_kept_days, alerts.open()) == (8, ())


def test_every_setting_is_described_and_its_default_is_within_its_bounds() -> None:
    defaults = msgspec.to_builtins(InstallationSettings())
    for setting in described():
        assert setting.title, setting.name
        assert setting.description.endswith("."), setting.name
        assert setting.least <= defaults[setting.name] <= setting.most
    assert len(described()) == len(defaults)


async def test_over_the_api(plane: Plane) -> None:
    seen = await plane.ask("GET", "settings", role="viewer")
    assert seen.json() == msgspec.to_builtins(InstallationSettings())
    changed = {**seen.json(), "checkIntervalS": 0.5}
    assert (await plane.ask("PUT", "settings", changed)).status == 422
    answer = await plane.ask("PUT", "settings?reason=faster", changed, headers={"If-Match": seen.headers["etag"]})
    assert (answer.status, answer.json()) == (200, changed)
    assert answer.headers["etag"] != seen.headers["etag"]
    stale = await plane.ask("PUT", "settings?reason=x", {}, headers={"If-Match": seen.headers["etag"]})
    assert stale.status == 412
    for wrong, path in (({"eventsKeptDays": 0}, "$.eventsKeptDays"), ({"nothing": 1}, "$")):
        refused = await plane.ask("PUT", "settings?reason=x", wrong)
        assert (refused.status, refused.json()["errors"][0]["path"][: len(path)]) == (422, path)
    assert plane.services.publishing.check_interval_s() == 0.5

    async def is_heard() -> bool:
        return plane.services.adjustable.current().check_interval_s == 1.0

    other = adjustable(plane.services.adjustable._store)
    await other.put(InstallationSettings(), INTENT)
    await until(is_heard)

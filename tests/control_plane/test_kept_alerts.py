"""Alerts of all instances: kept, seen by others and after a restart, acknowledged, ended, forgotten."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.alerts import Alert, Alerts, Severity
from control_plane.intent import Intent
from control_plane.kept_alerts import GONE_AFTER, HISTORY, NOTICE_ENDS_AFTER, RENEWED_EVERY, KeptAlerts
from control_plane.refusals import Refusal, Refused
from control_plane.store import Shelf, Store, StoreError
from control_plane.tokens import Actor, Role
from tests.control_plane.plane import Plane, until

INTENT = Intent(actor=Actor("Ada", Role.EDITOR), reason="on it")


class Instance:
    """An instance with a clock that a test moves."""

    def __init__(self, store: Store, name: str) -> None:
        self.at = datetime(2026, 11, 27, 9, tzinfo=UTC)
        self.alerts = Alerts(instance=name, clock=lambda: self.at)
        self.kept = KeptAlerts(store, self.alerts, clock=lambda: self.at)

    async def passes(self, time: timedelta) -> None:
        self.at += time
        await self.kept.keep_up()

    def report(self, severity: Severity = Severity.WARNING, name: str = "x") -> None:
        self.alerts.report(name, severity, "what", "do this", "found")

    def open(self) -> list[tuple[str, str]]:
        return [(alert.id, alert.instance) for alert in self.kept.open()]

    async def all(self) -> list[Alert]:
        return list((await self.kept.page()).items)


async def test_other_instances_see_what_one_has_found_until_it_is_settled(store: Store) -> None:
    one, other = Instance(store, "one"), Instance(store, "other")
    one.report()
    assert one.open() == [("x", "one")]
    await one.kept.keep_up()
    await other.kept.keep_up()
    assert other.open() == [("x", "one")]
    other.report()
    await other.kept.keep_up()
    await one.kept.keep_up()
    assert sorted(one.open()) == [("x", "one"), ("x", "other")]
    one.alerts.settle("x")
    assert one.open() == [("x", "other")]
    await one.kept.keep_up()
    await other.kept.keep_up()
    assert other.open() == [("x", "other")]
    assert {alert.instance: alert.is_open for alert in await other.all()} == {"one": False, "other": True}
    assert one.alerts.over() == ()


async def test_nothing_is_written_while_nothing_changes(store: Store) -> None:
    one = Instance(store, "one")
    one.report()
    await one.kept.keep_up()
    position = await store.position()
    one.report()
    await one.passes(timedelta(minutes=1))
    assert await store.position() == position
    await one.passes(RENEWED_EVERY)
    assert (await store.position()).change > position.change


async def test_what_was_found_and_settled_while_the_store_was_away_is_in_the_history(store: Store) -> None:
    one = Instance(store, "one")
    one.report()
    one.at += timedelta(seconds=30)
    one.alerts.settle("x")
    await one.kept.keep_up()
    [alert] = await one.all()
    assert alert.settled_at is not None
    assert alert.settled_at - alert.opened_at == timedelta(seconds=30)


async def test_what_an_instance_that_is_gone_had_found_ends_by_itself(store: Store) -> None:
    gone, other = Instance(store, "gone"), Instance(store, "other")
    gone.report()
    gone.report(Severity.INFO, "repaired")
    await gone.kept.keep_up()
    await other.passes(GONE_AFTER)
    assert sorted(other.open()) == [("repaired", "gone"), ("x", "gone")]
    await other.passes(timedelta(seconds=1))
    assert other.open() == [("repaired", "gone")], "a notice waits for a person"
    await other.passes(NOTICE_ENDS_AFTER)
    assert other.open() == []
    gone.at = other.at
    await gone.kept.keep_up()
    await other.kept.keep_up()
    assert ("x", "gone") in other.open(), "it was not gone after all"


async def test_an_instance_that_started_anew_knows_what_it_had_found_and_can_settle_it(store: Store) -> None:
    before = Instance(store, "one")
    before.report()
    await before.kept.keep_up()
    after = Instance(store, "one")
    await after.kept.keep_up()
    assert after.open() == [("x", "one")]
    after.report()
    assert after.open() == [("x", "one")], "not twice"
    await after.kept.keep_up()
    assert sorted(alert.is_open for alert in await after.all()) == [False, True]
    third = Instance(store, "one")
    third.alerts.settle("x")
    await third.kept.keep_up()
    assert third.open() == []
    assert [alert.is_open for alert in await third.all()] == [False, False]


async def test_who_acknowledges_says_why_and_a_notice_is_over_with_that(store: Store) -> None:
    one, other = Instance(store, "one"), Instance(store, "other")
    one.report()
    one.report(Severity.INFO, "repaired")
    await one.kept.keep_up()
    for wrong, refusal in ((Intent(actor=INTENT.actor), Refusal.REASON_REQUIRED), (INTENT, Refusal.NOT_FOUND)):
        with pytest.raises(Refused) as refused:
            await other.kept.acknowledge("nothing", wrong)
        assert refused.value.refusal is refusal
    [alert] = await other.kept.acknowledge("x", INTENT)
    assert (alert.acknowledged_by, alert.reason, alert.is_open) == ("Ada", "on it", True)
    [notice] = await other.kept.acknowledge("repaired", INTENT)
    assert not notice.is_open
    await one.passes(RENEWED_EVERY)
    assert [(alert.id, alert.reason) for alert in one.kept.open()] == [("x", "on it")]
    assert one.alerts.open()[0].id == "x", "the notice is gone from memory too"
    await other.kept.acknowledge("x", INTENT)
    entries = await store.audit_page("alert", None, None, 10)
    assert [(entry.action, entry.subject, entry.actor) for entry in entries] == [
        ("acknowledged", "repaired", "Ada"),
        ("acknowledged", "x", "Ada"),
    ]
    one.report(Severity.CRITICAL)
    assert one.kept.open()[0].acknowledged_at is None, "it has become worse since"
    await one.kept.keep_up()
    await other.kept.keep_up()
    assert other.kept.open()[0].acknowledged_at is None


async def test_the_history_ends_and_comes_in_parts(store: Store) -> None:
    one = Instance(store, "one")
    for name in ("a", "b", "c"):
        one.report(name=name)
        one.alerts.settle(name)
        one.at += timedelta(milliseconds=1)
    await one.kept.keep_up()
    first = await one.kept.page(limit=2)
    rest = await one.kept.page(limit=2, cursor=first.next_cursor)
    assert [alert.id for alert in (*first.items, *rest.items)] == ["c", "b", "a"]
    assert rest.next_cursor is None
    await one.passes(HISTORY - timedelta(seconds=1))
    assert len(await one.all()) == 3
    await one.passes(timedelta(seconds=1))
    assert await one.all() == []


async def test_what_can_not_be_read_hides_nothing(store: Store) -> None:
    one = Instance(store, "one")
    one.report()
    await one.kept.keep_up()
    async with store.transaction() as transaction:
        await transaction.keep(Shelf.ALERT, "odd", b'{"id":7}', one.at)
    await one.kept.keep_up()
    assert [alert.id for alert in await one.all()] == ["x"]


async def test_without_the_store_what_is_open_is_still_known(store: Store) -> None:
    one, other = Instance(store, "one"), Instance(store, "other")
    other.report(name="elsewhere")
    await other.kept.keep_up()
    await one.kept.keep_up()
    await store.close()
    one.report()
    with pytest.raises(StoreError):
        await one.kept.keep_up()
    assert sorted(one.open()) == [("elsewhere", "other"), ("x", "one")]


async def test_the_api_shows_and_acknowledges(plane: Plane) -> None:
    plane.services.alerts.report("schema_drift", Severity.WARNING, "A column is missing.", "Run it.", "ALTER TABLE …")

    async def is_kept() -> bool:
        return bool(await plane.services.kept_alerts._store.shelf(Shelf.ALERT))

    await until(is_kept)
    [alert] = (await plane.ask("GET", "alerts", role="viewer")).json()["items"]
    shown = (alert["id"], alert["severity"], alert["summary"], alert["advice"], alert["detail"])
    assert shown == ("schema_drift", "warning", "A column is missing.", "Run it.", "ALTER TABLE …")
    refused = await plane.ask("POST", "alerts/schema_drift", {"reason": ""})
    assert (refused.status, refused.json()["errors"][0]["path"]) == (422, "$.reason")
    assert (await plane.ask("POST", "alerts/schema_drift", {})).status == 422
    assert (await plane.ask("POST", "alerts/nothing", {"reason": "why"})).status == 404
    answer = await plane.ask("POST", "alerts/schema_drift", {"reason": "ordered"}, role="editor")
    assert answer.json()["items"][0]["acknowledgedBy"] == "the editor"
    plane.services.alerts.settle("schema_drift")

    async def is_over() -> bool:
        items = (await plane.ask("GET", "alerts?state=all")).json()["items"]
        return [one["settledAt"] is not None for one in items] == [True]

    await until(is_over)
    assert (await plane.ask("GET", "alerts")).json()["items"] == []
    assert (await plane.ask("GET", "alerts?state=some")).status == 400

"""Events in a real PostgreSQL: kept once, counted once, in partitions that come and go."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from control_plane.store.events import NoEvents
from control_plane.store.postgres import PostgresStore
from service.events import AnyEvent, Conversion, Execution, Exposure

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)


def execution(event_id: str, at: datetime = HOUR, **more: object) -> Execution:
    given = {"path": "/", "table": 1, "reason": "applied", "status": 200, "applied": ("hero",), **more}
    return Execution(id=event_id, at=at, site="shop.example", **given)  # type: ignore[arg-type]


def exposure(event_id: str, variation: str = "b", at: datetime = HOUR) -> Exposure:
    return Exposure(
        id=event_id,
        at=at,
        site="shop.example",
        table=1,
        experiment="sale",
        variation=variation,
        attribute="id",
        unit="u",
    )


async def counts(store: PostgresStore) -> dict[tuple[str, str, str], tuple[int, float]]:
    found = await store.events.counts(HOUR - 500 * DAY, HOUR + DAY)
    return {(one.kind, one.subject, one.outcome): (one.events, one.estimate) for one in found}


async def partitions(url: str, parent: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = $1::text::regclass ORDER BY 1",
            f"layout_mutation.{parent}",
        )
    finally:
        await connection.close()
    return [row["relname"] for row in rows]


async def test_what_comes_again_is_kept_and_counted_once(store: PostgresStore) -> None:
    events: list[AnyEvent] = [
        execution("1", share=0.25, failed={"cta": "target_not_found"}, shadowed=("old",)),
        execution("2", reason="no_match", applied=()),
        exposure("3"),
        Conversion(id="4", at=HOUR, site="shop.example", name="order", units={"id": "u"}, value=9.5),
    ]
    assert await store.events.add([*events, events[0]]) == 4
    assert await store.events.add(events) == 0
    assert await store.events.add([execution("5"), *events, exposure("6", "a")]) == 2
    assert await counts(store) == {
        ("page", "", "applied"): (2, 5.0),
        ("page", "", "no_match"): (1, 1.0),
        ("mutation", "hero", "applied"): (2, 5.0),
        ("mutation", "cta", "target_not_found"): (1, 4.0),
        ("mutation", "old", "shadowed"): (1, 4.0),
        ("experiment", "sale", "a"): (1, 1.0),
        ("experiment", "sale", "b"): (1, 1.0),
        ("conversion", "order", ""): (1, 1.0),
    }
    [sale, *_] = await store.events.counts(HOUR, HOUR + DAY, kind="experiment", subject="sale")
    assert sale.last == HOUR


async def test_single_ones_are_listed_the_newest_first(store: PostgresStore) -> None:
    minutes = [HOUR + timedelta(minutes=minute) for minute in range(4)]
    await store.events.add([execution(str(at.minute), at) for at in minutes])
    await store.events.add([execution("other", minutes[0], applied=("cta",)), exposure("9")])
    window = {"before": HOUR + DAY, "since": HOUR - DAY}

    async def ids(subject: str | None = None, site: str | None = None, limit: int = 9) -> list[str]:
        found = await store.events.told("execution", subject=subject, site=site, limit=limit, **window)
        return [one.id for one in found]

    assert (await ids("hero"))[:3] == ["3", "2", "1"]
    assert await ids("cta") == ["other"]
    assert await ids(site="elsewhere") == []
    assert len(await ids(limit=2)) == 2


async def test_days_without_a_partition_get_one_and_old_ones_are_dropped(
    store: PostgresStore, database_url: str
) -> None:
    late, future = HOUR - 40 * DAY, HOUR + 3_000 * DAY
    await store.events.add(
        [execution("late", late), execution("now"), execution("future", future), exposure("x", at=late)]
    )
    name = f"events_p{late:%Y%m%d}"
    assert name not in await partitions(database_url, "events")
    assert await store.events.make_room(3) == 2, "one for each table"
    assert name in await partitions(database_url, "events")
    assert await store.events.make_room(3) == 0
    assert await store.events.add([execution("late", late), exposure("x", at=late)]) == 0, "moved, and still known"
    before = len(await partitions(database_url, "events"))
    assert await store.events.forget(50 * DAY, 400 * DAY, HOUR + 1_000 * DAY) == 0, "a wrong clock drops nothing"
    assert await store.events.forget(30 * DAY, 400 * DAY, HOUR) == 2
    assert len(await partitions(database_url, "events")) == before - 1
    assert (await counts(store))["mutation", "hero", "applied"][0] == 2, "counts are kept for longer"
    await store.events.forget(30 * DAY, 30 * DAY, HOUR)
    assert (await counts(store))["mutation", "hero", "applied"][0] == 1
    found = await store.events.told("execution", subject=None, site=None, before=future + DAY, since=HOUR, limit=9)
    assert [one.id for one in found] == ["future", "now"], "a wrong clock's events wait in the default partition"


async def test_roles_that_may_write_make_and_drop_partitions_and_readers_do_not(
    store: PostgresStore, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for may, role in (("write", "writes_events"), ("read", "reads_events")):
            undone = connection.transaction()
            await undone.start()
            await connection.execute(f"CREATE ROLE {role}")
            await connection.execute("SELECT layout_mutation.grant_access($1, $2)", role, may)
            await connection.execute(f"SET LOCAL ROLE {role}")
            if may == "write":
                assert await connection.fetchval("SELECT layout_mutation.make_event_partitions(30)") > 0
                await connection.execute("SELECT layout_mutation.drop_event_partitions(now(), now())")
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetchval("SELECT layout_mutation.make_event_partitions(30)")
            await undone.rollback()
    finally:
        await connection.close()


async def test_a_store_that_keeps_none_says_so_by_having_none() -> None:
    none = NoEvents()
    assert await none.add([execution("1")]) == await none.make_room(7) == await none.forget(DAY, DAY, HOUR) == 0
    assert await none.counts(HOUR, HOUR + DAY) == []
    assert await none.told("execution", subject=None, site=None, before=HOUR + DAY, since=HOUR, limit=9) == []

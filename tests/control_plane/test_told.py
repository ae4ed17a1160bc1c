"""What sidecars told, over the API, on its whole way: a stream in Redis, the database, an answer."""

from datetime import UTC, datetime, timedelta

import msgspec
from redis.asyncio import Redis

from service import events
from service.events import Execution
from service.keys import Keys
from tests.control_plane.plane import Plane, until
from tests.control_plane.test_ingestion import fields

NOW = datetime.now(UTC)


def execution(number: int) -> Execution:
    at = NOW - timedelta(seconds=number)
    named = ("hero",) if number % 2 else ("cta",)
    return Execution(
        id=str(number), at=at, site="shop.example", path="/", table=1, reason="applied", status=200, applied=named
    )


async def test_events_come_from_redis_and_are_answered_and_counted(plane: Plane, redis: Redis, keys: Keys) -> None:
    told = [execution(number) for number in range(5)]
    await redis.xadd(keys.events[2], fields(events.entry(events.sealed([events.encode(one) for one in told]))))

    async def are_there() -> bool:
        return len((await plane.ask("GET", "executions")).json()["items"]) == 5

    await until(are_there)
    first = (await plane.ask("GET", "executions?limit=3", role="viewer")).json()
    rest = (await plane.ask("GET", f"executions?limit=3&cursor={first['nextCursor']}")).json()
    assert [one["id"] for one in (*first["items"], *rest["items"])] == ["0", "1", "2", "3", "4"]
    assert rest["nextCursor"] is None
    assert first["items"][0] == msgspec.json.decode(events.encode(told[0]))
    assert len((await plane.ask("GET", "executions?mutationId=hero")).json()["items"]) == 2
    report = (await plane.ask("GET", "report?mutationId=hero")).json()
    assert sum(one["events"] for one in report["items"]) == 2
    assert {(one["kind"], one["subject"], one["outcome"]) for one in report["items"]} == {
        ("mutation", "hero", "applied")
    }
    assert {one["kind"] for one in (await plane.ask("GET", "report")).json()["items"]} == {"mutation", "page"}
    for wrong in ("report?since=2026-01-01T00:00:00", "report?mutationId=a&experimentId=b", "executions?limit=0"):
        assert (await plane.ask("GET", wrong)).status == 400, wrong


async def test_what_is_done_regularly_makes_room_and_forgets(plane: Plane) -> None:
    async def is_done() -> bool:
        rows = plane.services.schedules.seen()
        return {row.id for row in rows if row.done_at is not None} >= {"make_event_partitions", "forget_events"}

    await until(is_done)

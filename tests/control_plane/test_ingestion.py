"""From Redis's streams into the database: once, whatever fails on the way."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

from control_plane.alerts import Alerts
from control_plane.event_streams import GROUP, EventStreams
from control_plane.ingestion import Ingestion
from control_plane.intent import Publication
from control_plane.store import StoreError
from control_plane.store.postgres import PostgresStore
from control_plane.telemetry import Telemetry
from service import events
from service.events import AnyEvent, Execution
from service.keys import Keys

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
PUBLISHED = Publication(published=True, table_version=1)


def execution(event_id: str, path: str = "/") -> Execution:
    return Execution(
        id=event_id, at=HOUR, site="shop.example", path=path, table=1, reason="applied", status=200, applied=("hero",)
    )


def fields(entry: Mapping[bytes, bytes]) -> dict[FieldT, EncodableT]:
    """As the client's types have them."""
    return cast("dict[FieldT, EncodableT]", entry)


async def tell(redis: Redis, keys: Keys, *told: AnyEvent, shard: int = 0) -> None:
    """As a sidecar does."""
    entry = events.entry(events.sealed([events.encode(one) for one in told]))
    await redis.xadd(keys.events[shard], fields(entry))


class Picky:
    """A store of events that is away, or can't take some of them."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store.events
        self.away = False
        self.poison = ""

    async def add(self, told: Sequence[AnyEvent]) -> int:
        if self.away:
            raise StoreError("PostgreSQL can't be reached")
        if any(one.id == self.poison for one in told):
            raise StoreError("PostgreSQL: this it can't hold")
        return await self._store.add(told)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@pytest.fixture
def picky(store: PostgresStore) -> Picky:
    return Picky(store)


class Instance:
    """One member of the group."""

    def __init__(self, redis_url: str, keys: Keys, store: Picky, name: str) -> None:
        self.streams = EventStreams(redis_url, keys, consumer=name)
        self.alerts = Alerts()
        self.telemetry = Telemetry()
        self.ingestion = Ingestion(self.streams, store, self.alerts, self.telemetry)  # type: ignore[arg-type]


@pytest.fixture
async def one(redis_url: str, keys: Keys, picky: Picky) -> AsyncIterator[Instance]:
    instance = Instance(redis_url, keys, picky, "one")
    yield instance
    await instance.streams.close()


async def kept(store: PostgresStore) -> int:
    found = await store.events.counts(HOUR - timedelta(days=1), HOUR + timedelta(days=1), kind="mutation")
    return sum(row.events for row in found)


async def pending(redis: Redis, keys: Keys) -> int:
    return sum([(await redis.xpending(stream, GROUP))["pending"] for stream in keys.events])


async def test_what_all_shards_tell_is_kept_and_acknowledged(
    redis: Redis, keys: Keys, store: PostgresStore, one: Instance
) -> None:
    for shard in range(len(keys.events)):
        await tell(redis, keys, execution(f"{shard}a"), execution(f"{shard}b"), shard=shard)
    await tell(redis, keys, execution("0a"))
    assert await one.ingestion.once() == 5
    assert (await kept(store), await pending(redis, keys)) == (8, 0)
    assert await one.ingestion.once() == 0
    text = one.telemetry.exposition(PUBLISHED).decode()
    assert 'control_plane_events_total{what="new"} 8.0' in text
    assert 'control_plane_events_total{what="repeated"} 1.0' in text


async def test_while_the_database_is_away_redis_keeps_them(
    redis: Redis, keys: Keys, store: PostgresStore, picky: Picky, one: Instance
) -> None:
    await tell(redis, keys, execution("a"))
    picky.away = True
    for _ in range(3):
        with pytest.raises(StoreError):
            await one.ingestion.once()
    assert await pending(redis, keys) == 1
    picky.away = False
    await tell(redis, keys, execution("b"))
    assert await one.ingestion.once() == 2
    assert (await kept(store), await pending(redis, keys)) == (2, 0)
    assert one.alerts.open() == ()


async def test_what_one_had_taken_and_not_kept_is_kept_when_it_starts_anew(
    redis: Redis, redis_url: str, keys: Keys, store: PostgresStore, picky: Picky, one: Instance
) -> None:
    await tell(redis, keys, execution("a"))
    await one.streams.new()
    again = Instance(redis_url, keys, picky, "one")
    try:
        assert await again.ingestion.once() == 1
    finally:
        await again.streams.close()
    assert (await kept(store), await pending(redis, keys)) == (1, 0)


async def test_what_one_that_is_gone_had_taken_is_taken_over(
    redis: Redis, redis_url: str, keys: Keys, store: PostgresStore, picky: Picky, one: Instance
) -> None:
    await tell(redis, keys, execution("a"))
    [entry] = await one.streams.new()
    await redis.xclaim(entry.stream, GROUP, "one", 0, [entry.id], idle=120_000)
    other = Instance(redis_url, keys, picky, "other")
    try:
        assert await other.ingestion.once() == 1
    finally:
        await other.streams.close()
    assert (await kept(store), await pending(redis, keys)) == (1, 0)


async def test_what_can_not_be_read_is_put_aside_and_counted(
    redis: Redis, keys: Keys, store: PostgresStore, one: Instance
) -> None:
    await redis.xadd(keys.events[0], {"format": "9", "events": "x"})
    lines = [events.encode(execution("a")), b'{"event":"of the future"}', events.encode(execution("n", "/\0"))]
    entry = events.entry(events.sealed(lines))
    await redis.xadd(keys.events[0], fields(entry))
    assert await one.ingestion.once() == 2
    assert (await kept(store), await pending(redis, keys)) == (1, 0)
    [(_, aside)] = await redis.xrange(keys.events_aside) or []
    assert aside is not None
    assert (aside[b"format"], aside[b"from"]) == (b"9", keys.events[0].encode())
    assert [alert.id for alert in one.alerts.open()] == ["events_put_aside"]
    text = one.telemetry.exposition(PUBLISHED).decode()
    assert 'control_plane_events_total{what="not_understood"} 2.0' in text
    assert "control_plane_event_entries_aside_total 1.0" in text


async def test_what_can_not_be_kept_holds_the_others_up_only_until_they_come(
    redis: Redis, keys: Keys, store: PostgresStore, picky: Picky, one: Instance
) -> None:
    picky.poison = "bad"
    await tell(redis, keys, execution("bad"))
    with pytest.raises(StoreError):
        await one.ingestion.once()
    assert await redis.xlen(keys.events_aside) == 0, "it could be the database's fault"
    await tell(redis, keys, execution("good"), shard=1)
    await one.ingestion.once()
    assert (await kept(store), await pending(redis, keys)) == (1, 0)
    assert await redis.xlen(keys.events_aside) == 1


async def test_what_redis_forgot_after_it_was_taken_is_let_go(
    redis: Redis, keys: Keys, store: PostgresStore, picky: Picky, one: Instance
) -> None:
    await tell(redis, keys, execution("a"))
    picky.away = True
    with pytest.raises(StoreError):
        await one.ingestion.once()
    await redis.xtrim(keys.events[0], maxlen=0, approximate=False)
    picky.away = False
    await tell(redis, keys, execution("b"))
    await one.ingestion.once()
    assert (await kept(store), await pending(redis, keys)) == (1, 0)


async def test_a_redis_that_lost_everything_is_read_again(
    redis: Redis, keys: Keys, store: PostgresStore, one: Instance
) -> None:
    await tell(redis, keys, execution("a"))
    await one.ingestion.once()
    await redis.delete(*keys.events)
    await tell(redis, keys, execution("b"))
    await one.ingestion.once()
    assert await kept(store) == 2

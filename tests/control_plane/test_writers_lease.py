"""The right to take changes while the database is away: one of two instances has it, in a real Redis."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from control_plane.exchange import Exchange
from control_plane.writers_lease import LEASE_S, MARGIN_S, RENEW_AFTER_S, WritersLease
from layout_mutation.embedded.ports import free_port
from service.keys import Keys


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def exchange(redis_url: str, keys: Keys) -> AsyncIterator[Exchange]:
    made = Exchange(redis_url, keys)
    yield made
    await made.close()


async def test_one_of_two_has_it_and_the_other_says_who(exchange: Exchange, keys: Keys) -> None:
    one, other = (WritersLease(exchange, keys.writer, name) for name in ("one:1", "other:2"))
    assert "no instance" in await one.holder()
    assert await one.hold()
    assert one.held
    assert not await other.hold()
    assert not other.held
    assert await other.elsewhere()
    assert not await one.elsewhere()
    assert await other.holder() == await other.refusal() == "one:1 takes changes meanwhile"
    assert await one.refusal() == ""
    await other.release()
    assert not await other.hold(), "nobody ends what another one holds"
    await one.release()
    assert await other.refusal() == "", "it could have it"
    assert await other.hold()
    assert not await one.hold()


async def test_it_is_renewed_by_its_holder_and_ends_by_itself(exchange: Exchange, keys: Keys, redis: Redis) -> None:
    clock = Clock()
    one = WritersLease(exchange, keys.writer, "one:1", clock=clock)
    assert await one.hold()
    await redis.pexpire(keys.writer, 500)
    clock.now += RENEW_AFTER_S + 0.1
    assert await one.hold()
    assert await redis.pttl(keys.writer) > 5_000
    clock.now += LEASE_S - MARGIN_S
    assert not one.held, "we stop believing in it before Redis does"
    await redis.set(keys.writer, "other:2")
    assert not await one.hold()
    await redis.delete(keys.writer)
    assert await one.hold()


async def test_a_lease_that_another_took_is_lost_at_the_next_look(exchange: Exchange, keys: Keys, redis: Redis) -> None:
    clock = Clock()
    one = WritersLease(exchange, keys.writer, "one:1", clock=clock)
    assert await one.hold()
    await redis.set(keys.writer, "other:2")
    clock.now += RENEW_AFTER_S + 0.1
    assert not await one.hold()
    await one.release()
    assert await redis.get(keys.writer) == b"other:2"


async def test_without_redis_nobody_begins(keys: Keys) -> None:
    away = Exchange(f"redis://127.0.0.1:{free_port()}", keys)
    lease = WritersLease(away, keys.writer, "one:1")
    assert not await lease.hold()
    assert "can't be reached either" in await lease.holder()
    assert not await lease.elsewhere()
    await lease.release()
    await away.close()

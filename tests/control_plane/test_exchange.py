"""What is offered to Redis, and what is there."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from control_plane.exchange import VERSION_BYTES_MAX, Exchange, ExchangeError, Seen
from service.keys import Keys


@pytest.fixture
async def exchange(redis_url: str, keys: Keys) -> AsyncIterator[Exchange]:
    opened = Exchange(redis_url, keys)
    yield opened
    await opened.close()


async def test_a_newer_table_is_taken_and_an_older_one_is_not(exchange: Exchange, redis: Redis, keys: Keys) -> None:
    assert await exchange.seen() == Seen(None, 0, b"")
    assert await exchange.offer(2, b"two") == "2"
    assert await exchange.offer(1, b"one") == "2"
    assert await exchange.offer(2, b"other") == "2"
    assert await exchange.table() == b"two"
    assert (await exchange.seen()).is_table(2, b"two")
    assert not (await exchange.seen()).is_table(2, b"twp")
    assert await exchange.offer(10, b"ten") == "10", "numbers, not text, are compared"
    assert await redis.get(keys.table_version) == b"10"


async def test_a_version_that_was_judged_void_is_written_over(exchange: Exchange, redis: Redis, keys: Keys) -> None:
    await redis.set(keys.table, b"forged")
    await redis.set(keys.table_version, b"99")
    assert await exchange.offer(1, b"one") == "99"
    assert await exchange.offer(1, b"one", over="98") == "99"
    assert await exchange.offer(1, b"one", over="99") == "1"


async def test_a_version_without_its_table_does_not_count(exchange: Exchange, redis: Redis, keys: Keys) -> None:
    await exchange.offer(5, b"five")
    await redis.delete(keys.table)
    assert await exchange.offer(5, b"five") == "5"
    assert await exchange.table() == b"five"


async def test_the_fleet_is_read_to_its_end(exchange: Exchange, redis: Redis, keys: Keys) -> None:
    await redis.hset(keys.fleet, mapping={f"i{n:04}": f'{{"instance":"i{n:04}"}}' for n in range(3000)})
    found = await exchange.fleet()
    assert [entry["instance"] for entry in found] == [f"i{n:04}" for n in range(3000)]


async def test_a_redis_that_is_away_is_said_to_be_without_its_password(keys: Keys) -> None:
    away = Exchange("redis://:hidden@127.0.0.1:1/0", keys)
    with pytest.raises(ExchangeError, match="redis_unreachable") as caught:
        await away.ping()
    await away.close()
    assert "hidden" not in str(caught.value)


async def test_what_others_put_there_is_read_to_a_bound(
    exchange: Exchange, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rules.limits.TABLE_BYTES_MAX", 1_000)
    await redis.set(keys.table, bytes(2_000))
    await redis.set(keys.table_version, b"9" * 10_000)
    seen = await exchange.seen()
    assert (seen.version, seen.number, seen.size) == ("9" * VERSION_BYTES_MAX, None, 2_000)
    assert await exchange.table() == bytes(1_001)
    assert await exchange.offer(1, b"one", over=seen.version) == "1"


async def test_a_short_version_is_judged_as_it_stands_there(exchange: Exchange, redis: Redis, keys: Keys) -> None:
    """What is void is what was seen, and nothing that only begins like it."""
    await redis.set(keys.table, b"theirs")
    await redis.set(keys.table_version, b"12")
    assert await exchange.offer(1, b"one", over="1") == "12"


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "\u0661", "9" * 19, "9" * 5_000])
def test_what_is_no_version_is_none(text: str) -> None:
    assert Seen(text, 0, b"").number is None

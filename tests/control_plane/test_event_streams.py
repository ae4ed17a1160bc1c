"""The streams of events, as one group reads them."""

import pytest
from redis.asyncio import Redis

from control_plane.event_streams import ENTRIES_MAX, EventStreams
from control_plane.exchange import ExchangeError
from service.keys import Keys


async def test_an_entry_is_given_to_one_member_and_stays_its_until_it_is_acknowledged(
    redis: Redis, redis_url: str, keys: Keys
) -> None:
    one, other = (EventStreams(redis_url, keys, consumer=name) for name in ("one", "other"))
    try:
        for number in range(ENTRIES_MAX + 1):
            await redis.xadd(keys.events[1], {"number": number})
        first = await one.new()
        assert [entry.fields for entry in first] == [{b"number": b"%d" % number} for number in range(ENTRIES_MAX)]
        assert len(await other.new()) == 1
        assert await one.taken() == first
        await one.acknowledge(first[1:])
        assert await one.taken() == first[:1]
        assert await other.claimed() == 0, "it is not gone"
        await one.put_aside(first[0], "why not")
        [(_, aside)] = await redis.xrange(keys.events_aside) or []
        assert aside == {b"why": b"why not", b"from": keys.events[1].encode(), b"number": b"0"}
    finally:
        await one.close()
        await other.close()


async def test_a_redis_that_is_away_or_has_something_else_there_is_one_error(
    redis: Redis, redis_url: str, keys: Keys
) -> None:
    away = EventStreams("redis://127.0.0.1:1", keys, consumer="one")
    with pytest.raises(ExchangeError, match="redis_unreachable"):
        await away.new()
    await away.close()
    await redis.set(keys.events[0], "no stream")
    here = EventStreams(redis_url, keys, consumer="one")
    with pytest.raises(ExchangeError, match="redis_refuses"):
        await here.new()
    await here.close()

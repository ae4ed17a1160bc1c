"""The fixtures of `tests/servers.py` give every test servers of its own."""

import asyncpg
import redis


async def test_a_database_is_empty_and_ours(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()


async def test_the_next_database_is_empty_again(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('mine')") is None
    finally:
        await connection.close()


def test_a_redis_without_keys(redis_url: str, redis_environment: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert list(client.scan_iter(match="{lm:" + redis_environment + "}:*")) == []
        client.set("{lm:" + redis_environment + "}:table", b"x")

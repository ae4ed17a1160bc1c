"""What is particular about the store in PostgreSQL: its connections, a pooler, and when nothing can be written.

Counterpart: `test_stores.py` has what every store does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from control_plane.schema import address, runner
from control_plane.store import (
    Installation,
    Kind,
    Record,
    StoredVersion,
    StoreError,
)
from control_plane.store.postgres import PostgresStore
from tests.control_plane.plane import CHAIN, headline, running, settings_of, until
from tests.control_plane.postgres_kinds import database_of, debian_postgres, running_postgres, started_postgres
from tests.servers import execute

NOW = datetime(2030, 1, 1, tzinfo=UTC)
INSTALLATION = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
OTHERS_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def version(number: int, content: bytes = b'{"id":"a"}') -> StoredVersion:
    return StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(address.parse(database_url), connections_max=4, chain=CHAIN)
    await opened.open()
    yield opened
    await opened.close()


async def test_before_it_is_open_and_after_it_is_closed_it_says_so(database_url: str) -> None:
    store = PostgresStore(address.parse(database_url), connections_max=1, chain=CHAIN)
    with pytest.raises(StoreError, match="not connected"):
        await store.ping()
    await store.open()
    await store.ping()
    await store.close()
    await store.close()
    with pytest.raises(StoreError):
        await store.ping()


async def test_a_lost_connection_is_a_store_error_and_the_next_question_is_answered(
    store: PostgresStore, database_url: str
) -> None:
    await store.ping()
    await execute(database_url, OTHERS_ENDED)

    async def answers() -> bool:
        with suppress(StoreError):
            await store.ping()
            return True
        return False

    await until(answers)


async def test_through_a_transaction_pooler(
    request: pytest.FixtureRequest, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    with database_of(request, "pgbouncer") as url:
        settings = settings_of(url, redis_url, redis_environment, tmp_path / "data", database_connections=8)
        async with running(settings) as plane:
            answers = await asyncio.gather(*(plane.ask("POST", "mutations", headline(id=f"m{n}")) for n in range(20)))
            assert {answer.status for answer in answers} == {201}
            reads = await asyncio.gather(*(plane.ask("GET", f"mutations/m{n % 20}") for n in range(100)))
            assert {answer.status for answer in reads} == {200}


async def test_a_database_that_takes_no_writes_is_away_for_writes_and_back_by_itself(
    store: PostgresStore, database_url: str
) -> None:
    whose = await store.found(INSTALLATION)
    name = urlsplit(database_url).path.strip("/")
    await execute(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await execute(database_url, OTHERS_ENDED)

    async def saved(expected: bool) -> bool:
        try:
            async with store.transaction() as transaction:
                await transaction.put(Kind.SEGMENT, "a", version(1))
        except StoreError as error:
            return not expected and "takes no writes at present" in str(error)
        return expected

    await until(lambda: saved(False))
    assert await store.ids(Kind.SEGMENT) == []
    assert await store.found(INSTALLATION) == whose, "an instance can begin beside it"
    assert not await runner.migrate(database_url)
    connection = await asyncpg.connect(database_url)
    async with connection.transaction():
        await connection.execute("SET TRANSACTION READ WRITE")
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    await connection.close()
    await until(lambda: saved(True))  # over a new connection: nobody ended the old one
    assert await store.ids(Kind.SEGMENT) == ["a"]


async def test_a_standby_is_read_and_when_it_is_promoted_written_to(server_folder: Path) -> None:
    initdb, postgres = debian_postgres()
    with running_postgres(server_folder, initdb, postgres) as url:
        await runner.migrate(url)
        primary = PostgresStore(address.parse(url), connections_max=1, chain=CHAIN)
        await primary.open()
        await primary.found(INSTALLATION)
        async with primary.transaction() as transaction:
            await transaction.put(Kind.SEGMENT, "a", version(1))
        await primary.close()
    (server_folder / "cluster" / "standby.signal").touch()
    standby = PostgresStore(address.parse(url), connections_max=2, chain=CHAIN)
    with started_postgres(server_folder, postgres, urlsplit(url).port or 0):
        assert await runner.migrate(url) == ()
        await standby.open()
        try:
            assert await standby.found(INSTALLATION) == INSTALLATION
            assert await standby.ids(Kind.SEGMENT) == ["a"]
            with pytest.raises(StoreError, match="takes no writes at present: it is a standby"):
                await write(standby, "b")
            await execute(url, "SELECT pg_promote()")
            await write(standby, "b")
            assert await standby.ids(Kind.SEGMENT) == ["a", "b"]
        finally:
            await standby.close()


async def write(store: PostgresStore, id_: str) -> None:
    async with store.transaction() as transaction:
        await transaction.put(Kind.SEGMENT, id_, version(1, b'{"id":"%s"}' % id_.encode()))


async def test_what_replaces_everything_is_all_there_or_nothing_has_happened(store: PostgresStore) -> None:
    await store.found(INSTALLATION)
    async with store.transaction() as transaction:
        await transaction.put(Kind.SEGMENT, "a", version(1))
    half = [record async for record in store.records()]
    async with store.transaction() as transaction:
        await transaction.put(Kind.SEGMENT, "a", version(2))
        await transaction.put(Kind.SEGMENT, "b", version(1, b'{"id":"b"}'))
    before = [record async for record in store.records()]

    async def torn() -> AsyncIterator[Record]:
        for record in half:
            yield record
        raise StoreError("torn off")

    async def whole() -> AsyncIterator[Record]:
        for record in half:
            yield record

    with pytest.raises(StoreError, match="torn off"):
        await store.replace(torn(), INSTALLATION)
    assert [record async for record in store.records()] == before
    async with store.transaction() as transaction:  # numbers go on where they were
        await transaction.put(Kind.SEGMENT, "c", version(1, b'{"id":"c"}'))
    await store.replace(whole(), INSTALLATION)
    assert [record async for record in store.records()] == half
    with pytest.raises(StoreError):  # history is guarded as before
        await store._execute("DELETE FROM layout_mutation.segment_versions")

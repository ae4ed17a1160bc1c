"""The store on a real PostgreSQL, directly and through a transaction pooler."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from control_plane.schema import address, runner
from control_plane.store import (
    Installation,
    Kind,
    Shelf,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    StoreError,
)
from control_plane.store.postgres import TABLES_KEPT, PostgresStore
from tests.control_plane.plane import CHAIN, headline, running, settings_of, until
from tests.control_plane.postgres_kinds import database_of
from tests.servers import empty_database, execute

NOW = datetime(2030, 1, 1, tzinfo=UTC)
INSTALLATION = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
OTHERS_ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def version(number: int, content: bytes = b'{"id":"a"}') -> StoredVersion:
    return StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)


ENTRY = StoredAudit(at=NOW, actor="me", role="admin", action="created", kind="segment", subject="a")


def table(number: int) -> StoredTable:
    return StoredTable(
        version=number, digest="0" * 64, key_id="k", sealed=b"s", mutations=0, actor="me", reason="", at=NOW
    )


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    await runner.migrate(database_url)
    opened = PostgresStore(address.parse(database_url), connections_max=4, chain=CHAIN)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def other_store(postgres_server: str) -> AsyncIterator[PostgresStore]:
    """A store in another database."""
    with empty_database(postgres_server) as url:
        await runner.migrate(url)
        opened = PostgresStore(address.parse(url), connections_max=4, chain=CHAIN)
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


async def test_documents_come_back_byte_for_byte(store: PostgresStore) -> None:
    content = '{"id":"a","z":1.0,"a":{"long key":1,"b":2},"t":"Grüße \U0001f600"}'.encode()
    async with store.transaction() as transaction:
        await transaction.put(Kind.SEGMENT, "a", version(1, content))
    found = await store.find(Kind.SEGMENT, "a")
    assert found is not None
    assert (found.content, found.version, found.deleted) == (content, 1, False)
    assert await store.versions(Kind.SEGMENT, "a") == [version(1, content)]
    assert await store.find(Kind.MODULE, "a") is None


async def test_a_transaction_that_fails_leaves_nothing(store: PostgresStore) -> None:
    async def fail(with_id: str, error: Exception | None) -> None:
        async with store.transaction() as transaction:
            await transaction.put(Kind.MODULE, with_id, version(1))
            if error is not None:
                raise error

    with pytest.raises(KeyError):
        await fail("a", KeyError())
    assert await store.everything(Kind.MODULE) == []
    with pytest.raises(StoreError, match="modules_id_is_in_content"):
        await fail("b", None)


async def test_transactions_wait_for_each_other(store: PostgresStore) -> None:
    entry = StoredAudit(at=NOW, actor="me", role="admin", action="created", kind="module", subject="a")

    async def work() -> int:
        async with store.transaction() as transaction:
            await transaction.add_audit(entry)
            return await transaction.raise_table_version(0)

    assert sorted(await asyncio.gather(*(work() for _ in range(12)))) == list(range(1, 13))
    entries = await store.audit_page(None, "a", None, 20)
    assert [one.number for one in entries] == list(range(12, 0, -1))
    assert [one.number for one in await store.audit_page("module", None, 4, 2)] == [3, 2]


async def test_a_version_number_can_leap_but_not_fall(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        assert await transaction.raise_table_version(50) == 50
        assert await transaction.raise_table_version(3) == 51


async def test_what_happens_once_is_remembered_and_in_time_forgotten(store: PostgresStore, database_url: str) -> None:
    assert await store.use_sign_in("a", NOW)
    assert not await store.use_sign_in("a", NOW)
    assert await store.use_sign_in("old", datetime.now(UTC) - timedelta(days=3))
    async with store.transaction() as transaction:
        await transaction.remember("me", "k", StoredAnswer("f", b'{"n":1}'))
        assert await transaction.answer("me", "k") == StoredAnswer("f", b'{"n":1}')
        assert await transaction.answer("you", "k") is None
        for number in range(1, TABLES_KEPT + 3):
            await transaction.add_table(table(number))
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE layout_mutation.idempotency_keys SET at = at - interval '30 days'")
    await store.forget_old()
    kept = await connection.fetchval("SELECT count(sealed) FROM layout_mutation.published_tables")
    await connection.close()
    assert kept == TABLES_KEPT
    assert await store.use_sign_in("old", NOW), "the link is expired anyway"
    async with store.transaction() as transaction:
        assert await transaction.answer("me", "k") is None
    assert await store.table_version() == TABLES_KEPT + 2


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


async def filled(store: PostgresStore) -> None:
    """A bit of everything that a store holds."""
    await store.found(INSTALLATION)
    for number, deleted in ((1, False), (2, True)):
        async with store.transaction() as transaction:
            await transaction.put(Kind.SEGMENT, "a", version(number), deleted=deleted)
            await transaction.add_audit(msgspec.structs.replace(ENTRY, version_after=number))
            await transaction.raise_table_version(number * 10)
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
        await transaction.add_table(table(20))
        await transaction.remember("me", "key", StoredAnswer("print", b'{"id":"a"}'))
        await transaction.keep(Shelf.ALERT, "away", b'{"open":true}', NOW)
        await transaction.keep(Shelf.PEER, "gone", b'{"a":1}', NOW)
        await transaction.discard(Shelf.PEER, "gone", NOW)
        await transaction.discard(Shelf.PEER, "never there", NOW)
        await transaction.add_audit(ENTRY)
    await store.use_sign_in("once", NOW)


async def test_what_a_store_holds_can_be_carried_into_another(store: PostgresStore, other_store: PostgresStore) -> None:
    await filled(store)
    at = await store.position()
    assert await other_store.load(store.records(), at.installation) == 12
    assert [one async for one in other_store.records()] == [one async for one in store.records()]
    assert await other_store.position() == at
    assert await other_store.load(store.records()) == 12  # again, and nothing is there twice
    assert await other_store.position() == at
    async with other_store.transaction() as transaction:
        await transaction.add_audit(ENTRY)
        await transaction.put(Kind.SEGMENT, "b", version(1, b'{"id":"b"}'))
    entries = await other_store.audit_page(None, None, None, 10)
    assert [one.number for one in entries] == [4, 3, 2, 1]
    assert entries[0].previous_hash == entries[1].hash == at.audit_hash
    assert all(CHAIN.is_sound(one) for one in entries)
    assert (await other_store.position()).change > at.change


async def test_what_came_since_a_position_is_enough_to_follow(store: PostgresStore, other_store: PostgresStore) -> None:
    await filled(store)
    at = await store.position()
    await other_store.load(store.records(), at.installation)
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(2))
        await transaction.add_audit(ENTRY)
        await transaction.keep(Shelf.PEER, "gone", b'{"back":1}', NOW)
        written = list(transaction.written)
    news = [one async for one in store.records(at)]
    assert [one for one in news if one in written] == written
    await other_store.load(store.records(at))
    assert [one async for one in other_store.records()] == [one async for one in store.records()]
    assert await other_store.position() == await store.position()


async def test_an_installation_is_named_once(store: PostgresStore) -> None:
    assert (await store.position()).installation is None
    first = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
    second = Installation("0193f0a0-0000-7000-8000-000000000002", 1, NOW)
    found = await asyncio.gather(store.found(first), store.found(second))
    assert found[0] == found[1] == (await store.position()).installation


async def test_a_shelf_holds_what_was_kept_last(store: PostgresStore) -> None:
    async with store.transaction() as transaction:
        await transaction.keep(Shelf.ALERT, "a", b'{"n":1}', NOW)
        await transaction.keep(Shelf.ALERT, "b", b'{"n":2}', NOW)
        await transaction.keep(Shelf.ALERT, "a", b'{"n":3}', NOW)
    assert [(one.id, one.content) for one in await store.shelf(Shelf.ALERT)] == [("a", b'{"n":3}'), ("b", b'{"n":2}')]
    async with store.transaction() as transaction:
        await transaction.discard(Shelf.ALERT, "a", NOW)
    assert await store.kept(Shelf.ALERT, "a") is None
    assert [one.id for one in await store.shelf(Shelf.ALERT)] == ["b"]
    with pytest.raises(StoreError, match="alerts_content_is_an_object"):
        async with store.transaction() as transaction:
            await transaction.keep(Shelf.ALERT, "c", b"[]", NOW)

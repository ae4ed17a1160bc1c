"""A database with the newest schema and a few rows, copied for each test from one that is migrated once."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import asyncpg
import pytest

from control_plane.schema import address
from control_plane.schema.runner import migrate
from control_plane.store import Chain, Installation, Kind, Shelf, StoredAudit, StoredTable, StoredVersion
from control_plane.store.postgres import PostgresStore
from tests.control_plane.schema.comparer import described
from tests.servers import copied, empty_database, new_database, wait_for

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CHAIN = Chain([b"k" * 32])


def store_of(url: str) -> PostgresStore:
    return PostgresStore(address.parse(url), connections_max=2, chain=CHAIN)


async def fill(url: str) -> None:
    """Three mutations, a module with two versions, an audit, a table, a setting."""
    store = store_of(url)
    await store.open()
    try:
        await store.found(Installation("8c5e3d6e-4f6f-4b0e-9d3a-1f2a3b4c5d6e", 1, NOW))
        async with store.transaction() as transaction:
            for kind, document, version in [
                *((Kind.MUTATION, name, 1) for name in "abc"),
                (Kind.MODULE, "m", 1),
                (Kind.MODULE, "m", 2),
            ]:
                content = b'{"id": "%s", "isActive": true, "status": "active", "n": %d}' % (document.encode(), version)
                saved = StoredVersion(version=version, content=content, action="created", actor="x", reason="", at=NOW)
                await transaction.put(kind, document, saved, deleted=document == "c")
                entry = StoredAudit(at=NOW, actor="x", role="admin", action="created", kind=kind, subject=document)
                await transaction.add_audit(entry)
            version = await transaction.raise_table_version(7)
            table = StoredTable(
                version=version, digest="0" * 64, key_id="k", sealed=b"s", mutations=2, actor="x", reason="", at=NOW
            )
            await transaction.add_table(table)
            await transaction.keep(Shelf.SETTING, "theme", b'{"dark": true}', NOW)
    finally:
        await store.close()


@pytest.fixture(scope="session")
def filled_template(postgres_server: str) -> Iterator[str]:
    """The URL of a database with the newest schema and rows; nobody connects to it but to copy it."""
    with new_database(postgres_server) as url:
        wait_for(fill(url))
        yield url


@pytest.fixture(scope="session")
def fresh_lines(postgres_server: str) -> list[str]:
    """What the independent comparer says of a fresh schema."""
    with empty_database(postgres_server) as url:
        wait_for(migrate(url))
        return wait_for(described(url))


@pytest.fixture
def filled_url(filled_template: str) -> Iterator[str]:
    """A database of its own with the newest schema and rows."""
    with copied(filled_template) as url:
        yield url


@pytest.fixture(scope="module")
def used_url(filled_template: str) -> Iterator[str]:
    """As `filled_url`, for tests that leave the schema as they found it."""
    with copied(filled_template) as url:
        yield url


@pytest.fixture
async def connection(filled_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to `filled_url`."""
    found = await asyncpg.connect(filled_url)
    yield found
    await found.close()


@pytest.fixture
async def used(used_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to `used_url`."""
    found = await asyncpg.connect(used_url)
    yield found
    await found.close()

"""Stores for the tests of moves: empty ones, and one with something of everything that a store can hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import zstandard

from control_plane.schema import address, runner
from control_plane.store import (
    Installation,
    Kind,
    Shelf,
    Store,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
)
from control_plane.store.postgres import PostgresStore
from tests.control_plane.plane import CHAIN

NOW = datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
WHOSE = Installation("0198b0de-0000-7000-8000-000000000001", 1, NOW)
SOMEBODY = Installation("0198b0de-0000-7000-8000-000000000002", 1, NOW)


@asynccontextmanager
async def postgres(url: str) -> AsyncIterator[PostgresStore]:
    """An opened store, its schema made."""
    await runner.migrate(url)
    store = PostgresStore(address.parse(url), connections_max=4, chain=CHAIN)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def fill(store: Store, installation: Installation = WHOSE) -> None:
    """Something of each: documents with versions, one of them deleted, audit, a table, and what else there is."""
    await store.found(installation)
    async with store.transaction() as work:
        for kind in Kind:
            for number in (1, 2):
                content = f'{{"id":"a","text":"Grüße {number} \U0001f600"}}'.encode()
                await work.put(kind, "a", _version(number, content))
            await work.put(kind, "gone", _version(1, b'{"id":"gone"}'))
            await work.put(kind, "gone", _version(2, b'{"id":"gone"}'), deleted=True)
        for shelf in Shelf:
            await work.keep(shelf, "thing", b'{"id":"thing"}', NOW)
            await work.keep(shelf, "left", b'{"id":"left"}', NOW)
            await work.discard(shelf, "left", NOW)
        version = await work.raise_table_version(7)
        await work.add_table(
            StoredTable(
                version=version,
                digest="0" * 64,
                key_id="k",
                sealed=b"\0sealed",
                mutations=1,
                actor="me",
                reason="",
                at=NOW,
            )
        )
        await work.remember("me", "key", StoredAnswer("print", b'{"id":"a"}'))
        await note(store, work)
    await store.use_sign_in("once", NOW)


async def note(store: Store, work: object = None) -> None:
    """One audit entry more, in a transaction of its own unless one is given."""
    if work is None:
        async with store.transaction() as own:
            await own.add_audit(_ENTRY)
    else:
        await work.add_audit(_ENTRY)  # type: ignore[attr-defined]


async def execute(url: str, statement: str) -> None:
    """A statement by hand, as somebody with the database's password may."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def lines_of(export: Path) -> list[bytes]:
    """The lines of an export that is not encrypted, without their ends."""
    with export.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()


_ENTRY = StoredAudit(at=NOW, actor="me", role="admin", action="created", kind="segment", subject="a", reason="why")


def _version(number: int, content: bytes) -> StoredVersion:
    return StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)

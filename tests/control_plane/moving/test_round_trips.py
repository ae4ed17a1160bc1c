"""Every kind of store gives back the file that filled it: so what one exports, each of the others takes, and exports again."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from control_plane.backups.encryption import Keys
from control_plane.moving.exports import ExportFile, write
from control_plane.moving.moves import move
from control_plane.moving.places import Place, StoreKind
from control_plane.moving.standing import Standing, is_empty
from control_plane.store import Kind, Position, Record, Store, StoredAudit, StoreError
from control_plane.store.chroma import ChromaStore
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import NOW, lines_of
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.kinds import opened
from tests.servers import empty_database

THERE_AND_BACK = ("local", "chroma", "postgres-18", "chroma", "local", "postgres-18")
"""From PostgreSQL on: each way from one of three kinds to another, once."""


@pytest.fixture
async def everything(source: PostgresStore, tmp_path: Path) -> Path:
    """A file with something of everything."""
    await write(source, tmp_path / "everything", Keys(), NOW)
    return tmp_path / "everything"


async def test_a_file_comes_back_as_it_was(everything: Path, postgres_kind_url: str) -> None:
    async with opened("postgres-18", postgres_kind_url) as store:
        await import_and_export(everything, store, "there")


async def test_from_each_kind_of_store_to_each_other_nothing_changes_and_a_torn_move_begins_anew(
    everything: Path, source: PostgresStore, postgres_server: str, tmp_path: Path
) -> None:
    before: Store = source
    file = everything
    async with AsyncExitStack() as stack:
        for number, kind in enumerate(THERE_AND_BACK):
            postgres = kind.startswith("postgres")
            place = stack.enter_context(empty_database(postgres_server)) if postgres else str(tmp_path / str(number))
            store = await stack.enter_async_context(opened(kind, place))
            from_, to = Place(StoreKind.LOCAL, str(number)), Place(StoreKind.LOCAL, str(number + 1))
            with pytest.raises(StoreError, match="torn off"):
                await move(Torn(before), from_, store, to, chain=CHAIN)
            assert is_empty(await store.position())
            file = await import_and_export(file, store, str(number))
            moved = await move(before, from_, store, to, chain=CHAIN)
            assert (moved.plan.standing, all(row.same for row in moved.entities)) == (Standing.SAME, True)
            before = store
        installation = (await before.position()).installation
    assert installation is not None
    assert installation.epoch == 1 + len(THERE_AND_BACK)


async def test_what_chroma_has_lost_is_there_again_at_the_next_start(everything: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "store")
    async with opened("chroma", place) as store:
        await import_and_export(everything, store, "there")
        assert isinstance(store, ChromaStore)
        await store.index.close()
    for file in (tmp_path / "store.chroma").iterdir():
        if file.name.startswith("chroma.sqlite3"):
            file.unlink()
    async with opened("chroma", place) as store:
        await has_all_documents(store)


async def import_and_export(file: Path, store: Store, name: str) -> Path:
    """Fill an empty store from a file; what it exports then is the same, as a file of that name."""
    again = file.with_name(f"again-{name}")
    await move(
        ExportFile(file, Keys()), Place(StoreKind.FILE, "file"), store, Place(StoreKind.LOCAL, name), chain=CHAIN
    )
    await write(store, again, Keys(), NOW)
    first, second = (lines_of(path)[1:-1] for path in (file, again))
    assert first == second
    assert len(first) > 30
    await has_all_documents(store)
    return again


async def has_all_documents(store: Store) -> None:
    """ChromaDB, where there is one, has each document as the store has it, and no other."""
    if isinstance(store, ChromaStore):
        for kind in Kind:
            assert await store.index.content(kind, "gone") is None
            for one in await store.everything(kind):
                assert await store.index.content(kind, one.id) == one.content


class Torn:
    """A store whose records end in the middle, as when somebody pulls the cable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def position(self) -> Position:
        return await self._store.position()

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        return await self._store.audit_page(kind, subject, before, limit)

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        left = 20
        async for record in self._store.records(since):
            yield record
            left -= 1
            if not left:
                raise StoreError("torn off")

"""Every kind of store gives back the file that filled it: so what one exports, each of the others takes, and exports again."""

from pathlib import Path

import pytest

from control_plane.backups.encryption import Keys
from control_plane.moving.exports import ExportFile, write
from control_plane.moving.moves import move
from control_plane.moving.places import Place, StoreKind, opened, place_of
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import NOW, lines_of
from tests.control_plane.plane import CHAIN


@pytest.fixture
async def everything(source: PostgresStore, tmp_path: Path) -> Path:
    """A file with something of everything."""
    await write(source, tmp_path / "everything", Keys(), NOW)
    return tmp_path / "everything"


async def test_a_file_comes_back_as_it_was(everything: Path, postgres_kind_url: str, tmp_path: Path) -> None:
    await there_and_back(everything, postgres_kind_url, tmp_path / "again")


async def test_a_file_comes_back_from_sqlite_as_it_was(everything: Path, tmp_path: Path) -> None:
    await there_and_back(everything, str(tmp_path / "store.sqlite"), tmp_path / "again")


async def test_from_sqlite_to_postgres_and_back_nothing_changes(
    everything: Path, other_url: str, tmp_path: Path
) -> None:
    """A small installation that grows, and one that shrinks again."""
    small, back = str(tmp_path / "small.sqlite"), str(tmp_path / "back.sqlite")
    await there_and_back(everything, small, tmp_path / "small")
    for from_, to in ((small, other_url), (other_url, back)):
        async with opened(from_, CHAIN) as source, opened(to, CHAIN, to_write=True) as target:
            moved = await move(source, place_of(from_), target, place_of(to), chain=CHAIN)
            assert all(row.same for row in moved.entities)
    async with opened(back, CHAIN) as store:
        await write(store, tmp_path / "back", Keys(), NOW)
        installation = (await store.position()).installation
    assert installation is not None
    assert installation.epoch == 4
    first, last = (lines_of(tmp_path / name) for name in ("small", "back"))
    assert first[1:-1] == last[1:-1]


async def there_and_back(everything: Path, store: str, again: Path) -> None:
    async with opened(store, CHAIN, to_write=True) as target:
        await move(
            ExportFile(everything, Keys()), Place(StoreKind.FILE, "everything"), target, place_of(store), chain=CHAIN
        )
        await write(target, again, Keys(), NOW)
    first, second = (lines_of(path)[1:-1] for path in (everything, again))
    assert first == second
    assert len(first) > 30

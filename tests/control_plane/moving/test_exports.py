"""Everything as one file, and back. What a file may lack is tried where backups are."""

from pathlib import Path

import pytest

from control_plane.backups.encryption import Keys
from control_plane.backups.lines import BackupError, Header, decode
from control_plane.moving.exports import ExportFile, write
from control_plane.moving.moves import move
from control_plane.moving.places import Place, StoreKind
from control_plane.moving.standing import Standing
from control_plane.store import StoreError
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import NOW, lines_of, note
from tests.control_plane.plane import CHAIN

FILE, THERE = Place(StoreKind.FILE, "everything"), Place(StoreKind.POSTGRES, "new:5432/shop")
PLAIN = Keys()


@pytest.fixture
async def exported(source: PostgresStore, tmp_path: Path) -> Path:
    path = tmp_path / "everything"
    await write(source, path, PLAIN, NOW)
    return path


async def test_there_and_back_the_records_are_the_same_to_the_byte(
    exported: Path, target: PostgresStore, tmp_path: Path
) -> None:
    moved = await move(ExportFile(exported, PLAIN), FILE, target, THERE, chain=CHAIN)
    assert all(row.same for row in moved.entities)
    await write(target, tmp_path / "again", PLAIN, NOW)
    first, again = lines_of(exported), lines_of(tmp_path / "again")
    assert first[1:-1] == again[1:-1]
    assert len(first) > 30
    one, other = decode(first[0]), decode(again[0])
    assert isinstance(one, Header)
    assert isinstance(other, Header)
    assert one.installation is not None
    assert other.installation is not None
    assert (one.installation.id, one.installation.epoch + 1) == (other.installation.id, other.installation.epoch)


async def test_it_is_written_whole_for_its_owner(exported: Path, source: PostgresStore) -> None:
    before = exported.read_bytes()
    assert exported.stat().st_mode & 0o777 == 0o600
    await source.close()
    with pytest.raises(StoreError):
        await write(source, exported, PLAIN, NOW)
    assert exported.read_bytes() == before
    assert list(exported.parent.iterdir()) == [exported]


async def test_a_file_that_the_store_is_behind_and_one_that_is_behind_the_store(
    exported: Path, target: PostgresStore, source: PostgresStore
) -> None:
    await move(ExportFile(exported, PLAIN), FILE, target, THERE, chain=CHAIN)
    await note(source)
    newer = exported.with_name("newer")
    await write(source, newer, PLAIN, NOW)
    assert (await move(ExportFile(newer, PLAIN), FILE, target, THERE, chain=CHAIN)).plan.standing is Standing.BEHIND
    [entry] = await ExportFile(newer, PLAIN).audit_page(None, None, 2, 1)
    assert entry.number == 1


async def test_of_a_file_that_is_torn_nothing_is_kept(exported: Path, target: PostgresStore) -> None:
    exported.write_bytes(exported.read_bytes()[:-20])
    with pytest.raises(BackupError):
        await move(ExportFile(exported, PLAIN), FILE, target, THERE, chain=CHAIN)
    assert (await target.position()).installation is None

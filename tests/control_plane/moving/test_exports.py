"""Everything as one file, and back."""

from pathlib import Path

import msgspec
import pytest

from control_plane.moving.exports import ExportError, ExportFile, Header, Trailer, write_file
from control_plane.moving.moves import move
from control_plane.moving.places import Place, StoreKind
from control_plane.moving.standing import Standing
from control_plane.store import StoreError
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import note
from tests.control_plane.plane import CHAIN

FILE, THERE = Place(StoreKind.FILE, "everything.jsonl"), Place(StoreKind.POSTGRES, "new:5432/shop")


@pytest.fixture
async def exported(source: PostgresStore, tmp_path: Path) -> Path:
    path = tmp_path / "everything.jsonl"
    await write_file(source, path)
    return path


async def test_there_and_back_is_the_same_from_the_second_line_on(
    exported: Path, target: PostgresStore, tmp_path: Path
) -> None:
    moved = await move(ExportFile(exported), FILE, target, THERE, chain=CHAIN)
    assert all(row.same for row in moved.entities)
    await write_file(target, tmp_path / "again.jsonl")
    first, again = (path.read_bytes().splitlines() for path in (exported, tmp_path / "again.jsonl"))
    assert first[1:-1] == again[1:-1] != []
    one, other = (msgspec.json.decode(lines[0], type=Header).position for lines in (first, again))
    assert one.installation is not None
    assert other.installation is not None
    assert (one.installation.id, one.audit_hash, one.table_version) == (
        other.installation.id,
        other.audit_hash,
        other.table_version,
    )
    assert other.installation.epoch == one.installation.epoch + 1


async def test_it_is_written_whole_for_its_owner(exported: Path, source: PostgresStore) -> None:
    before = exported.read_bytes()
    assert exported.stat().st_mode & 0o777 == 0o600
    trailer = msgspec.json.decode(before.splitlines()[-1], type=Trailer)
    assert trailer.records == before.count(b"\n") - 2
    await source.close()
    with pytest.raises(StoreError):
        await write_file(source, exported)
    assert exported.read_bytes() == before
    assert list(exported.parent.iterdir()) == [exported]


async def test_a_file_that_is_older_or_newer_than_the_store(
    exported: Path, target: PostgresStore, source: PostgresStore
) -> None:
    await move(ExportFile(exported), FILE, target, THERE, chain=CHAIN)
    await note(source)
    await write_file(source, exported)
    assert (await move(ExportFile(exported), FILE, target, THERE, chain=CHAIN)).plan.standing is Standing.BEHIND


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: lines[:-1], "cut off after"),
        (lambda lines: [*lines[:5], *lines[6:]], "records, and"),
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "checksum is that of other lines"),
        (
            lambda lines: [*lines[:3], lines[3].replace(b'"me"', b'"you"'), *lines[4:]],
            "checksum is that of other lines",
        ),
        (
            lambda lines: [*lines[:3], b'{"record":"unheard of"}\n', *lines[4:]],
            "line 4: it can't be read: Invalid value",
        ),
        (lambda lines: [*lines, lines[3]], "something behind the last line"),
        (lambda lines: [b'{"mutations":[]}\n'], "no export of everything. A rules file goes to POST"),
        (lambda lines: [lines[0].replace(b'"version":1,', b'"version":2,', 1), *lines[1:]], "use a newer program"),
        (lambda lines: [], "no export"),
    ],
)
async def test_of_a_damaged_file_nothing_is_kept(
    exported: Path, target: PostgresStore, change: object, problem: str
) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    exported.write_bytes(b"".join(change(lines)))  # type: ignore[operator]
    with pytest.raises(ExportError) as caught:
        await move(ExportFile(exported), FILE, target, THERE, chain=CHAIN)
    assert problem in str(caught.value)
    assert (await target.position()).audit_number == 0
    assert (await target.position()).installation is None

"""What was acknowledged while the database was away survives a mirror that is damaged, or gone, before the database is back."""

import os
from pathlib import Path

import pytest

from control_plane.alerts import Alerts
from control_plane.store.interface import AwayError
from control_plane.store.local import LocalStore, Provisional
from control_plane.store.mirror.keeping import MirrorFile
from control_plane.store.mirror.spare import SUFFIX, Spare
from control_plane.store.mirror.standing import State
from control_plane.store.records import AuditRecord, Installation, Position, Shelf, StoredAudit
from layout_mutation.doctor.adopting import adopt
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.outages import NOW, Instance, Wire, chain_is_sound, instance, noted, segments, write
from tests.servers import empty_database

OURS = Installation("ours", 1, NOW)


def damage(file: Path) -> None:
    """Nonsense in place of everything but the first page."""
    with file.open("r+b") as found:
        found.seek(4096)
        found.write(os.urandom(max(4096, file.stat().st_size - 4096)))


async def gone(made: Instance, wire: Wire, folder: Path) -> Path:
    """Write on both sides of an outage, and stop; the mirror's file."""
    await write(made.store, "a", "before")
    await wire.cut()
    await made.answers(State.MIRROR)
    await write(made.store, "a", "meanwhile")
    await write(made.store, "b", "meanwhile")
    await made.store.close()
    return folder / "mirror.db"


@pytest.mark.parametrize("how", ["damaged", pytest.param("deleted", marks=pytest.mark.soak)])
async def test_what_was_acknowledged_outlives_the_mirrors_file(wire: Wire, tmp_path: Path, how: str) -> None:
    folder = tmp_path / "one"
    async with instance(wire.url, folder) as one:
        file = await gone(one, wire, folder)
    if how == "damaged":
        damage(file)
    else:
        for path in folder.glob("mirror.db*"):
            if path.name != f"mirror.db{SUFFIX}":
                path.unlink()
    await wire.mend()
    async with instance(wire.url, folder) as again:
        found = await segments(again.primary)
        assert set(found) == {"a", "b"}
        assert noted("meanwhile") in found["a"]
        assert await chain_is_sound(again.primary)
        assert await segments(again.store) == found
        assert {"damaged": "mirror_damaged", "deleted": "mirror_lost_changes"}[how] in again.alert_ids()
        assert not (folder / f"mirror.db{SUFFIX}").exists()


async def test_what_met_another_change_meanwhile_is_a_conflict(wire: Wire, database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    async with instance(wire.url, folder) as one:
        file = await gone(one, wire, folder)
    damage(file)
    async with instance(database_url, tmp_path / "other") as other:
        await write(other.store, "a", "by somebody else")
    await wire.mend()
    async with instance(wire.url, folder) as again:
        found = await segments(again.primary)
        assert noted("by somebody else") in found["a"]
        assert noted("meanwhile") in found["b"]
        assert len(await again.store.shelf(Shelf.CONFLICT)) == 1
        assert {"conflicts_open", "mirror_damaged"} <= again.alert_ids()


@pytest.mark.parametrize("sound", [True, False])
async def test_a_copy_that_is_not_needed_is_let_go_of(wire: Wire, tmp_path: Path, sound: bool) -> None:
    folder = tmp_path / "one"
    async with instance(wire.url, folder) as one:
        await gone(one, wire, folder)
    if not sound:
        with (folder / f"mirror.db{SUFFIX}").open("ab") as copy:
            copy.write(b"12345678 nonsense")
    await wire.mend()
    async with instance(wire.url, folder) as again:
        assert set(await segments(again.primary)) == {"a", "b"}
        assert len(await again.primary.audit_page(None, None, None, 10)) == 3
        assert "mirror_lost_changes" not in again.alert_ids()
        assert not (folder / f"mirror.db{SUFFIX}").exists()
        assert len(list(folder.glob(f"mirror.db{SUFFIX}.damaged-*"))) == (not sound)


@pytest.mark.soak
async def test_another_installations_changes_are_put_aside(wire: Wire, tmp_path: Path, postgres_server: str) -> None:
    folder = tmp_path / "one"
    async with instance(wire.url, folder) as one:
        await gone(one, wire, folder)
    adopt(folder, NOW)
    aside = next(folder.glob(f"mirror.db.aside-*{SUFFIX}"))
    aside.rename(folder / f"mirror.db{SUFFIX}")
    with empty_database(postgres_server) as url:
        async with instance(url, folder) as other:
            assert await segments(other.primary) == {}
        assert list(folder.glob(f"mirror.db{SUFFIX}.aside-*"))


async def test_a_file_that_was_put_aside_answers_nothing_until_it_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "mirror.db"
    file = MirrorFile(path, lambda path: LocalStore(path, chain=CHAIN), Alerts(), clock=lambda: NOW)
    await file.open()
    assert file.answering() is file.store
    await file.close()
    path.write_bytes(b"no database at all" * 1000)
    await file.open()
    with pytest.raises(AwayError, match="damaged"):
        file.answering()
    await file.close()


async def test_a_file_that_was_set_back_answers_nothing_until_the_database_has_been_read(tmp_path: Path) -> None:
    """As a log that was lost leaves it: sound, and without the changes that were acknowledged last."""
    file = MirrorFile(tmp_path / "mirror.db", lambda path: LocalStore(path, chain=CHAIN), Alerts(), clock=lambda: NOW)
    entry = StoredAudit(
        number=2, at=NOW, actor="me", role="admin", action="created", kind="segment", subject="a", changeset="a"
    )
    lost = Provisional(changeset="a", base=Position(OURS, 1, 1, b"", 1), records=(AuditRecord(entry),), at=NOW)
    await file.spare.add(lost)
    await file.open()
    with pytest.raises(AwayError, match="damaged"):
        file.answering()
    file.whole()
    assert file.answering() is file.store
    await file.close()


def is_damaged(spare: Spare) -> bool:
    return spare.damaged


async def test_lines_that_are_damaged_or_were_not_finished_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "spare"
    spare = Spare(file)
    assert await spare.read() == []
    waiting = [Provisional(changeset=name, base=Position(OURS, 1, 1, b"", 1), records=(), at=NOW) for name in "abc"]
    for one in waiting:
        await spare.add(one)
    assert await spare.read() == waiting
    first, second, third = [line for line in file.read_bytes().splitlines(keepends=True) if line.strip()]
    file.write_bytes(first + second.replace(b'"b"', b'"x"') + b"\xff nonsense\n" + third[:-20])
    assert await spare.read() == waiting[:1]
    assert is_damaged(spare)
    assert file.stat().st_mode & 0o777 == 0o600
    await spare.add(waiting[1])
    assert await spare.read() == waiting[:2], "what was not finished takes nothing with it"
    await spare.clear()
    assert await spare.read() == []
    assert not is_damaged(spare)
    file.mkdir()
    assert await spare.read() == []
    assert is_damaged(spare), "what can't be read is not nothing"

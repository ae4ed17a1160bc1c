"""The mirror's file when it is damaged or can't be written.

Counterpart: `test_mirrored.py` has what the store does that stands on it.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from control_plane.alerts import Alerts
from control_plane.schema import catalogue, healing
from control_plane.store import Installation, Kind, Position, ReadOnlyError, Record, StoreError
from control_plane.store.local import LocalStore
from control_plane.store.mirror.keeping import MirrorFile
from control_plane.store.mirror.standing import State
from tests.control_plane.plane import CHAIN, until
from tests.control_plane.store.outages import (
    NOW,
    Instance,
    Wire,
    chain_is_sound,
    instance,
    mirror_of,
    noted,
    segments,
    stored,
    write,
)

if TYPE_CHECKING:
    from control_plane.store.mirror.sides import Primary


async def test_what_waited_in_a_mirror_that_was_damaged_in_an_outage_is_not_lost(one: Instance, wire: Wire) -> None:
    await write(one.store, "a", "before")
    await wire.cut()
    await write(one.store, "a", "meanwhile")
    await write(one.store, "b", "meanwhile")
    await one.store.close()
    file = one.folder / "mirror.db"
    with closing(sqlite3.connect(file)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'document_versions'").fetchone()
    with file.open("r+b") as edited:
        edited.seek((page - 1) * 4096)
        edited.write(b"x" * 4096)
    async with instance(wire.url, one.folder, wait=False) as again:
        assert again.store.standing().outbox == 2
    await wire.mend()  # a restart in between changes nothing
    async with instance(wire.url, one.folder) as again:
        found = await segments(again.primary)
        assert noted("meanwhile") in found["a"]
        assert noted("meanwhile") in found["b"]
        assert await segments(await mirror_of(again)) == found
        assert await (await mirror_of(again)).outbox() == []
        assert await chain_is_sound(again.primary)


async def test_a_damaged_mirror_is_put_aside_and_filled_anew(one: Instance, wire: Wire) -> None:
    await write(one.store, "a", "before")
    await one.store.close()
    file = one.folder / "mirror.db"
    file.write_bytes(b"not a database at all" * 1000)
    file.rename(one.folder / "mirror.db.damaged-20300101T000000.unread")  # as if it had been killed just then
    async with instance(wire.url, one.folder) as again:
        (alert,) = [alert for alert in again.alerts.open() if alert.id == "mirror_damaged"]
        assert "file is not a database" in alert.detail
        assert (one.folder / "mirror.db.damaged-20300101T000000").exists()
        assert set(await segments(await mirror_of(again))) == {"a"}


async def test_a_mirror_that_can_not_be_written_is_in_nobodys_way(wire: Wire, tmp_path: Path) -> None:
    async with instance(wire.url, tmp_path / "one") as one:
        await write(one.store, "a", "before")
        mirror = await mirror_of(one)
        writer = mirror._writer
        assert writer is not None
        await writer.run(lambda connection: connection.execute("PRAGMA query_only = ON"))
        assert await write(one.store, "a", "mirror away") == 2
        assert "mirror_unwritable" in one.alert_ids()
        await wire.cut()
        await one.answers(State.MIRROR)
        await wire.mend()
        await one.answers(State.PRIMARY)
        assert one.store.standing().catching_up
        await writer.run(lambda connection: connection.execute("PRAGMA query_only = OFF"))

        async def level() -> bool:
            return not one.store.standing().catching_up

        await until(level)
        assert "mirror_unwritable" not in one.alert_ids()
        assert noted("mirror away") in stored(await mirror.find(Kind.SEGMENT, "a")).content


async def test_what_would_be_forgotten_by_the_next_start_is_not_acknowledged(wire: Wire, tmp_path: Path) -> None:
    """Where the folder can't be written, the mirror lies in one that is there for this run alone."""
    (tmp_path / "one").write_text("in the way")
    async with instance(wire.url, tmp_path / "one") as one:
        await write(one.store, "a", "before")
        await wire.cut()
        assert set(await segments(one.store)) == {"a"}
        with pytest.raises(ReadOnlyError, match="CONTROL_PLANE_DATA_DIR"):
            await write(one.store, "a", "meanwhile")
        with pytest.raises(ReadOnlyError, match="CONTROL_PLANE_DATA_DIR"):
            await one.store.use_sign_in("link", NOW)


async def test_a_damaged_file_on_a_full_disk_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "mirror.db").write_bytes(b"not a database at all" * 1000)

    class Full(LocalStore):
        async def open(self) -> None:
            if self.path.parent == tmp_path and not self.path.exists():
                raise StoreError("the disk is full")
            await super().open()

    file = MirrorFile(tmp_path / "mirror.db", partial(Full, chain=CHAIN), Alerts(), clock=lambda: NOW)
    await file.open()
    assert file.makeshift
    assert (await file.store.position()).installation is None
    await file.close()


async def test_rows_that_whoever_healed_a_table_did_not_have_come_from_the_others(
    one: Instance, database_url: str
) -> None:
    """Its copy may be a second old, or none at all; the audit says nothing of it, and nobody was away."""
    await write(one.store, "a", "before")
    await write(one.store, "b", "before")
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP TABLE layout_mutation.segments, layout_mutation.segment_versions")
    outcome = await healing.heal(connection, catalogue.committed())
    assert outcome.emptied == ("segment_versions", "segments")

    async def are_back() -> bool:
        return set(await segments(one.primary)) == {"a", "b"} and one.recoveries == 2

    await until(are_back)
    assert len(await one.primary.versions(Kind.SEGMENT, "a")) == 1
    await write(one.store, "a", "after")
    await connection.execute("DROP TABLE layout_mutation.segments, layout_mutation.segment_versions")
    outcome = await healing.heal(connection, catalogue.committed(), one.store.copy_of)
    await connection.close()
    assert (outcome.emptied, set(await segments(one.primary))) == ((), {"a", "b"})
    await write(one.store, "a", "filled from its own mirror")
    assert one.recoveries == 2, "nothing is given twice"


class Slow(LocalStore):
    """A database that gives its records when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, chain=CHAIN)
        self.gives = asyncio.Event()

    async def newest_change(self) -> int:
        return (await self.position()).change

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        await self.gives.wait()
        async for record in super().records(since):
            yield record


async def test_a_mirror_that_lacks_much_is_filled_beside_the_work_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control_plane.store.mirror.keeping.FILLED_AT_ONCE", 2)
    alerts = Alerts(instance="test")
    file = MirrorFile(tmp_path / "mirror.db", partial(LocalStore, chain=CHAIN), alerts, clock=lambda: NOW)
    slow = Slow(tmp_path / "database")
    primary = cast("Primary", slow)
    await slow.open()
    await slow.found(Installation("018f0000-0000-7000-8000-000000000000", 1, NOW))
    for name in "abc":
        await write(slow, name)
    await file.open()
    await file.fill(primary, anew=True)
    await file.follow(primary)  # whoever writes meanwhile waits for nothing
    assert file.behind
    assert {alert.id for alert in alerts.open()} == {"mirror_behind"}
    slow.gives.set()

    async def level() -> bool:
        return not file.behind

    await until(level)
    assert alerts.open() == ()
    assert set(await segments(file.store)) == {"a", "b", "c"}
    await file.close()
    await slow.close()

"""The mirror's file when it is damaged or can't be written.

Counterpart: `test_mirrored.py` has what the store does that stands on it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from control_plane.store import Kind
from tests.control_plane.plane import until
from tests.control_plane.store.outages import (
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
        assert one.store.standing().catching_up
        await writer.run(lambda connection: connection.execute("PRAGMA query_only = OFF"))

        async def level() -> bool:
            return not one.store.standing().catching_up

        await until(level)
        assert "mirror_unwritable" not in one.alert_ids()
        assert noted("mirror away") in stored(await mirror.find(Kind.SEGMENT, "a")).content

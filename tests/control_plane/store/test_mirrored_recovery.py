"""The store that goes on without its database: whose data is there when it is back, and what is done with it."""

from pathlib import Path

import asyncpg
import msgspec

from control_plane.schema import address, runner
from control_plane.store import (
    Kind,
    Shelf,
)
from control_plane.store.mirror.standing import State
from control_plane.store.postgres import PostgresStore
from control_plane.store.records import MADE_AGAIN
from tests.control_plane.plane import CHAIN, until
from tests.control_plane.store.outages import (
    NOW,
    Instance,
    Wire,
    chain_is_sound,
    execute,
    instance,
    mirror_of,
    noted,
    segments,
    stored,
    write,
)
from tests.servers import new_database


async def test_a_dropped_schema_is_restored_within_five_seconds(one: Instance, database_url: str) -> None:
    await write(one.store, "a", "before")
    before = await one.store.position()
    await execute(database_url, "DROP SCHEMA layout_mutation CASCADE")

    async def restored() -> bool:
        return "database_restored" in one.alert_ids() and one.store.standing().state is State.PRIMARY

    await until(restored)
    after = await one.primary.position()
    assert before.installation is not None
    assert after.installation == msgspec.structs.replace(before.installation, epoch=2)
    assert noted("before") in stored(await one.primary.find(Kind.SEGMENT, "a")).content
    assert await chain_is_sound(one.primary)
    newest = (await one.primary.audit_page(None, None, None, 1))[0]
    assert (newest.action, newest.number) == ("database_restored", before.audit_number + 1)
    assert await (await mirror_of(one)).position() == after
    await write(one.store, "a", "after")


async def test_an_audit_that_lost_its_rows_is_no_other_history(database_url: str, tmp_path: Path) -> None:
    async with instance(database_url, tmp_path / "one") as one:
        await write(one.store, "a", "before")
        before = await one.store.audit_page(None, None, None, 10)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "ALTER TABLE layout_mutation.audit_entries DISABLE TRIGGER USER; DELETE FROM layout_mutation.audit_entries; "
        "ALTER TABLE layout_mutation.audit_entries ENABLE TRIGGER USER"
    )
    await connection.close()
    async with instance(database_url, tmp_path / "one") as one:
        assert await one.primary.audit_page(None, None, None, 10) == before
        await write(one.store, "a", "after")
        assert "histories_parted" not in one.alert_ids()
        assert await one.store.shelf(Shelf.CONFLICT) == []
        assert await chain_is_sound(one.primary)


async def test_a_database_that_lost_its_name_and_tables_gets_all_of_them_back(
    database_url: str, tmp_path: Path
) -> None:
    """Its newest change says nothing of what older ones are missing."""
    async with instance(database_url, tmp_path / "one") as one:
        await write(one.store, "a", "before")
        async with one.store.transaction() as transaction:
            await transaction.keep(Shelf.SETTING, "newer", b"{}", NOW)
        known = (await one.store.position()).installation
        assert known is not None
        copy = await one.store.copy_of(known.id)
        assert copy is not None
        assert sum([1 async for _ in copy.records]) > 3
        assert await one.store.copy_of("another one") is None
    await execute(
        database_url,
        "ALTER TABLE layout_mutation.segment_versions DISABLE TRIGGER USER",
        "TRUNCATE layout_mutation.segments, layout_mutation.segment_versions, layout_mutation.installation",
        "ALTER TABLE layout_mutation.segment_versions ENABLE TRIGGER USER",
    )
    async with instance(database_url, tmp_path / "one") as one:
        assert set(await segments(one.primary)) == {"a"}
        found = (await one.primary.position()).installation
        assert found == msgspec.structs.replace(known, epoch=2)


async def test_another_database_that_is_empty_is_filled(one: Instance, postgres_server: str) -> None:
    await write(one.store, "a", "before")
    folder = one.folder
    known = (await one.store.position()).installation
    with new_database(postgres_server) as url:
        async with instance(url, folder.parent / "copy") as other:
            assert (await other.store.position()).installation != known
    with new_database(postgres_server) as url:
        await one.store.close()
        async with instance(url, folder) as again:
            assert set(await segments(again.primary)) == {"a"}
            assert "database_restored" in again.alert_ids()
            found = (await again.primary.position()).installation
            assert found is not None
            assert known is not None
            assert (found.id, found.epoch) == (known.id, 2)


async def test_a_database_that_was_set_back_is_brought_forward(
    wire: Wire, postgres_server: str, tmp_path: Path
) -> None:
    with new_database(postgres_server) as backup:
        async with instance(wire.url, tmp_path / "one") as one:
            await write(one.store, "a", "first")
            await runner.migrate(backup)
            old = PostgresStore(address.parse(backup), connections_max=2, chain=CHAIN)
            await old.open()
            await old.load(one.primary.records(), (await one.primary.position()).installation)
            await old.close()
            await write(one.store, "a", "second")
            await write(one.store, "b", "second")
            head = await one.store.position()
        async with instance(backup, tmp_path / "one") as again:
            assert "database_set_back" in again.alert_ids()
            assert noted("second") in stored(await again.primary.find(Kind.SEGMENT, "a")).content
            entries = await again.primary.audit_page(None, None, None, 2)
            assert entries[1].hash == head.audit_hash
            assert entries[0].action == "database_restored"
            assert await chain_is_sound(again.primary)


async def test_somebody_elses_data_are_not_mixed_with_ours(one: Instance, postgres_server: str, tmp_path: Path) -> None:
    await write(one.store, "a", "ours")
    with new_database(postgres_server) as url:
        async with instance(url, tmp_path / "other") as other:
            await write(other.store, "z", "theirs")
        await one.store.close()
        async with instance(url, one.folder, wait=False) as again:

            async def refused() -> bool:
                return "foreign_database" in again.alert_ids()

            await until(refused)
            assert set(await segments(again.store)) == {"a"}
            await write(again.store, "b", "ours")
            alert = next(alert for alert in again.alerts.open() if alert.id == "foreign_database")
            assert "layout-mutation doctor --adopt" in alert.advice
        async with instance(url, tmp_path / "other") as other:
            assert set(await segments(other.primary)) == {"z"}


async def test_a_newer_schema_is_left_alone(one: Instance, database_url: str) -> None:
    await write(one.store, "a", "before")
    await one.store.close()
    newer = (
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (999, 'x', 'x', 0)"
    )
    await execute(database_url, newer)
    async with instance(database_url, one.folder, wait=False) as again:
        assert set(await segments(again.store)) == {"a"}
        await write(again.store, "b", "meanwhile")

        async def says_so() -> bool:
            return "newer than this program" in again.store.standing().problem

        await until(says_so)
        await execute(database_url, "DELETE FROM layout_mutation.schema_migrations WHERE number = 999")
        await again.answers(State.PRIMARY)
        assert set(await segments(again.primary)) == {"a", "b"}


async def test_parted_histories_keep_both(wire: Wire, database_url: str, postgres_server: str, tmp_path: Path) -> None:
    """Two mirrors of one installation, each with something that the other lacks: the second finds what the first restored."""
    async with instance(database_url, tmp_path / "first") as first:
        await write(first.store, "a", "both")
        async with instance(wire.url, tmp_path / "second") as second:
            await write(second.store, "b", "both")

            async def level() -> bool:
                return set(await segments(await mirror_of(first))) == {"a", "b"}

            await until(level)
    async with instance(wire.url, tmp_path / "second") as second:
        await write(second.store, "a", "second alone")
        await write(second.store, "c", "second alone")
    with new_database(postgres_server) as url:
        async with instance(url, tmp_path / "first") as first:
            await write(first.store, "a", "first alone")
            async with (
                first.store.transaction() as transaction
            ):  # tables were made again there: no reason to mix audits
                await transaction.keep(Shelf.QUARANTINE, MADE_AGAIN, b"{}", NOW)
        async with instance(url, tmp_path / "second") as second:
            found = await segments(second.primary)
            assert set(found) == {"a", "b", "c"}
            assert noted("first alone") in found["a"]
            kept = [msgspec.json.decode(thing.content) for thing in await second.store.shelf(Shelf.CONFLICT)]
            assert [conflict["documents"][0]["ours"]["content"]["note"] for conflict in kept] == ["second alone"]
            assert {"histories_parted", "conflicts_open"} <= second.alert_ids()
            assert await chain_is_sound(second.primary)
            assert await segments(await mirror_of(second)) == found

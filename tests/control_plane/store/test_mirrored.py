"""The store that goes on without its database: failing over, coming back, and a mirror that fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from control_plane.store import (
    Installation,
    Kind,
    OutcomeUnknownError,
    ReadOnlyError,
    Record,
    Shelf,
    StoredAnswer,
    StoreError,
)
from control_plane.store.mirror.sides import Source
from control_plane.store.mirror.standing import State
from tests.control_plane.plane import until
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
from tests.servers import new_database


class Elsewhere:
    """Another instance has the lease."""

    held = False

    async def hold(self) -> bool:
        return False

    async def release(self) -> None:
        pass

    async def elsewhere(self) -> bool:
        return False

    async def holder(self) -> str:
        return "alpha:8081 takes changes meanwhile"

    async def refusal(self) -> str:
        return await self.holder()


async def test_the_mirror_has_it_before_whoever_wrote_is_answered(one: Instance) -> None:
    mirror = await mirror_of(one)
    for number in range(1, 4):
        await write(one.store, "a", str(number))
        assert await mirror.position() == await one.primary.position()
    assert await mirror.versions(Kind.SEGMENT, "a") == await one.primary.versions(Kind.SEGMENT, "a")


async def test_reads_and_writes_go_on_and_what_was_written_comes_back_as_it_was(one: Instance, wire: Wire) -> None:
    await write(one.store, "a", "before")
    await wire.cut()
    started = time.monotonic()
    assert noted("before") in stored(await one.store.find(Kind.SEGMENT, "a")).content
    assert time.monotonic() - started < 4
    assert one.store.provisional
    assert await write(one.store, "a", "meanwhile") == 2
    assert await write(one.store, "b", "meanwhile") == 1
    assert await one.store.use_sign_in("link", NOW)
    assert not await one.store.use_sign_in("link", NOW)
    assert one.store.standing().outbox == 3
    head = await one.store.position()
    started = time.monotonic()
    await wire.mend()
    await one.answers(State.PRIMARY)
    assert time.monotonic() - started < 5
    assert (await one.primary.position()).audit_hash == head.audit_hash
    assert noted("meanwhile") in stored(await one.primary.find(Kind.SEGMENT, "a")).content
    assert not await one.primary.use_sign_in("link", NOW)
    assert await chain_is_sound(one.primary)
    assert one.store.standing().outbox == 0
    assert await (await mirror_of(one)).outbox() == []
    assert await write(one.store, "a", "after") == 3


async def test_a_server_that_hangs_is_noticed(one: Instance, wire: Wire) -> None:
    await write(one.store, "a", "x")
    wire.silent = True
    started = time.monotonic()
    assert await segments(one.store)
    assert time.monotonic() - started < 6
    assert await write(one.store, "b", "y") == 1
    await wire.mend()
    await one.answers(State.PRIMARY)
    assert set(await segments(one.primary)) == {"a", "b"}


async def test_without_the_lease_nothing_is_written_and_the_holder_is_named(wire: Wire, tmp_path: Path) -> None:
    async with instance(wire.url, tmp_path / "one", lease=Elsewhere()) as one:
        await write(one.store, "a", "before")
        await wire.cut()
        assert await segments(one.store)
        with pytest.raises(ReadOnlyError, match="alpha:8081"):
            await write(one.store, "a", "meanwhile")
        with pytest.raises(ReadOnlyError, match="alpha:8081"):
            await one.store.use_sign_in("link", NOW)


async def test_a_restart_during_the_outage_loses_nothing(wire: Wire, tmp_path: Path) -> None:
    async with instance(wire.url, tmp_path / "one") as one:
        await write(one.store, "a", "before")
        await wire.cut()
        await write(one.store, "a", "meanwhile")
    async with instance(wire.url, tmp_path / "one", wait=False) as again:
        assert noted("meanwhile") in stored(await again.store.find(Kind.SEGMENT, "a")).content
        await write(again.store, "b", "later")
        await wire.mend()
        await again.answers(State.PRIMARY)
        assert set(await segments(again.primary)) == {"a", "b"}
        assert await chain_is_sound(again.primary)


async def test_both_changes_stay_or_a_conflict_is_kept(wire: Wire, database_url: str, tmp_path: Path) -> None:
    async with (
        instance(wire.url, tmp_path / "one") as one,
        instance(database_url, tmp_path / "other", lease=Elsewhere()) as other,
    ):
        await write(one.store, "a", "before")
        await write(one.store, "b", "before")
        await wire.cut()
        await write(one.store, "a", "mine")
        await write(one.store, "a", "mine again")
        await write(one.store, "mine", "mine")
        await write(other.store, "a", "theirs")
        await write(other.store, "b", "theirs")
        await wire.mend()
        await one.answers(State.PRIMARY)
        found = await segments(one.primary)
        assert set(found) == {"a", "b", "mine"}
        assert noted("theirs") in found["a"]
        kept = [msgspec.json.decode(thing.content) for thing in await one.store.shelf(Shelf.CONFLICT)]
        notes = [document["ours"]["content"]["note"] for conflict in kept for document in conflict["documents"]]
        assert sorted(notes) == ["mine", "mine again"]
        assert all(conflict["documents"][0]["theirs"]["content"]["note"] == "theirs" for conflict in kept)
        assert "conflicts_open" in one.alert_ids()
        assert await chain_is_sound(one.primary)
        mirror = await mirror_of(one)
        assert await segments(mirror) == found
        assert await mirror.outbox() == []
        assert (await mirror.position()).audit_hash == (await one.primary.position()).audit_hash

        async def follows() -> bool:
            return await segments(await mirror_of(other)) == found

        await until(follows)


async def test_an_outcome_that_nobody_heard_of_is_not_acknowledged_and_happens_once(one: Instance, wire: Wire) -> None:
    await write(one.store, "a", "before")
    answer = StoredAnswer("print", b'{"version":2}')

    async def change() -> None:
        async with one.store.transaction() as transaction:
            if await transaction.answer("me", "key") is None:
                head = stored(await transaction.find(Kind.SEGMENT, "a"))
                version = (await transaction.versions(Kind.SEGMENT, "a"))[0]
                content = version.content.replace(b"before", b"after")
                await transaction.put(
                    Kind.SEGMENT, "a", msgspec.structs.replace(version, version=head.version + 1, content=content)
                )
                await transaction.remember("me", "key", answer)

    wire.cuts_at = b"COMMIT;"
    with pytest.raises(OutcomeUnknownError):
        await change()
    await change()  # the mirror does not know of the first
    await change()
    await write(one.store, "a", "later")
    await wire.mend()
    await one.answers(State.PRIMARY)
    assert [version.version for version in await one.primary.versions(Kind.SEGMENT, "a")] == [3, 2, 1]
    assert noted("later") in stored(await one.primary.find(Kind.SEGMENT, "a")).content
    assert await one.store.shelf(Shelf.CONFLICT) == []
    await change()
    assert len(await one.primary.versions(Kind.SEGMENT, "a")) == 3


async def test_what_is_written_elsewhere_is_followed(one: Instance, database_url: str, tmp_path: Path) -> None:
    async with instance(database_url, tmp_path / "other") as other:
        await write(other.store, "a", "theirs")
        await write(one.store, "b", "mine")  # the mirror has both at once
        assert set(await segments(await mirror_of(one))) == {"a", "b"}
        await write(other.store, "c", "theirs")

        async def follows() -> bool:
            return set(await segments(await mirror_of(one))) == {"a", "b", "c"}

        await until(follows)


async def test_nothing_known_anywhere_begins_or_is_restored_from_the_first_source(
    one: Instance, postgres_server: str, tmp_path: Path
) -> None:
    await write(one.store, "a", "kept elsewhere")
    known = (await one.store.position()).installation
    assert known is not None

    class Backup:
        name = "a backup"

        @property
        def installation(self) -> Installation:
            assert known is not None
            return known

        def records(self) -> AsyncIterator[Record]:
            return one.primary.records()

    async def nothing() -> Source | None:
        return None

    async def something() -> Source | None:
        return Backup()

    with new_database(postgres_server) as url:
        async with instance(url, tmp_path / "new", sources=(nothing, something)) as new:
            assert set(await segments(new.primary)) == {"a"}
            found = (await new.primary.position()).installation
            assert found == msgspec.structs.replace(known, epoch=2)
            [told] = [alert for alert in new.alerts.open() if alert.id == "database_restored"]
            assert told.advice.startswith("What is newer than that is lost.")
            assert set(await segments(await mirror_of(new))) == {"a"}


async def test_the_blocks_own_errors_are_not_the_databases(one: Instance) -> None:
    with pytest.raises(TimeoutError):
        async with one.store.transaction():
            raise TimeoutError
    with pytest.raises(KeyError):
        async with one.store.transaction():
            raise KeyError
    assert one.store.standing().state is State.PRIMARY


async def test_before_anything_is_known_it_says_what_is_missing(wire: Wire, tmp_path: Path) -> None:
    await wire.cut()
    async with instance(wire.url, tmp_path / "one", wait=False) as one:
        with pytest.raises(StoreError):
            await one.store.position()
        with pytest.raises(StoreError):
            await write(one.store, "a")
        await wire.mend()
        await asyncio.wait_for(one.store.usable(), 10)
        await write(one.store, "a")

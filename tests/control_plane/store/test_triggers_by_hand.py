"""A trigger that somebody added refuses or swallows what is written: the mirror takes it until the trigger is gone, and nothing is lost."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from control_plane.store.interface import StoreError
from control_plane.store.local import LocalStore, Provisional
from control_plane.store.mirror.keeping import FILE_NAME
from control_plane.store.mirror.standing import State
from control_plane.store.records import Kind, Record
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.outages import Instance, chain_is_sound, instance, noted, segments, write
from tests.servers import execute

BODIES = {"refuses": "RAISE EXCEPTION 'not today'", "swallows": "RETURN NULL"}


@pytest.mark.parametrize(
    ("what", "table"),
    [
        ("swallows", "segment_versions"),
        pytest.param("refuses", "segment_versions", marks=pytest.mark.soak),
        pytest.param("swallows", "segments", marks=pytest.mark.soak),
        pytest.param("swallows", "audit_entries", marks=pytest.mark.soak),
    ],
)
async def test_a_trigger_by_hand_costs_no_acknowledged_write(
    database_url: str, tmp_path: Path, what: str, table: str
) -> None:
    async with instance(database_url, tmp_path / "one") as one:
        await write(one.store, "a", "before")
        await execute(
            database_url,
            f"CREATE FUNCTION public.by_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {BODIES[what]}; END $$;"
            f"CREATE TRIGGER by_hand BEFORE INSERT ON layout_mutation.{table} FOR EACH ROW EXECUTE FUNCTION public.by_hand()",
        )
        with pytest.raises(StoreError):
            await write(one.store, "a", "meanwhile")
        assert await write(one.store, "a", "meanwhile") == 2
        await write(one.store, "b", "meanwhile")
        with pytest.raises(StoreError):  # what waits is refused as well
            await one.primary.load(waiting(await outbox_of(one)))
        assert one.store.standing().state is State.MIRROR
        await execute(database_url, "DROP FUNCTION public.by_hand CASCADE")
        await one.answers(State.PRIMARY)
        found = await segments(one.primary)
        assert set(found) == {"a", "b"}
        assert noted("meanwhile") in found["a"]
        assert len(await one.primary.versions(Kind.SEGMENT, "a")) == 2
        assert await chain_is_sound(one.primary)


async def outbox_of(made: Instance) -> Sequence[Provisional]:
    store = LocalStore(made.folder / FILE_NAME, chain=CHAIN)
    await store.open()
    try:
        return await store.outbox()
    finally:
        await store.close()


async def waiting(outbox: Sequence[Provisional]) -> AsyncIterator[Record]:
    for one in outbox:
        for record in one.records:
            yield record

"""One store's data put into another, between real databases."""

import json
from pathlib import Path

import pytest

from control_plane.moving.moves import Hooks, MoveError, compared, move, planned
from control_plane.moving.places import Place, StoreKind
from control_plane.moving.standing import Standing
from control_plane.store import Chain
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import SOMEBODY, WHOSE, execute, fill, note
from tests.control_plane.plane import CHAIN

HERE, THERE = Place(StoreKind.POSTGRES, "old:5432/shop"), Place(StoreKind.POSTGRES, "new:5432/shop")


async def test_everything_arrives_and_the_epoch_grows(source: PostgresStore, target: PostgresStore) -> None:
    moved = await move(source, HERE, target, THERE, chain=CHAIN)
    assert moved.plan.standing is Standing.EMPTY
    assert moved.records > 0
    assert all(row.same for row in moved.entities)
    assert [record async for record in source.records()] == [record async for record in target.records()]
    position = await target.position()
    assert position.installation is not None
    assert (position.installation.id, position.installation.epoch) == (WHOSE.id, 2)
    assert (await source.position()).installation == WHOSE


async def test_again_nothing_is_carried_and_what_came_since_is(source: PostgresStore, target: PostgresStore) -> None:
    await move(source, HERE, target, THERE, chain=CHAIN)
    await note(source)
    again = await move(source, HERE, target, THERE, chain=CHAIN)
    assert again.plan.standing is Standing.BEHIND
    once_more = await move(source, HERE, target, THERE, chain=CHAIN)
    assert (once_more.plan.standing, once_more.records) == (Standing.SAME, 0)
    assert all(row.same for row in await compared(source, target))
    position = await target.position()
    assert position.installation is not None
    assert position.installation.epoch == 2


async def test_what_the_new_store_forgot_meanwhile_does_not_hold_up_the_way_back(
    source: PostgresStore, target: PostgresStore, database_url: str
) -> None:
    """The old store, which nothing runs on, has forgotten nothing."""
    await execute(database_url, "UPDATE layout_mutation.idempotency_keys SET at = now() - interval '8 days'")
    await move(source, HERE, target, THERE, chain=CHAIN)
    await target.forget_old()
    await note(target)
    back = await move(target, THERE, source, HERE, chain=CHAIN)
    assert back.plan.standing is Standing.BEHIND


async def test_what_may_not_be_mixed_is_refused(source: PostgresStore, target: PostgresStore) -> None:
    await fill(target, SOMEBODY)
    before = [record async for record in target.records()]
    with pytest.raises(MoveError, match="another installation's data, which is never mixed"):
        await move(source, HERE, target, THERE, chain=CHAIN)
    assert [record async for record in target.records()] == before


async def test_histories_that_parted_or_went_on_are_refused(source: PostgresStore, target: PostgresStore) -> None:
    await move(source, HERE, target, THERE, chain=CHAIN)
    await note(target)
    with pytest.raises(MoveError, match="and more: use it as it is"):
        await move(source, HERE, target, THERE, chain=CHAIN)
    await note(source)
    with pytest.raises(MoveError, match="changed apart since"):
        await move(source, HERE, target, THERE, chain=CHAIN)


async def test_from_a_store_to_itself_or_from_nothing_is_refused(source: PostgresStore, target: PostgresStore) -> None:
    with pytest.raises(MoveError, match="same store"):
        await planned(source, HERE, source, HERE)
    with pytest.raises(MoveError, match="nothing to move"):
        await planned(target, THERE, source, HERE)


async def test_what_arrives_otherwise_is_noticed(source: PostgresStore, target: PostgresStore, other_url: str) -> None:
    await execute(
        other_url,
        "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.reason := 'other'; RETURN NEW; END $$; "
        "CREATE TRIGGER meddle BEFORE INSERT ON layout_mutation.segment_versions FOR EACH ROW EXECUTE FUNCTION public.meddle()",
    )
    with pytest.raises(MoveError, match="what arrived is not what left: segments, segment versions; postgres old"):
        await move(source, HERE, target, THERE, chain=CHAIN)
    # It stays refused: the target is not what left, even if it claims to have come as far.
    with pytest.raises(MoveError, match="not what left"):
        await move(source, HERE, target, THERE, chain=CHAIN)


async def test_hooks_are_told_and_a_no_before_stops_it(
    source: PostgresStore, target: PostgresStore, tmp_path: Path
) -> None:
    with pytest.raises(MoveError, match="nothing was moved: the hook 'false' ended with exit code 1"):
        await move(source, HERE, target, THERE, Hooks(before="false"), chain=CHAIN)
    assert (await target.position()).installation is None
    keep = "sh -c 'cat > \"$0\"' {}/{}"
    moved = await move(
        source, HERE, target, THERE, Hooks(keep.format(tmp_path, "before"), keep.format(tmp_path, "after")), chain=CHAIN
    )
    before, after = (json.loads((tmp_path / name).read_bytes()) for name in ("before", "after"))
    assert (before["event"], before["standing"], before["source"]["place"]) == ("before", "empty", str(HERE))
    assert (after["event"], after["plan"]["target"]["place"], after["records"]) == ("after", str(THERE), moved.records)
    assert {row["same"] for row in after["entities"]} == {True}


async def test_a_no_after_is_a_remark(source: PostgresStore, target: PostgresStore) -> None:
    moved = await move(source, HERE, target, THERE, Hooks(after="false"), chain=CHAIN)
    assert moved.remark.startswith("everything was moved, but the hook 'false'")


async def test_what_is_wrong_with_the_audit_is_told_and_moved_as_it_is(
    source: PostgresStore, target: PostgresStore, database_url: str
) -> None:
    await note(source)
    await execute(
        database_url,
        "ALTER TABLE layout_mutation.audit_entries DISABLE TRIGGER USER; "
        "UPDATE layout_mutation.audit_entries SET actor = 'you' WHERE number = 2",
    )
    moved = await move(source, HERE, target, THERE, chain=CHAIN)
    assert moved.audit_faults == ("entry 2: it is not what was sealed",)
    stranger = await move(source, HERE, target, THERE, chain=Chain([b"s" * 32]))
    assert stranger.audit_faults == ()  # without the key only links can be followed


async def test_a_change_in_what_the_target_has_already_is_no_move(
    source: PostgresStore, target: PostgresStore, other_url: str
) -> None:
    assert (await move(source, HERE, target, THERE, chain=CHAIN)).audit_faults == ()
    await note(source)
    await execute(
        other_url,
        "ALTER TABLE layout_mutation.audit_entries DISABLE TRIGGER USER; "
        "UPDATE layout_mutation.audit_entries SET actor = 'you' WHERE number = 1",
    )
    with pytest.raises(MoveError, match="not what left: audit entries"):
        await move(source, HERE, target, THERE, chain=CHAIN)

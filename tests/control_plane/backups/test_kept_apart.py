"""Backups made for an occasion, beside those that rotate."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from control_plane.alerts import Alerts
from control_plane.backups.backups import Backups, listed
from control_plane.backups.configured import kept_by
from control_plane.backups.lines import BackupError
from control_plane.store import Shelf
from control_plane.store.postgres import PostgresStore
from tests.control_plane.test_backups import NOW, Clock, fill


async def test_one_made_by_hand_outlives_the_regular_ones_within_its_own_bound(
    store: PostgresStore, tmp_path: Path
) -> None:
    clock = Clock()
    kept = kept_by({"CONTROL_PLANE_BACKUP_KEEP": "1 daily", "CONTROL_PLANE_BACKUP_KEEP_APART": "2"}, tmp_path)
    backups = Backups(store, kept, Alerts(), clock=clock)
    await fill(store)
    by_hand, regular = list[str](), list[str]()
    for _ in range(3):
        by_hand.append((await backups.make("by_hand")).name)  # in the same second: one must not be the other
        regular.append((await backups.make("scheduled")).name)
        clock.at += timedelta(hours=1)
    assert {one.name for one in await backups.all()} == {*by_hand[1:], regular[-1]}
    by_hand.append((await backups.make("by_hand")).name)
    found = await backups.all()
    assert {one.name for one in found} == {*by_hand[2:], regular[-1]}
    assert {one.name for one in found if one.apart} == set(by_hand[2:])
    assert {one.name for one in (await listed(kept))[0] if one.apart} == set(by_hand[2:]), (
        "the place alone knows it too"
    )
    assert await backups.remove(by_hand[-1]) == ("folder",)
    assert {thing.id for thing in await store.shelf(Shelf.BACKUP)} == {by_hand[2], regular[-1]}
    with pytest.raises(BackupError, match="no backup"):
        await backups.remove("latest")


async def test_one_made_by_hand_before_names_said_so_is_kept_apart_by_what_the_shelf_knows(
    store: PostgresStore, tmp_path: Path
) -> None:
    kept = kept_by({"CONTROL_PLANE_BACKUP_KEEP": "1 daily"}, tmp_path)
    backups = Backups(store, kept, Alerts(), clock=Clock())
    await fill(store)
    made = await backups.make("by_hand")
    old = msgspec.structs.replace(made, name=made.name.replace("-by-hand", ""), occasion="by hand", apart=False)
    (kept.folder.path / made.name).rename(kept.folder.path / old.name)
    async with store.transaction() as transaction:
        await transaction.keep(Shelf.BACKUP, old.name, msgspec.json.encode(old), NOW)
    clock = Clock()
    clock.at += timedelta(hours=1)
    await Backups(store, kept, Alerts(), clock=clock).make("scheduled")
    assert {(one.name, one.occasion, one.apart) for one in await backups.all() if one.apart} == {
        (old.name, "by_hand", True)
    }

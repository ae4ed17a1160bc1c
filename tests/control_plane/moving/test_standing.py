"""How one store stands to another, on real ones."""

from control_plane.moving.standing import Standing, standing
from control_plane.store import Shelf
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import NOW, SOMEBODY, fill, note


async def test_an_empty_one_and_somebody_elses(source: PostgresStore, target: PostgresStore) -> None:
    assert await standing(source, target) is Standing.EMPTY
    await fill(target, SOMEBODY)
    assert await standing(source, target) is Standing.FOREIGN


async def test_one_history_on_both_sides(source: PostgresStore, target: PostgresStore) -> None:
    whose = (await source.position()).installation
    await target.load(source.records(), whose)
    assert await standing(source, target) is Standing.SAME
    async with source.transaction() as work:
        await work.keep(Shelf.ALERT, "away", b"{}", NOW)
    assert (await standing(source, target), await standing(target, source)) == (Standing.BEHIND, Standing.AHEAD)
    await note(source)
    assert (await standing(source, target), await standing(target, source)) == (Standing.BEHIND, Standing.AHEAD)


async def test_histories_that_parted(source: PostgresStore, target: PostgresStore) -> None:
    await target.load(source.records(), (await source.position()).installation)
    await note(source)
    await note(target)
    assert await standing(source, target) is Standing.PARTED
    await note(source)
    assert (await standing(source, target), await standing(target, source)) == (Standing.PARTED, Standing.PARTED)

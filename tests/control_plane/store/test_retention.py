"""What is forgotten after its time is forgotten everywhere, also by a mirror that was away meanwhile.

Counterparts: `test_stores.py` has what each kind of store forgets, `tests/control_plane/moving/test_census.py` what moves make of it.
"""

from pathlib import Path

from control_plane.store import Shelf
from control_plane.store.retention import MARKS_KEPT
from service.clock import now
from tests.control_plane.store.outages import instance
from tests.servers import execute


async def test_a_mirror_that_was_away_for_longer_than_discarding_is_told_is_filled_anew(
    database_url: str, tmp_path: Path
) -> None:
    long_ago = now() - 2 * MARKS_KEPT
    async with instance(database_url, tmp_path) as one, one.store.transaction() as transaction:
        await transaction.keep(Shelf.PEER, "discarded meanwhile", b"{}", long_ago)
        await transaction.keep(Shelf.PEER, "there", b"{}", long_ago)
    await execute(database_url, "DELETE FROM layout_mutation.peers WHERE id = 'discarded meanwhile'")
    async with instance(database_url, tmp_path) as one:
        mirror = one.store._mirror
        assert [thing.id for thing in await mirror.shelf(Shelf.PEER)] == ["there"]

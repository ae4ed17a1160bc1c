"""`python -m tests.control_plane.moving.moving_slowly FROM TO`: a move that stops in the middle and says so, to be killed there."""

import asyncio
import sys
from collections.abc import AsyncIterator

from control_plane.moving.moves import move
from control_plane.moving.places import opened, place_of
from control_plane.store import Position, Record
from control_plane.store.postgres import PostgresStore
from control_plane.store.postgres.carrying import BATCH
from tests.control_plane.plane import CHAIN


class Slow:
    """A store that never gives its last records, once the first ones have been written on the other side."""

    def __init__(self, store: PostgresStore) -> None:
        self.position = store.position
        self.audit_page = store.audit_page
        self._store = store

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        known = [record async for record in self._store.records(since)]
        for number in range(BATCH + 1):  # the target writes whole batches
            yield known[number % len(known)]
        sys.stdout.write("in the middle\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


async def main(from_: str, to: str) -> None:
    async with opened(from_, CHAIN) as source, opened(to, CHAIN) as target:
        await move(Slow(source), place_of(from_), target, place_of(to), chain=CHAIN)  # type: ignore[arg-type]


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

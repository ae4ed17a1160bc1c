"""The start of the service on a store that is not the one it ran on last: the data comes along before anything is served.

Counterparts: `whereabouts.py` knows where it ran, `moves.py` carries. `app.py` calls `settle` before the store is opened and
`remember` when it is. Never: a service that begins on a store that lacks what it knew.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.moving.moves import Hooks, Moved, move
from control_plane.moving.places import Place
from control_plane.moving.standing import Standing, is_empty, standing
from control_plane.moving.whereabouts import Known, Whereabouts
from control_plane.store import Chain, Store, StoreError

DATA_MOVED = "data_moved"
MOVE_HOOK_FAILED = "move_hook_failed"
OLD_STORE_WRITTEN = "old_store_written"

log = structlog.get_logger("moving")


class Source(Struct, frozen=True):
    """A store that data may come from: its place, and how it is opened."""

    place: Place
    opened: Callable[[], AbstractAsyncContextManager[Store]]
    given: bool = True
    """Named by the operator. One that only may be it counts where the service ran on it last."""


class Settling:
    """What the service does about the store that its settings name."""

    def __init__(
        self,
        whereabouts: Whereabouts,
        target: Source,
        sources: Sequence[Source],
        hooks: Hooks,
        alerts: Alerts,
        chain: Chain,
    ) -> None:
        """`target`: where the service is to run; `sources`: where its data may be, the best first."""
        self._whereabouts = whereabouts
        self._target = target
        self._place = target.place
        self._sources = sources
        self._hooks = hooks
        self._alerts = alerts
        self._chain = chain

    async def settle(self) -> Moved | None:
        """Move the data here, if it is not here and there is where it may come from; what came of it.

        The target is opened for this alone, so that nothing else of the service reads or writes there before.

        Raises:
            MoveError: a person has to choose.
            StoreError: a store is away; nothing was moved, try again later.
            SchemaError: the target's schema needs a person.
        """
        known = self._whereabouts.read()
        last = None if known is None else known.place
        if last == self._place:
            return None
        sources = [one for one in self._sources if one.place != self._place and (one.given or one.place == last)]
        if not sources:
            return None
        async with self._target.opened() as store:
            for source in sources:
                try:
                    async with source.opened() as opened:
                        return await self._move(opened, source.place, store)
                except StoreError as error:
                    if is_empty(await store.position()):
                        raise
                    # What is here may well be all there is: the old server is gone, and the move was long ago.
                    log.warning("move_source_away", source=str(source.place), problem=str(error))
        return None

    async def remember(self, store: Store) -> None:
        """Write down where the service runs now; raises StoreError. A folder that can't be written costs only the next notice."""
        try:
            self._whereabouts.write(Known(self._place, await store.position()))
        except OSError as error:
            log.warning("whereabouts_not_written", problem=error.strerror or str(error))

    async def _move(self, source: Store, from_: Place, store: Store) -> Moved | None:
        if (await source.position()).installation is None:
            return None
        if await self._moved_before(source, from_, store):
            return None
        log.info("moving", source=str(from_), target=str(self._place))
        moved = await move(source, from_, store, self._place, self._hooks, chain=self._chain)
        self._alerts.report(
            DATA_MOVED,
            Severity.INFO,
            f"Everything was moved from {from_} to {self._place}.",
            "Nothing is to be done: counts and checksums are the same on both sides. CONTROL_PLANE_MOVE_FROM can go.",
            f"{moved.records} records; the target was {moved.plan.standing.value}",
        )
        if moved.remark:
            summary = "The command after the move failed; the data is moved."
            self._alerts.report(MOVE_HOOK_FAILED, Severity.WARNING, summary, "Run it by hand.", moved.remark)
        return moved

    async def _moved_before(self, source: Store, from_: Place, store: Store) -> bool:
        """Whether the data is here, and this store goes on with it."""
        how = await standing(source, store)
        if how is Standing.AHEAD:
            log.info("moved_before", source=str(from_), target=str(self._place))
            return True
        known = self._whereabouts.read()
        if how is not Standing.PARTED or (known is not None and known.place == from_):
            return False
        # This instance knew nothing of the old store, so it loses nothing of its own; somebody went on writing there.
        there, here = (await source.position()).installation, (await store.position()).installation
        moved = there is not None and here is not None and here.epoch > there.epoch
        if moved:
            self._alerts.report(
                OLD_STORE_WRITTEN,
                Severity.WARNING,
                f"After the move somebody went on writing to {from_}.",
                "Stop what still runs there. What was written there is not here: look with `layout-mutation move --check`, and "
                "import an export of its rules if it is wanted. Take CONTROL_PLANE_MOVE_FROM away.",
            )
        return moved

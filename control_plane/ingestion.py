"""Events from Redis into the database: at least once on the way, once where they are kept.

An entry is acknowledged after its events are committed; while the database is away nothing is, and Redis keeps them. What
can't be read or stored by itself is put aside and counted, so that it holds nobody up.
Counterparts: `event_streams.py` reads, `store` keeps. Never: more in memory than one read, or an event dropped unseen.
"""

import asyncio
import random
from collections.abc import Iterable

import structlog

from control_plane.alerts import Alerts, Severity
from control_plane.event_streams import Entry, EventStreams
from control_plane.exchange import ExchangeError
from control_plane.store import StoreError
from control_plane.store.events import EventStore
from control_plane.telemetry import Telemetry
from service.events import AnyEvent, BatchError, encode, read

IDLE_S = 1.0
BACKOFF_S_MAX = 30.0
CLAIM_EVERY_S = 30.0
ID_CHARACTERS_MAX = 200
PUT_ASIDE = "events_put_aside"

log = structlog.get_logger("ingestion")


class Ingestion:
    """One instance's part of the group."""

    def __init__(self, streams: EventStreams, store: EventStore, alerts: Alerts, telemetry: Telemetry) -> None:
        self._streams = streams
        self._store = store
        self._alerts = alerts
        self._telemetry = telemetry
        self._again = True
        """What was taken and not acknowledged comes first: at the start, and after a failure."""
        self._claimed_at = 0.0

    async def keep(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                moved = await self.once()
                failures = 0
            except (StoreError, ExchangeError):
                moved, failures = 0, failures + 1  # `conditions.py` says what is away; nothing was acknowledged
            except Exception as error:  # a loop that an unforeseen error can end would let the streams run over
                moved, failures = 0, failures + 1
                log.exception("ingestion_failed", error=type(error).__name__)
            if failures:
                await asyncio.sleep(min(BACKOFF_S_MAX, 0.5 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0))  # noqa: S311
            elif not moved:
                await asyncio.sleep(IDLE_S)

    async def once(self) -> int:
        """One read, kept and acknowledged; how many entries. Raises StoreError, ExchangeError: then nothing was."""
        now = asyncio.get_running_loop().time()
        if now - self._claimed_at >= CLAIM_EVERY_S:
            self._again = await self._streams.claimed() > 0 or self._again
            self._claimed_at = now
        entries = await self._streams.taken() if self._again else []
        # New ones beside those that failed: what can't be kept while others can is at fault itself.
        entries += await self._streams.new()
        if entries:
            self._again = True  # until they are acknowledged
            await self._take(entries)
            self._again = False
        return len(entries)

    async def _take(self, entries: list[Entry]) -> None:
        batches = [(entry, await self._events_of(entry)) for entry in entries]
        try:
            await self._add([event for _, events in batches for event in events])
        except StoreError:
            if len(batches) == 1:
                raise
            await self._add_each(batches)
        await self._streams.acknowledge(entries)

    async def _add_each(self, batches: Iterable[tuple[Entry, list[AnyEvent]]]) -> None:
        """Keep each entry by itself; one that fails while another can be kept is at fault itself."""
        failed: list[tuple[Entry, StoreError]] = []
        kept = False
        for entry, events in batches:
            try:
                await self._add(events)
                kept = kept or bool(events)
            except StoreError as error:
                failed.append((entry, error))
        if failed and not kept:
            raise failed[0][1]
        for entry, problem in failed:
            await self._put_aside(entry, str(problem))

    async def _add(self, events: list[AnyEvent]) -> None:
        if events:
            new = await self._store.add(events)
            self._telemetry.told(new, len(events) - new)

    async def _events_of(self, entry: Entry) -> list[AnyEvent]:
        """The events of an entry; none of one that was put aside, or that Redis has forgotten."""
        if entry.fields is None:
            self._telemetry.put_aside()
            log.warning("events_forgotten_by_redis", stream=entry.stream, entry=entry.id)
            return []
        try:
            batch = await asyncio.to_thread(read, entry.fields)
        except BatchError as error:
            await self._put_aside(entry, str(error))
            return []
        good = [event for event in batch.events if _fits(event)]
        lost = batch.unknown + len(batch.events) - len(good)
        if lost:
            self._telemetry.not_understood(lost)
        return good

    async def _put_aside(self, entry: Entry, why: str) -> None:
        await self._streams.put_aside(entry, why[:300])
        self._telemetry.put_aside()
        self._alerts.report(
            PUT_ASIDE,
            Severity.INFO,
            "Events that could not be read or stored were put aside.",
            "Look at the stream of events put aside (`{lm:<env>}:events:aside`): another program may write to the streams, or a "
            "sidecar is newer than this control plane.",
            why[:300],
        )


def _fits(event: AnyEvent) -> bool:
    """Whether a database can hold it: no U+0000, a moment with a zone, an id of some length."""
    return 0 < len(event.id) <= ID_CHARACTERS_MAX and event.at.tzinfo is not None and b"\\u0000" not in encode(event)

"""What is done regularly: of all instances one does it when it is due.

A row on the shelf says when something is due and who does it. Who does it writes the row anew now and then; a row that
stands still for the length of a lease is taken over. Both sides measure that time by their own steady clock, so that wrong
clocks never make two do the same work; they only move when it is due.
Counterpart: `kept_alerts.py` shows what fails. Never: work that is cut short without being tried again.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec
import structlog
import uuid_utils
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.refusals import Refused
from control_plane.store import AwayError, Kept, Shelf, Store, StoreError, Transaction

Work = Callable[[], Awaitable[None]]

TICK_S = 5.0
LEASE_S = 60.0
RENEWALS = 3  # in each lease, so that a slow store costs nobody the work
JITTER = 0.05  # of the interval, either way: instances and installations spread apart
BACKOFF_S = (30.0, 3_600.0)  # first and longest pause after a failure
RELEASE_TIMEOUT_S = 2.0

log = structlog.get_logger("schedules")


class Scheduled(Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the shelf."""

    id: str
    every_s: float
    due_at: datetime
    holder: str = ""
    """Instance that does it now; empty while nobody does."""
    run: str = ""
    """Which time of doing it: a UUID."""
    must_be_done_by: datetime | None = None
    """When others may take it over, unless it is put off until then."""
    done_at: datetime | None = None
    """When it was done last."""
    done_by: str = ""
    took_s: float = 0.0
    failures: int = 0
    """In a row."""
    problem: str = ""
    """Of the last failure, until it is done again."""


class Schedules:
    """The regular work of one installation, as one instance sees it."""

    def __init__(
        self,
        store: Store,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        steady: Callable[[], float] = time.monotonic,
        lease_s: float = LEASE_S,
        tick_s: float = TICK_S,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._steady = steady
        self._lease_s = lease_s
        self._tick_s = tick_s
        self._works: dict[str, tuple[timedelta, Work]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stands_since: dict[str, tuple[int, float]] = {}
        """Work -> the change of its row, and since when it was seen to stand still."""
        self._waits: set[str] = set()
        """Work that could not be done because the store was away: it is no failure, and is due as soon as the store is back."""
        self._seen: tuple[Scheduled, ...] = ()

    def every(self, name: str, interval: timedelta, work: Work) -> None:
        """Have something done regularly, from now on; said again with another interval, that counts. Raises ValueError."""
        if not name.isidentifier() or interval <= timedelta(0):
            raise ValueError(f"a schedule has a word for a name and an interval above 0 (got {name!r}, {interval})")
        self._works[name] = (interval, work)

    def seen(self) -> tuple[Scheduled, ...]:
        """All rows as they were seen last, by name; no I/O."""
        return self._seen

    async def keep(self) -> None:
        """Until cancelled: do what is due. What runs then is given back, for others to do."""
        try:
            while True:
                try:
                    await self.look()
                except StoreError:
                    pass  # nothing can be claimed while the store is away
                except Exception as error:  # a loop that an unforeseen error can end would do nothing any more
                    log.exception("schedules_failed", error=type(error).__name__)
                await asyncio.sleep(self._tick_s)
        finally:
            await self._stop()

    async def look(self) -> None:
        """Begin what is due and free; raises StoreError."""
        there = {thing.id: thing for thing in await self._store.shelf(Shelf.SCHEDULE)}
        waiting = frozenset(self._waits if self._waits and await self._is_away() else ())
        for name, (interval, work) in self._works.items():
            thing = there.get(name)
            row = None if thing is None else _decoded(thing)
            if row is not None and not row.failures:
                self._alerts.settle(_alert(name))
            if (
                name in self._running
                or name in waiting
                or not self._is_free(row, thing)
                or not self._is_due(row, interval)
            ):
                continue
            claimed = await self._claim(name, interval, thing)
            if claimed is not None:
                self._running[name] = asyncio.create_task(self._do(claimed, work), name=f"schedule {name}")
        rows = [_decoded(thing) for thing in there.values()]
        self._seen = tuple(sorted((row for row in rows if row is not None), key=lambda row: row.id))

    def _is_due(self, row: Scheduled | None, interval: timedelta) -> bool:
        """Also where it is due in a future that only another clock or another interval could have meant."""
        ahead = timedelta(0) if row is None else row.due_at - self._clock()
        return ahead <= timedelta(0) or ahead > max(interval * (1 + 2 * JITTER), timedelta(seconds=2 * BACKOFF_S[1]))

    def _is_free(self, row: Scheduled | None, thing: Kept | None) -> bool:
        """Whether nobody does it: an earlier life of this instance doesn't, nor does one whose row stands still."""
        if row is None or thing is None or not row.holder or row.holder == self._alerts.instance:
            return True
        change, since = self._stands_since.get(row.id, (-1, 0.0))
        if change != thing.change:
            self._stands_since[row.id] = (thing.change, self._steady())
            return False
        return self._steady() - since > self._lease_s

    async def _claim(self, name: str, interval: timedelta, seen: Kept | None) -> Scheduled | None:
        """The row with this instance in it; None where somebody else was faster."""
        async with self._store.transaction() as transaction:
            thing = await transaction.kept(Shelf.SCHEDULE, name)
            if (None if thing is None else thing.change) != (None if seen is None else seen.change):
                return None
            before = None if thing is None else _decoded(thing)
            row = before or Scheduled(id=name, every_s=0, due_at=self._clock())
            claimed = msgspec.structs.replace(
                row,
                every_s=interval.total_seconds(),
                holder=self._alerts.instance,
                run=str(uuid_utils.uuid7()),
                must_be_done_by=self._clock() + timedelta(seconds=self._lease_s),
            )
            await self._put(transaction, claimed)
        return claimed

    async def _do(self, row: Scheduled, work: Work) -> None:
        """Do it while the row is held, and write down what came of it."""
        began, problem, waits = self._steady(), "", False
        doing = asyncio.ensure_future(work())
        holding = asyncio.create_task(self._hold(row), name=f"hold {row.id}")
        try:
            await asyncio.wait([doing, holding], return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                await _end(doing)
                log.warning("schedule_lost", schedule=row.id)
                return
            try:
                doing.result()
            except Exception as error:  # work is anybody's: whatever it raises, it is tried again
                problem = _said(error)
                waits = await self._has_to_wait(row.id, error)
                if not waits:
                    log.exception("schedule_failed", schedule=row.id, error=type(error).__name__)
            await _end(holding)
            if waits:
                await self._put_back(row)
            else:
                self._waits.discard(row.id)
                await self._finish(row, problem, self._steady() - began)
        finally:
            await _end(holding)
            await _end(doing)
            del self._running[row.id]

    async def _has_to_wait(self, name: str, error: Exception) -> bool:
        """Whether it is the store that is away, which has an alert of its own. One that is there again by now is tried once more."""
        away = isinstance(error, StoreError) and await self._is_away()
        waits = away or (isinstance(error, AwayError) and name not in self._waits)
        if waits and name not in self._waits:
            log.info("schedule_waits", schedule=name, problem=str(error))
            self._waits.add(name)
        return waits

    async def _is_away(self) -> bool:
        try:
            await self._store.ping()
        except StoreError:
            return True
        return False

    async def _put_back(self, row: Scheduled) -> None:
        """Due as it was, and nobody's."""
        with suppress(StoreError):  # held by this instance it is free for it as well
            await self._release(row.id)

    async def _hold(self, row: Scheduled) -> None:
        """Put the row's end off, until it is lost: taken over, or not put off in time."""
        held_at = self._steady()
        while self._steady() - held_at < self._lease_s * (RENEWALS - 1) / RENEWALS:
            await asyncio.sleep(self._lease_s / RENEWALS)
            try:
                async with asyncio.timeout(self._lease_s / RENEWALS), self._store.transaction() as transaction:
                    present = await self._present(transaction, row)
                    if present is None:
                        return
                    until = self._clock() + timedelta(seconds=self._lease_s)
                    await self._put(transaction, msgspec.structs.replace(present, must_be_done_by=until))
                held_at = self._steady()
            except (StoreError, TimeoutError):
                continue

    async def _finish(self, row: Scheduled, problem: str, took_s: float) -> None:
        failures = row.failures + 1 if problem else 0
        if problem:
            self._alerts.report(
                _alert(row.id),
                Severity.WARNING,
                f"“{row.id}”, which is done regularly, failed {'once' if failures == 1 else f'{failures} times in a row'}.",
                "It is tried again by itself. If it goes on, the log of this instance says more.",
                problem,
            )
        else:
            self._alerts.settle(_alert(row.id))
        pause = _pause_s(row.every_s, failures)
        now = self._clock()
        done = msgspec.structs.replace(
            row,
            due_at=now + timedelta(seconds=pause * random.uniform(1 - JITTER, 1 + JITTER)),  # noqa: S311 - spreads apart
            holder="",
            run="",
            must_be_done_by=None,
            failures=failures,
            problem=problem,
            done_at=row.done_at if problem else now,
            done_by=row.done_by if problem else self._alerts.instance,
            took_s=row.took_s if problem else round(took_s, 3),
        )
        try:
            async with self._store.transaction() as transaction:
                if await self._present(transaction, row) is not None:
                    await self._put(transaction, done)
        except StoreError as error:
            # The row stays held by this instance, which finds it free and does it again when the store is back.
            log.warning("schedule_not_noted", schedule=row.id, problem=str(error))

    async def _present(self, transaction: Transaction, row: Scheduled) -> Scheduled | None:
        """The row as it is, None if this time of doing it is no longer the one that counts."""
        thing = await transaction.kept(Shelf.SCHEDULE, row.id)
        present = None if thing is None else _decoded(thing)
        return present if present is not None and present.run == row.run else None

    async def _put(self, transaction: Transaction, row: Scheduled) -> None:
        await transaction.keep(Shelf.SCHEDULE, row.id, msgspec.json.encode(row), self._clock())

    async def _stop(self) -> None:
        """Cut short what runs, and give its row back."""
        names = list(self._running)
        for task in list(self._running.values()):
            await _end(task)
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                for name in names:
                    await self._release(name)

    async def _release(self, name: str) -> None:
        async with self._store.transaction() as transaction:
            thing = await transaction.kept(Shelf.SCHEDULE, name)
            row = None if thing is None else _decoded(thing)
            if row is not None and row.holder == self._alerts.instance:
                free = msgspec.structs.replace(row, holder="", run="", must_be_done_by=None)
                await self._put(transaction, free)


def _pause_s(every_s: float, failures: int) -> float:
    """Seconds until it is due again."""
    first, longest = BACKOFF_S
    return every_s if not failures else min(every_s, longest, first * 2 ** min(failures - 1, 20))


def _alert(name: str) -> str:
    return f"schedule_failed_{name}"


def _said(error: Exception) -> str:
    """What may be shown of an error: the texts of our own have no secrets, others' might."""
    return str(error) if isinstance(error, StoreError | Refused) else type(error).__name__


def _decoded(thing: Kept) -> Scheduled | None:
    """A row; None for what no version of this program wrote, which is then written anew."""
    try:
        return msgspec.json.decode(thing.content, type=Scheduled)
    except msgspec.MsgspecError:
        return None


async def _end(task: "asyncio.Future[None]") -> None:
    """Cancel a task and wait until it has ended."""
    task.cancel()
    await asyncio.wait([task])

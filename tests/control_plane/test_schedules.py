"""Regular work: one of all instances does it, when it is due, and not two; what fails is tried again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from control_plane.alerts import Alerts
from control_plane.schedules import BACKOFF_S, LEASE_S, Schedules
from control_plane.store import AwayError, Shelf, Store, StoreError
from tests.control_plane.plane import until

HOUR = timedelta(hours=1)


class Instance:
    """An instance with clocks that a test moves. `work` counts, and ends when it may."""

    def __init__(self, store: Store, name: str, *, lease_s: float = LEASE_S) -> None:
        self.at = datetime(2026, 11, 27, 9, tzinfo=UTC)
        self.seconds = 0.0
        self.alerts = Alerts(instance=name, clock=lambda: self.at)
        self.schedules = Schedules(
            store,
            self.alerts,
            clock=lambda: self.at,
            steady=lambda: self.seconds,
            lease_s=lease_s,
            tick_s=0.01,
        )
        self.began = self.ended = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.problem: Exception | None = None
        self.schedules.every("tidy", HOUR, self.work)

    async def work(self) -> None:
        self.began += 1
        await self.may_end.wait()
        if self.problem is not None:
            raise self.problem
        self.ended += 1

    async def passes(self, time: timedelta) -> None:
        """Time passes, and what is due then is done."""
        self.at += time
        self.seconds += time.total_seconds()
        await self.schedules.look()
        await self.is_idle()

    async def is_idle(self) -> None:
        async def nothing_runs() -> bool:
            return not self.schedules._running

        if self.may_end.is_set():
            await until(nothing_runs)


class Sometimes:
    """A store of which the database may be away, while a mirror answers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    async def ping(self) -> None:
        if self.away:
            raise AwayError("the database is away")
        await self._store.ping()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@asynccontextmanager
async def kept_going(schedules: Schedules) -> AsyncIterator[None]:
    task = asyncio.create_task(schedules.keep())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_is_done_when_it_is_due_by_one_of_all(store: Store) -> None:
    instances = [Instance(store, name) for name in ("a", "b", "c")]
    for hour in range(1, 4):
        await asyncio.gather(*(one.passes(HOUR * 1.06) for one in instances))
        assert sum(one.ended for one in instances) == hour
        await asyncio.gather(*(one.passes(timedelta(minutes=1)) for one in instances))
        assert sum(one.ended for one in instances) == hour
    [row] = instances[0].schedules.seen()
    assert (row.id, row.every_s, row.holder, row.failures) == ("tidy", 3600, "", 0)
    assert row.done_by in ("a", "b", "c")


async def test_what_runs_is_not_begun_by_another_however_late_it_is(store: Store) -> None:
    one, other = Instance(store, "one"), Instance(store, "other")
    one.may_end.clear()
    await one.passes(HOUR)
    other.at += HOUR * 30  # a clock that is wrong
    await other.schedules.look()
    other.seconds += LEASE_S - 1
    await other.schedules.look()
    assert (one.began, other.began) == (1, 0)
    one.may_end.set()
    await one.is_idle()
    assert (one.ended, other.began) == (1, 0)


async def test_a_row_that_stands_still_is_taken_over_and_the_first_one_lets_go(store: Store) -> None:
    one, other = Instance(store, "one", lease_s=0.03), Instance(store, "other", lease_s=0.03)
    one.may_end.clear()
    one.schedules._lease_s = 1e9  # it hangs, and puts nothing off
    await one.passes(HOUR)
    other.at = one.at
    await other.schedules.look()
    other.seconds += 0.04
    await other.schedules.look()
    await other.is_idle()
    assert (one.began, one.ended, other.ended) == (1, 0, 1)
    one.may_end.set()
    await one.is_idle()
    await other.schedules.look()
    assert [row.done_by for row in other.schedules.seen()] == ["other"], "what the first one says no longer counts"


async def test_what_takes_long_is_put_off_and_ends_when_it_is_lost(store: Store) -> None:
    one = Instance(store, "one", lease_s=0.3)
    one.may_end.clear()
    await one.passes(HOUR)
    [first] = await store.shelf(Shelf.SCHEDULE)

    async def is_put_off() -> bool:
        return (await store.shelf(Shelf.SCHEDULE))[0].change > first.change

    await until(is_put_off)
    async with store.transaction() as transaction:
        await transaction.discard(Shelf.SCHEDULE, "tidy", one.at)

    async def is_lost() -> bool:
        return not one.schedules._running

    await until(is_lost)
    assert (one.began, one.ended) == (1, 0)


async def test_an_instance_that_started_anew_takes_up_what_it_had_begun(store: Store) -> None:
    before = Instance(store, "one")
    before.may_end.clear()
    await before.passes(HOUR)
    after = Instance(store, "one")
    await after.passes(HOUR)
    assert after.ended == 1


async def test_what_fails_is_told_and_tried_again_ever_later_and_settled_wherever_it_is_done(store: Store) -> None:
    one, other = Instance(store, "one"), Instance(store, "other")
    one.problem = StoreError("the disk is full")
    pauses = [timedelta(seconds=BACKOFF_S[0] * 2**n * 1.06) for n in range(3)]
    await one.passes(HOUR)
    for times, pause in enumerate(pauses, 1):
        [alert] = one.alerts.open()
        assert (alert.id, alert.detail) == ("schedule_failed_tidy", "the disk is full")
        assert ("once" if times == 1 else f"{times} times") in alert.summary
        await one.passes(pause * 0.5)
        assert one.began == times
        if times < 3:
            await one.passes(pause * 0.5)
            assert one.began == times + 1
    one.problem = ValueError("a secret")
    await one.passes(pauses[2])
    assert one.alerts.open()[0].detail == "ValueError"
    other.at = one.at
    await other.passes(HOUR)
    assert other.ended == 1
    await one.schedules.look()
    assert one.alerts.open() == ()


async def test_it_does_not_wait_for_a_time_that_only_a_wrong_clock_meant(store: Store) -> None:
    one = Instance(store, "one")
    await one.passes(HOUR * 24 * 30)
    one.at -= HOUR * 24 * 29
    await one.passes(timedelta(0))
    assert one.ended == 2


async def test_who_stops_gives_back_what_it_does(store: Store) -> None:
    one, other = Instance(store, "one"), Instance(store, "other")
    one.may_end.clear()
    async with kept_going(one.schedules):

        async def has_begun() -> bool:
            return one.began == 1

        await until(has_begun)
    assert one.ended == 0
    await other.passes(HOUR)
    assert other.ended == 1


async def test_who_is_cancelled_while_it_works_leaves_nothing_running(store: Store) -> None:
    first = Instance(store, "first")
    first.may_end.clear()
    await first.passes(HOUR)

    async def has_begun() -> bool:
        return first.began == 1

    await until(has_begun)
    [running] = first.schedules._running.values()
    running.cancel()
    await asyncio.wait([running])
    going_on = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    assert Instance.work.__qualname__ not in going_on


async def test_a_loop_goes_on_while_the_store_is_away(store: Store) -> None:
    one = Instance(store, "one")
    await store.close()
    async with kept_going(one.schedules):
        await asyncio.sleep(0.05)
        await store.open()

        async def is_done() -> bool:
            return one.ended == 1

        await until(is_done)


@pytest.mark.parametrize(("name", "interval"), [("two words", HOUR), ("x", timedelta(0))])
def test_a_schedule_that_can_not_be_is_refused(name: str, interval: timedelta) -> None:
    schedules = Instance.__new__(Instance)
    with pytest.raises(ValueError, match="a schedule has a word"):
        Schedules.every(Schedules.__new__(Schedules), name, interval, schedules.work)


async def test_what_needs_a_store_that_is_away_waits_in_silence_and_catches_up(store: Store) -> None:
    sometimes = Sometimes(store)
    one = Instance(cast("Store", sometimes), "one")
    sometimes.away, one.problem = True, AwayError("the database is away")
    for _ in range(5):
        await one.passes(timedelta(minutes=10))
    assert (one.began, one.alerts.open()) == (1, ())
    sometimes.away, one.problem = False, None
    await one.passes(timedelta(seconds=5))
    assert (one.began, one.ended, one.alerts.open()) == (2, 1, ())
    await one.passes(HOUR * 1.06)
    assert one.ended == 2


async def test_what_only_says_that_the_store_is_away_is_a_failure_the_second_time(store: Store) -> None:
    one = Instance(store, "one")
    one.problem = AwayError("a table is gone")
    await one.passes(timedelta(0))
    assert one.alerts.open() == ()
    await one.passes(timedelta(seconds=5))
    assert [alert.id for alert in one.alerts.open()] == ["schedule_failed_tidy"]

"""Workers that come and go in a place; they are only said to be there. Real ones are in tests/end_to_end."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from sidecar.processes import slots
from sidecar.processes.control import REPLACE
from sidecar.processes.slots import Slot
from sidecar.rewriting.last_words import LastWords
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from tests.sidecar.processes.test_knowledge import UNDER_WAY
from tests.sidecar.processes.test_slots import CEILING, SETTINGS, Process
from tests.sidecar.waiting import until


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


class Wire:
    """An asker that a test looks into: what the worker was told, and whether it serves."""

    def __init__(self) -> None:
        self.greeted = asyncio.Event()
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.asked = 0
        self.answers = asyncio.Event()
        """While it is not set nothing is answered."""
        self.answers.set()

    def tell(self, ask: str, **arguments: Any) -> None:
        self.told.append((ask, arguments))

    async def ask(self, ask: str, within_s: float, **arguments: Any) -> tuple[str, dict[str, Any]]:
        self.asked += 1
        async with asyncio.timeout(within_s):
            await self.answers.wait()
        return ask, arguments


class Hired:
    """A worker that is only said to be there; the test says when it is up and when it ends."""

    def __init__(self, pid: int, news: Callable[[Any], None], *, off: bool) -> None:
        self.process, self.asker, self.off, self.news = Process(pid), Wire(), off, news
        self.last_words = LastWords.new()
        self.is_hung = False
        self.memory_bytes = 0
        self.started_s = asyncio.get_running_loop().time() - 1000
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.retired: list[float] = []

    def ends(self, code: int = 0) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def kill(self) -> None:
        self.ends(-9)

    async def retire(self, within_s: float) -> None:
        self.retired.append(within_s)
        await self.ended

    @property
    def asks(self) -> list[str]:
        return [ask for ask, _ in self.asker.told]


class Place:
    """A place with such workers; `fails` starts to come are in vain, and while `may_start` is not set they take their time."""

    def __init__(self, listening: socket.socket) -> None:
        self.hired: list[Hired] = []
        self.held: list[Held] = []
        self.starts = self.fails = 0
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.size = 0
        self.slot = Slot(
            3,
            SETTINGS,
            listening,
            lambda slot, held: self.held.append(held),
            held=lambda _: self.size,
            start=cast(Any, self._start),
        )
        self._keeping: asyncio.Task[None] | None = None

    @property
    def keeping(self) -> asyncio.Task[None]:
        """The place is kept from when this is asked for first."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self.slot.keep())
        return self._keeping

    async def _start(
        self, number: int, listening: socket.socket, *, off: bool, on_news: Callable[[Any], None]
    ) -> Hired:
        assert (number, listening) == (3, self.slot._listening)
        self.starts += 1
        await self.may_start.wait()
        if self.fails:
            self.fails -= 1
            raise OSError("no room")
        self.hired.append(Hired(len(self.hired) + 1, on_news, off=off))
        return self.hired[-1]

    async def there(self, count: int) -> Hired:
        """The worker of that number, as soon as it is there."""
        assert not self.keeping.done()
        await until(lambda: len(self.hired) == count)
        return self.hired[-1]

    async def up(self, count: int) -> Hired:
        """The worker of that number, as soon as it is there, serving."""
        await self.there(count)
        self.hired[-1].asker.greeted.set()
        await until(lambda: self.slot.pid == count and self.slot.first_start.is_set())
        return self.hired[-1]


async def turns() -> None:
    """Let whatever could happen now happen."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def place(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    for name in ("BACK_OFF_S_MIN", "PING_EVERY_S"):
        monkeypatch.setattr(slots, name, 0.001)
    made = Place(listening)
    yield made
    made.slot.stop()
    for worker in made.hired:
        worker.ends()
    await asyncio.wait_for(made.keeping, 30)
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody waits for what is over"


async def test_a_worker_is_told_what_is_held_and_what_is_off_before_all_else(place: Place) -> None:
    place.slot.switched_off = True
    first = await place.up(1)
    assert first.off
    assert first.asker.told == [("hold", {"held": Held()}), ("switch", {"off": True})]
    held = Held((HeldMutation("headline", 3, Why.DIFFERS, 1, 600.0),))
    first.news(msgspec.to_builtins(held))
    place.slot.switched_off = False
    first.ends(1)
    second = await place.up(2)
    assert not second.off
    [(_, told), switched] = second.asker.told
    assert ([one.mutation_id for one in told["held"].mutations], switched) == (["headline"], ("switch", {"off": False}))


async def test_who_ends_is_followed_by_another_later_and_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "BACK_OFF_S_MAX", 0.005)
    place.fails = 1
    with capture_logs() as lines:
        for count in (1, 2, 3):
            assert not place.slot.first_start.is_set()
            await place.there(count)
            assert place.slot.first_failure.is_set()
            place.hired[-1].ends(3)
        await place.up(4)
        monkeypatch.setattr(slots, "SETTLED_S", -1.0)
        place.hired[-1].ends(-11)
        await place.up(5)
    ended = [(line["code"], line["restart_in_s"]) for line in lines if line["event"] == "worker_ended"]
    assert ended == [(-1, 0.001), (3, 0.002), (3, 0.004), (3, 0.005), (-11, 0.0)]
    assert (place.slot.restarts, lines[0]["event"]) == (5, "worker_not_started")


async def test_the_next_one_is_waited_for_and_a_stop_waits_for_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BACK_OFF_S_MIN", "BACK_OFF_S_MAX"):
        monkeypatch.setattr(slots, name, 3600.0)
    (await place.up(1)).ends(3)
    await until(lambda: place.slot.restarts == 1)
    await turns()
    assert (len(place.hired), place.slot.pid, place.slot.memory_bytes) == (1, None, 0)
    assert (place.slot.serves, await place.slot.ask("status")) == (False, None), "nobody is here to ask"
    place.slot.stop()
    await asyncio.wait_for(asyncio.shield(place.keeping), 30)
    assert len(place.hired) == 1


@pytest.mark.parametrize("asked", ["before its end is seen", "after it"])
@pytest.mark.parametrize("why", ["asked", "memory"])
async def test_who_ends_in_the_moment_of_its_replacement_is_followed_by_one_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch, why: str, asked: str
) -> None:
    for name in ("BACK_OFF_S_MIN", "BACK_OFF_S_MAX"):
        monkeypatch.setattr(slots, name, 0.05)
    first = await place.up(1)
    if asked == "before its end is seen":
        place.slot.replace(why)
    first.ends(3)
    if asked == "after it":
        await until(lambda: place.slot.restarts == 1)
        place.slot.replace(why)
    await place.up(2)
    await turns()
    assert (len(place.hired), place.slot.pid, place.slot.restarts) == (2, 2, 1)
    assert (place.slot._replace.is_set(), sum(place.slot.replacements.values())) == (False, 0)
    place.slot.replace(why)
    await place.up(3)
    assert place.slot.replacements[why] == 1, "what is asked of the fresh one counts"


async def test_who_drains_already_asks_for_nobody(place: Place) -> None:
    """An operator who is in a hurry sends SIGHUP twice."""
    first = await place.up(1)
    first.news(REPLACE)
    second = await place.up(2)
    await until(lambda: bool(first.retired))
    first.news(REPLACE)
    await turns()
    assert (len(place.hired), place.slot.pid) == (2, 2)
    second.news(REPLACE)
    await place.up(3)
    assert place.slot.replacements["asked"] == 2
    first.ends()
    await until(lambda: len(place.slot._retiring) == 1)


async def test_who_is_stopped_in_the_moment_of_its_replacement_is_not_replaced(place: Place) -> None:
    first = await place.up(1)
    place.slot.replace("asked")
    place.slot.stop()
    await turns()
    first.ends()
    await asyncio.wait_for(asyncio.shield(place.keeping), 30)
    assert len(place.hired) == 1


async def test_an_end_after_it_served_is_no_failure_to_start(place: Place) -> None:
    first = await place.up(1)
    assert (first.off, first.asker.told[-1]) == (False, ("switch", {"off": False})), (
        "nothing is off unless a signal says so"
    )
    first.ends(3)
    await place.up(2)
    assert not place.slot.first_failure.is_set()


async def test_a_planned_successor_serves_before_the_other_one_drains(place: Place) -> None:
    first = await place.up(1)
    first.news(REPLACE)
    second = await place.there(2)
    place.slot.tell("switch", off=True)
    assert (first.asks[-1], second.asks[-1]) == ("switch", "switch"), "both may still meet visitors"
    assert (place.slot.pid, first.retired) == (1, [])
    await place.up(2)
    await until(lambda: bool(first.retired))
    assert first.retired == [SETTINGS.drain_s + slots.KILL_MARGIN_S]
    assert (place.slot.replacements["asked"], place.slot.restarts, len(place.hired)) == (1, 0, 2)
    place.slot.tell("hold", held=Held())
    assert second.asks[-1] == "hold"
    place.slot.stop()
    second.ends()
    await turns()
    assert not place.keeping.done(), "the one that drains is waited for"
    first.ends()
    await asyncio.wait_for(asyncio.shield(place.keeping), 30)


async def test_who_drains_is_told_what_concerns_all_and_ends_when_somebody_insists(place: Place) -> None:
    """It has requests in progress: pages that are to pass by now, and half a minute that nobody wants to wait."""
    first = await place.up(1)
    place.slot.replace("asked")
    second = await place.up(2)
    await until(lambda: bool(first.retired))
    place.slot.tell("switch", off=True)
    assert (first.asks[-1], second.asks[-1]) == ("switch", "switch")
    place.slot.kill()
    assert (first.ended.done(), second.ended.done()) == (True, True)
    await until(lambda: not place.slot._retiring)
    await asyncio.wait_for(asyncio.shield(place.keeping), 30)


async def test_a_successor_that_does_not_come_up_leaves_the_other_one_where_it_is(place: Place) -> None:
    first = await place.up(1)
    with capture_logs() as lines:
        place.slot.replace("asked")
        (await place.there(2)).ends(3)
        await until(lambda: place.slot._successor is None)
        place.fails = 1
        place.slot.replace("asked")
        await until(lambda: not place.fails)
    assert [line["event"] for line in lines] == ["worker_not_replaced", "worker_not_started"]
    assert (place.slot.pid, place.slot.serves, first.retired, sum(place.slot.replacements.values())) == (1, True, [], 0)
    assert asyncio.get_running_loop().time() - first.started_s < 60, "it is not replaced for its size again at once"
    place.slot.replace("asked")
    await place.up(3)
    assert place.slot.replacements["asked"] == 1
    first.ends()
    await until(lambda: not place.slot._retiring)


async def test_who_grows_while_its_successor_starts_gets_no_second_one(place: Place) -> None:
    first = await place.up(1)
    place.size = CEILING + 1
    await place.there(2)
    first.memory_bytes = 0
    await until(lambda: first.memory_bytes > 0)
    assert not place.slot._replace.is_set()
    place.size = 0
    await place.up(2)
    assert place.slot.replacements["memory"] == 1


@pytest.mark.parametrize("greets", [False, True], ids=["at its start", "later"])
async def test_who_says_nothing_is_killed_as_hung_and_that_is_learned(
    place: Place, monkeypatch: pytest.MonkeyPatch, greets: bool
) -> None:
    for name in ("START_PATIENCE_S", "PING_PATIENCE_S"):
        monkeypatch.setattr(slots, name, 0.02)
    first = await place.there(1)
    first.last_words.begin(UNDER_WAY)
    if greets:
        first.asker.answers.clear()
        first.asker.greeted.set()
    with capture_logs() as lines:
        await until(first.ended.done)
    assert ("worker_hung", "error", 1) in [(line["event"], line["log_level"], line.get("pid")) for line in lines]
    monkeypatch.setattr(slots, "START_PATIENCE_S", 30.0)
    await until(lambda: bool(place.held))
    assert (first.is_hung, {page.why for page in place.held[0].pages}) == (True, {Why.HUNG})
    assert first.last_words._place.closed
    assert place.slot.first_start.is_set() == greets


async def test_what_a_crash_teaches_is_told_to_the_others_and_the_next(place: Place) -> None:
    first = await place.up(1)
    first.last_words.begin(UNDER_WAY)
    first.last_words.turn("one")
    first.ends(-11)
    second = await place.up(2)
    assert [one.mutation_id for one in place.held[0].mutations] == ["one"]
    assert [one.mutation_id for one in second.asker.told[0][1]["held"].mutations] == ["one"]
    assert [one.why for one in place.held[0].pages] == [Why.KILLED] * 2


async def test_who_has_ended_is_asked_no_more(place: Place) -> None:
    first = await place.up(1)
    first.ends(3)
    second = await place.up(2)
    before, so_far = first.asker.asked, second.asker.asked
    await until(lambda: second.asker.asked > so_far + 3)
    assert first.asker.asked == before


async def test_it_answers_for_the_worker_that_serves(place: Place) -> None:
    await place.there(1)
    assert (place.slot.serves, await place.slot.ask("status")) == (False, None)
    first = await place.up(1)
    assert (place.slot.serves, await place.slot.ask("explain", url="a")) == (True, ("explain", {"url": "a"}))
    first.asker.answers.clear()
    assert await place.slot.ask("status", 0.001) is None
    place.slot.stop()
    assert (place.slot.serves, first.asks[-1], first.ended.done()) == (False, "stop", False)
    place.slot.kill()
    assert first.ended.done()


async def test_who_is_started_while_all_stop_is_told_so(place: Place) -> None:
    first = await place.up(1)
    place.slot.replace("asked")
    await place.there(2)
    place.slot.stop()
    assert [worker.asks[-1] for worker in place.hired] == ["stop", "stop"]
    first.ends()
    for worker in place.hired:
        worker.asker.greeted.set()
    place.slot.kill()
    await asyncio.wait_for(asyncio.shield(place.keeping), 30)
    assert (len(place.hired), place.slot.restarts) == (2, 0)


async def test_a_start_that_a_stop_met_ends(place: Place) -> None:
    place.may_start.clear()
    assert not place.keeping.done()
    await until(lambda: place.starts == 1)
    place.slot.stop()
    place.may_start.set()
    await until(lambda: bool(place.hired))
    assert place.hired[0].asks == ["hold", "switch", "stop"]

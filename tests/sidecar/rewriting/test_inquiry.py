"""Who was it? Pages that do harm, tried again in real children that die, hang and raise."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from rules.group import Group
from rules.html import PassedThrough
from rules.model import decode_operations
from rules.reasons import Reason
from sidecar.rewriting import inquiry as module
from sidecar.rewriting.companion import CompanionLostError, How
from sidecar.rewriting.inquiry import QUEUE_PAGES_MAX, Finding, Harm, Inquiry, Outcome
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import Why
from sidecar.rewriting.rewriter import Reply, Request
from tests.sidecar.opened import HEADLINE, children
from tests.sidecar.waiting import until

GUILTY = (sys.executable, "-P", "-m", "tests.sidecar.stand_in_guilty")
PAGE = b"<!doctype html><h1>Old</h1>"
Found = list[tuple[Harm, Finding]]
Open = Callable[..., tuple[Inquiry, Found]]


@pytest.fixture
async def inquiry() -> AsyncIterator[Open]:
    """`inquiry(**changes)`: an Inquiry and what it finds; closed afterwards, and then its child is gone."""
    opened: list[Inquiry] = []

    def make(**changes: object) -> tuple[Inquiry, Found]:
        found: Found = []
        given: dict[str, object] = {"deadline_s": 0.5, "slow_us": 25_000, "command": GUILTY, "interval_s": 0.0}
        told = {"on_found": lambda harm, finding: found.append((harm, finding))}
        opened.append(Inquiry(**{**given, **told, **changes}))  # type: ignore[arg-type]
        return opened[-1], found

    before = children()
    yield make
    for one in opened:
        await one.close()
    assert children() == before


def harm(*names: str, page: bytes = PAGE, address: str = "shop.example/") -> Harm:
    groups = tuple(Group(name, decode_operations(HEADLINE)) for name in names)
    return Harm(MemoKey(address, "d1", "utf-8", None), page, groups, dict.fromkeys(names, 1))


async def of(opened: tuple[Inquiry, Found], one: Harm) -> Finding:
    inquiry, found = opened
    inquiry.open(one)
    await until(lambda: bool(found), 30)
    assert found[0][0] is one
    return found.pop(0)[1]


@pytest.mark.parametrize(("name", "why"), [("dies", Why.KILLED), ("hangs", Why.HUNG), ("raises", Why.RAISED)])
@pytest.mark.parametrize("place", [0, 2, 4])
async def test_the_one_to_blame_is_found_wherever_it_stands(inquiry: Open, name: str, why: Why, place: int) -> None:
    names = ["a", "b", "c", "d"]
    names.insert(place, name)
    assert await of(inquiry(), harm(*names)) == Finding(Outcome.MUTATION, name, why)


async def test_of_two_the_first_is_found_first(inquiry: Open) -> None:
    assert (await of(inquiry(), harm("a", "raises", "dies", "b"))).mutation_id == "raises"


async def test_a_page_that_does_harm_alone_blames_nobody(inquiry: Open) -> None:
    assert await of(inquiry(), harm("a", "dies", page=b"broken<h1>")) == Finding(Outcome.PAGE)


async def test_what_does_no_harm_again_blames_nobody_and_tells_who_was_slow(inquiry: Open) -> None:
    finding = await of(inquiry(), harm("a", "burns", "b"))
    assert (finding.outcome, list(finding.slow)) == (Outcome.NOBODY, ["burns"])
    assert 25_000 < finding.slow["burns"] < 500_000


async def test_a_child_that_can_not_be_started_blames_nobody(inquiry: Open) -> None:
    opened = inquiry(command=("/nowhere",))
    assert await of(opened, harm("dies")) == Finding(Outcome.FAILED)
    ends = inquiry(command=(sys.executable, "-c", "raise SystemExit"))
    assert await of(ends, harm("dies")) == Finding(Outcome.FAILED)


async def test_what_can_not_be_encoded_blames_nobody(inquiry: Open) -> None:
    one = harm("a")
    broken = one._replace(key=one.key._replace(nonce="\ud800"))
    assert await of(inquiry(), broken) == Finding(Outcome.FAILED)


async def test_a_page_is_tried_once_and_what_has_no_room_is_dropped(inquiry: Open, tmp_path: Path) -> None:
    asking, found = inquiry(interval_s=3600.0)
    for number in range(QUEUE_PAGES_MAX + 2):
        asking.open(harm("a", address=f"shop.example/{number}"))
        asking.open(harm("a", address=f"shop.example/{number}"))
    assert [finding.outcome for _, finding in found] == [Outcome.DROPPED] * 4, "two pages, of which each came twice"
    await until(lambda: len(found) == 5, 30)
    asking.open(harm("a", address="shop.example/0"))
    assert (asking.waiting, found[-1][1].outcome) == (QUEUE_PAGES_MAX - 1, Outcome.NOBODY)
    await asyncio.sleep(0)
    assert len(found) == 5, "the next one is an hour away"


# ---- how it is found, without a process


class Answering:
    """A companion that answers by what the mutations of a page do, and what it was asked."""

    def __init__(self, deed: Callable[[list[str]], Reply | bytes | CompanionLostError]) -> None:
        self._deed = deed
        self.asked: list[list[str]] = []
        self.patience_s: set[float] = set()
        self.slow_us: set[int] = set()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.closed = 0

    async def ask(self, message: bytes, within_s: float) -> bytes:
        request = msgspec.msgpack.decode(message, type=Request)
        groups = msgspec.msgpack.decode(request.groups, type=tuple[Group, ...])
        self.asked.append([group.mutation_id for group in groups])
        self.patience_s.add(within_s)
        self.slow_us.add(request.slow_us)
        await self.may_answer.wait()
        said = self._deed(self.asked[-1])
        if isinstance(said, CompanionLostError):
            raise said
        return said if isinstance(said, bytes) else msgspec.msgpack.encode(said)

    async def close(self) -> None:
        self.closed += 1


WELL = Reply(1)
RAISED = Reply(1, passed=PassedThrough(reason=Reason.REWRITE_FAILED))
LATE, ENDED, NEVER = (CompanionLostError("gone", how) for how in (How.LATE, How.ENDED, How.NOT_STARTED))


def answered(opened: tuple[Inquiry, Found], deed: Callable[[list[str]], Any]) -> Answering:
    companion = Answering(deed)
    opened[0]._companion = cast(Any, companion)
    return companion


@pytest.mark.parametrize("place", range(8))
async def test_one_of_eight_is_found_in_five_tries(inquiry: Open, place: int) -> None:
    opened, names = inquiry(), [f"m{number}" for number in range(8)]
    companion = answered(opened, lambda tried: LATE if f"m{place}" in tried else WELL)
    assert await of(opened, harm(*names)) == Finding(Outcome.MUTATION, f"m{place}", Why.HUNG)
    assert (companion.asked[:2], len(companion.asked)) == ([[], names], 5)
    assert (companion.patience_s, companion.slow_us) == ({1.0}, {25_000}), "twice the page's deadline"
    await until(lambda: companion.closed == 1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (LATE, Why.HUNG),
        (ENDED, Why.KILLED),
        (RAISED, Why.RAISED),
        (b"\xc1", Why.KILLED),
        (b"", Why.KILLED),
        (Reply(1, passed=PassedThrough(reason=Reason.NO_CHANGE)), None),
        (WELL, None),
    ],
)
async def test_what_an_answer_says_of_a_mutation(inquiry: Open, said: Any, why: Why | None) -> None:
    opened = inquiry()
    companion = answered(opened, lambda tried: said if tried else WELL)
    expected = Finding(Outcome.NOBODY) if why is None else Finding(Outcome.MUTATION, "a", why)
    assert await of(opened, harm("a")) == expected
    await until(lambda: companion.closed == 1 + isinstance(said, bytes))


async def test_it_is_blamed_for_what_it_did_itself(inquiry: Open) -> None:
    deeds = {"raises": RAISED, "hangs": LATE}
    opened = inquiry()
    answered(opened, lambda tried: next((deeds[name] for name in reversed(tried) if name in deeds), WELL))
    assert await of(opened, harm("a", "raises", "b", "hangs")) == Finding(Outcome.MUTATION, "raises", Why.RAISED)


async def test_what_can_not_be_tried_blames_nobody(inquiry: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = inquiry()
    companion = answered(opened, lambda _: NEVER)
    assert await of(opened, harm("a")) == Finding(Outcome.FAILED)
    monkeypatch.setattr(module, "MESSAGE_BYTES_MAX", 10)
    assert await of(opened, harm("b", address="shop.example/large")) == Finding(Outcome.FAILED)
    assert len(companion.asked) == 1


async def test_who_can_not_hear_what_was_found_ends_no_inquiry(inquiry: Open) -> None:
    heard: list[Outcome] = []

    def hear(_: Harm, finding: Finding) -> None:
        heard.append(finding.outcome)
        raise RuntimeError("a bug")

    opened = inquiry(on_found=hear)
    answered(opened, lambda _: WELL)
    with capture_logs() as lines:
        for number in range(2):
            opened[0].open(harm("a", address=f"shop.example/{number}"))
        await until(lambda: len(heard) == 2)
        await until(lambda: len(lines) == 2)
    assert {line["event"] for line in lines} == {"inquiry_failed"}


async def test_one_page_at_a_time(inquiry: Open) -> None:
    opened = inquiry()
    companion = answered(opened, lambda _: LATE)
    companion.may_answer.clear()
    for number in range(3):
        opened[0].open(harm("a", address=f"shop.example/{number}"))
        await asyncio.sleep(0)
    assert (len(companion.asked), opened[0].waiting) == (1, 2)
    companion.may_answer.set()
    await until(lambda: len(opened[1]) == 3)


async def test_between_two_inquiries_a_worker_has_peace(inquiry: Open) -> None:
    opened = inquiry(interval_s=3600.0)
    companion = answered(opened, lambda _: LATE)
    for number in range(2):
        opened[0].open(harm("a", address=f"shop.example/{number}"))
    await until(lambda: companion.closed == 1)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(companion.asked), opened[0].waiting) == (1, 1)
    assert module.INTERVAL_S == 1.0, "one a second, as docs/adr/0054 has it"


async def test_a_page_is_tried_again_after_a_while_and_those_before_are_forgotten(
    inquiry: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 2)
    asking, _ = opened = inquiry()
    answered(opened, lambda _: LATE)

    async def tried(path: str, decision: str = "d1") -> bool:
        one = harm("a", address=f"shop.example/{path}")
        asking.open(one._replace(key=one.key._replace(decision=decision)))
        taken = asking.waiting == 1
        await until(lambda: asking.waiting == 0)
        return taken

    assert [await tried(path) for path in "abac"] == [True, True, False, True]
    assert [await tried(path) for path in "bac"] == [False, True, False], "the first is forgotten"
    assert await tried("c", "d2"), "another decision is another page"
    with monkeypatch.context() as later:
        later.setattr(module, "AGAIN_S", 0.0)
        assert [await tried(path) for path in "xyx"] == [True] * 3
    assert [await tried(path) for path in "zx"] == [True, False], "the one that was tried longest ago is forgotten"

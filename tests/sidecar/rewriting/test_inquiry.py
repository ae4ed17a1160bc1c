"""Who was it? Pages that do harm, tried again in real children that die, hang and raise."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from rules.decision import Group
from rules.model import decode_operations
from sidecar.rewriting.inquiry import QUEUE_PAGES_MAX, Finding, Harm, Inquiry, Outcome
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import Why
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

"""A sample of pages before a real judge in a real process: agreed with, condemned; killed, stopped, flooded."""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from structlog.testing import capture_logs

from rules.decision import decide
from rules.group import Group
from rules.html import Rewritten, apply_groups
from rules.reasons import Reason
from rules.table import DecisionTable
from service.opinions import PAGE_BYTES_MAX
from sidecar.context.contexts import context_of_address
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import HeldMutation, MutationQuarantine, Why
from sidecar.rewriting.verification import QUEUE_PAGES_MAX, Verification
from tests.service.judging import PAGE
from tests.sidecar.opened import children
from tests.sidecar.waiting import until
from tests.sidecar.wire import NOON, headline, table

STAND_IN = (sys.executable, "-P", "-m", "tests.sidecar.stand_in_judge")
KEY = MemoKey("shop.example/offers?who=me", "d1", "utf-8", None)
TABLE = table(
    headline(version=3), headline(id="end", mutationType="remove", mutationPayload={"target": {"selector": "footer"}})
)

Open = Callable[..., Verification]


@pytest.fixture
async def verification() -> AsyncIterator[Open]:
    """`verification(**changes)`: a started Verification of every page, closed afterwards, whose children are then gone."""
    opened: list[Verification] = []

    def start(**changes: object) -> Verification:
        given = {
            "share": 1.0,
            "quarantine": MutationQuarantine(time.monotonic),
            "table": lambda: TABLE,
            "entropy": random.Random(1),
        }
        made = Verification(**{**given, **changes})  # type: ignore[arg-type]
        opened.append(made)
        made.start()
        return made

    before = children()
    yield start
    for made in opened:
        await made.close()
    assert children() == before


def groups(rules: DecisionTable = TABLE, held: frozenset[str] = frozenset()) -> tuple[Group, ...]:
    return decide(rules, context_of_address("https://shop.example/offers", {}, NOON, held=held)).groups


def result() -> Rewritten:
    done = apply_groups(PAGE, groups(), charset="utf-8")
    assert isinstance(done, Rewritten)
    return done


def page_of(text: bytes) -> Rewritten:
    return msgspec.structs.replace(result(), page=text)


def consider(verification: Verification, done: Rewritten | None = None) -> None:
    verification.consider(KEY, PAGE, groups(), done or result())


def counted(verification: Verification) -> dict[str, int]:
    return {" ".join(filter(None, names)): count for names, count in verification.opinions().items() if count}


def pid(verification: Verification) -> int:
    number = verification.status()["pid"]
    assert isinstance(number, int)
    return number


# ---- what follows from an opinion


async def test_what_is_right_is_agreed_with(verification: Open) -> None:
    judged = verification()
    assert judged.opinions() == {("agrees", ""): 0, ("differs", ""): 0}
    consider(judged)
    await until(lambda: counted(judged) == {"agrees": 1}, 20)
    assert judged.quarantine.held(TABLE) == frozenset()
    assert judged.status()["opinions"] == {"agrees": 1}


async def test_however_many_pages_there_are_few_are_judged(verification: Open) -> None:
    judged = verification(interval_s=3600.0)
    for _ in range(5):
        consider(judged)
    await until(lambda: counted(judged) == {"agrees": 1}, 20)
    assert (judged.status()["waiting"], judged.status()["dropped"]) == (0, 0)


async def test_a_mutation_that_did_something_else_is_skipped_and_told_of(verification: Open) -> None:
    announced: list[HeldMutation] = []
    judged = verification(quarantine=MutationQuarantine(time.monotonic, on_hold=announced.append))
    swallowed = result().page.replace(b"</ul>", b"</ul><textarea>")
    with capture_logs() as logs:
        consider(judged, page_of(swallowed))
        await until(lambda: counted(judged) == {"differs": 1}, 20)
    [line] = [line for line in logs if line["log_level"] == "error"]
    assert (line["event"], line["page"], line["held_s"]) == ("mutation_differs", "shop.example/offers", 600.0)
    assert line["mutations"] == ["headline", "end"], "neither is to blame alone"
    assert "<textarea>" in line["detail"]
    assert {(one.mutation_id, one.version, one.why) for one in announced} == {
        ("end", 1, Why.DIFFERS),
        ("headline", 3, Why.DIFFERS),
    }
    held = judged.quarantine.held(TABLE)
    assert groups(held=held) == ()
    context = context_of_address("https://shop.example/offers", {}, NOON, held=held)
    assert {outcome.reason for outcome in decide(TABLE, context).outcomes} == {Reason.QUARANTINED}


async def test_without_a_table_nobody_can_be_held(verification: Open) -> None:
    judged = verification(table=lambda: None)
    consider(judged, page_of(PAGE))
    await until(lambda: counted(judged) == {"differs": 1}, 20)
    assert judged.quarantine.held(TABLE) == frozenset()


# ---- the sample


async def test_a_share_of_the_pages_is_looked_at(verification: Open) -> None:
    judged = verification(share=0.25, command=STAND_IN)
    for _ in range(200):
        consider(judged)
        await until(lambda: judged.status()["waiting"] == 0)
    await until(lambda: 30 < counted(judged).get("agrees", 0) < 70)
    nothing = verification(share=0.0)
    consider(nothing)
    assert (nothing.status()["waiting"], nothing.status()["pid"]) == (0, None)


async def test_a_page_too_large_is_not_even_queued(verification: Open) -> None:
    judged = verification(command=STAND_IN)
    consider(judged, page_of(b" " * (PAGE_BYTES_MAX + 1)))
    assert counted(judged) == {"no_opinion too_large": 1}
    assert judged.status()["pid"] is None


# ---- the judge's life


@pytest.mark.parametrize("page", [b"die 9", b"die 11", b"memory 1", b"noise 1"])
async def test_a_judge_that_ends_over_a_page_has_no_opinion_and_is_replaced(verification: Open, page: bytes) -> None:
    judged = verification(command=STAND_IN)
    with capture_logs() as logs:
        consider(judged, page_of(page))
        consider(judged)
        await until(lambda: counted(judged) == {"no_opinion failed": 1, "agrees": 1}, 20)
    assert judged.status()["restarts"] == 1
    assert judged.quarantine.held(TABLE) == frozenset()
    assert [line["event"] for line in logs] == ["verifier_replaced"]


async def test_a_judge_that_hangs_is_ended(verification: Open) -> None:
    judged = verification(command=STAND_IN, deadline_s=0.3)
    consider(judged)
    await until(lambda: counted(judged) == {"agrees": 1}, 20)
    os.kill(pid(judged), signal.SIGSTOP)
    consider(judged)
    await until(lambda: counted(judged) == {"agrees": 1, "no_opinion failed": 1}, 20)
    consider(judged)
    await until(lambda: counted(judged) == {"agrees": 2, "no_opinion failed": 1}, 20)


async def test_a_judge_that_was_killed_while_it_had_nothing_to_do_is_replaced(verification: Open) -> None:
    judged = verification(command=STAND_IN)
    consider(judged)
    await until(lambda: counted(judged) == {"agrees": 1}, 20)
    first = pid(judged)
    os.kill(first, signal.SIGKILL)
    await until(lambda: judged._judge._is_lost)
    consider(judged)
    await until(lambda: counted(judged) == {"agrees": 2}, 20)
    assert pid(judged) != first


async def test_a_judge_that_can_not_be_started_is_tried_again_ever_more_slowly(verification: Open) -> None:
    judged = verification(command=("/nonexistent/program",))
    began = time.monotonic()
    for _ in range(3):
        consider(judged)
    await until(lambda: counted(judged) == {"no_opinion failed": 3}, 20)
    assert time.monotonic() - began > 0.1
    assert judged.status()["pid"] is None


async def test_what_does_not_fit_into_the_queue_is_dropped_and_nobody_waits(verification: Open) -> None:
    judged = verification(command=STAND_IN)
    consider(judged, page_of(b"hang 1"))
    await until(lambda: judged.status()["waiting"] == 0 and judged.status()["pid"] is not None)
    for _ in range(QUEUE_PAGES_MAX + 5):
        consider(judged)
    assert (judged.status()["waiting"], judged.status()["dropped"]) == (QUEUE_PAGES_MAX, 5)


async def test_closing_ends_a_judge_at_work(verification: Open) -> None:
    judged = verification(command=STAND_IN)
    consider(judged, page_of(b"hang 1"))
    await until(lambda: judged.status()["waiting"] == 0 and judged.status()["pid"] is not None)
    await asyncio.wait_for(judged.close(), 5)
    assert judged.status()["pid"] is None
    consider(judged)

"""Mutations that are switched off here for a while: counted faults, then real pages through real children."""

import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from rules.decision import decide
from rules.group import Group
from rules.html import PassedThrough, Rewritten
from rules.model import decode_operations
from rules.reasons import Outcome as Became
from rules.reasons import Reason
from rules.table import DecisionTable
from sidecar.context.contexts import context_of_address
from sidecar.rewriting.child import COMMAND
from sidecar.rewriting.guard import (
    ABSENT_MIN,
    FAULTS_MAX,
    PATHS_MAX,
    RECORDS_MAX,
    REFUSALS,
    REFUSED_MAX,
    REFUSED_ON_TRIAL_MAX,
    WINDOW_S,
    Guard,
)
from sidecar.rewriting.inquiry import Finding, Harm, Inquiry, Outcome
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import STAY_S, Held, HeldMutation, MutationQuarantine, PageQuarantine, Why
from sidecar.rewriting.rewriting import Isolation, Rewriting
from tests.sidecar.opened import HEADLINE, Open
from tests.sidecar.rewriting.test_inquiry import GUILTY
from tests.sidecar.waiting import until
from tests.sidecar.wire import NOON, headline, table

PAGE = b"<!doctype html><h1>Old</h1>"


class Edge:
    """A guard whose clock and table a test moves."""

    def __init__(self, *mutations: dict[str, Any]) -> None:
        self.now = 0.0
        self.table: DecisionTable | None = table(*(mutations or (headline(id="m", version=2), headline(id="n"))))
        self.announced: list[Held] = []
        self.guard = Guard(
            MutationQuarantine(lambda: self.now),
            PageQuarantine(),
            table=lambda: self.table,
            clock=lambda: self.now,
            announce=self.announced.append,
        )

    def page(self, became: Reason, name: str = "m", address: str = "/", slow: bool = False) -> None:
        answer = PassedThrough(reason=Reason.NOTHING_MATCHED, outcomes=(Became(name, became),))
        self.guard.heard(MemoKey(address, "d", None, None), answer, {name: 30_000} if slow else {})

    def found(self, why: Why, address: str = "/", name: str = "m", version: int = 2) -> None:
        harm = Harm(MemoKey(address, "d", None, None), b"", (), {name: version})
        self.guard.found(harm, Finding(Outcome.MUTATION, name, why))

    @property
    def held(self) -> list[tuple[str, int, Why]]:
        entries = self.guard.mutations.entries(self.guard.mutations.held(self.table))
        return [(one.mutation_id, one.version, one.why) for one in entries]


# ---- what is a fault, and how many hold a mutation


@pytest.mark.parametrize("why", [Why.KILLED, Why.HUNG])
def test_who_killed_or_hung_is_held_at_once(why: Why) -> None:
    edge = Edge()
    with capture_logs() as lines:
        edge.found(why)
    assert edge.held == [("m", 2, why)]
    assert [line["event"] for line in lines] == ["inquiry_made", "mutation_held"]
    assert edge.announced == [Held((HeldMutation("m", 2, why, 1, STAY_S),))]
    assert edge.guard.openings == {why: 1}


@pytest.mark.parametrize("why", [Why.RAISED, Why.SLOW])
def test_of_the_others_it_takes_three_addresses(why: Why) -> None:
    edge = Edge()
    for address in ("/a", "/a", "/b", "/a", "/b"):
        edge.page(Reason.APPLIED, address=address, slow=True) if why is Why.SLOW else edge.found(why, address)
    assert edge.held == []
    edge.page(Reason.APPLIED, address="/c", slow=True) if why is Why.SLOW else edge.found(why, "/c")
    assert edge.held == [("m", 2, why)]


def test_who_was_slow_while_it_was_tried_again_is_slow_in_the_version_that_was_tried() -> None:
    edge = Edge()
    for number in range(3):
        assert edge.held == []
        harm = Harm(MemoKey(f"/{number}", "d", None, None), b"", (), {"m": 2, "n": 0})
        edge.guard.found(harm, Finding(Outcome.NOBODY, slow={"m": 30_000, "n": 30_000}))
    assert edge.held == [("m", 2, Why.SLOW)]


def test_a_page_that_did_harm_is_inquired_into_as_it_was_decided() -> None:
    edge, groups = Edge(), (Group("m", ()), Group("preview:m", ()))
    key = MemoKey("/", "d", None, None)
    edge.guard.harmed(key, PAGE, groups)
    asked: list[Harm] = []
    edge.guard.inquiry = cast(Inquiry, Asked(asked))
    edge.guard.harmed(key, PAGE, groups)
    assert asked == [Harm(key, PAGE, groups, {"m": 2, "preview:m": 0})]
    assert edge.guard.status()["waiting"] == 1


class Asked:
    """An inquiry that only keeps what it is asked."""

    waiting = 1

    def __init__(self, asked: list[Harm]) -> None:
        self.open = asked.append


def test_faults_of_different_kinds_do_not_add_up_and_old_ones_are_forgotten() -> None:
    edge = Edge()
    for address in ("/a", "/b"):
        edge.found(Why.RAISED, address)
        edge.page(Reason.APPLIED, address=address, slow=True)
    assert edge.held == []
    edge.now = WINDOW_S + 1
    edge.found(Why.RAISED, "/c")
    assert edge.held == []


@pytest.mark.parametrize("refusal", sorted(REFUSALS))
def test_who_is_nearly_always_refused_is_held(refusal: Reason) -> None:
    edge = Edge()
    for _ in range(REFUSED_MAX - 1):
        edge.page(refusal)
    edge.page(Reason.APPLIED)
    assert edge.held == []
    edge.page(refusal)
    assert edge.held == [("m", 2, Why.REFUSED)]


def test_nearly_always_is_nine_of_ten() -> None:
    edge = Edge()
    edge.page(Reason.TARGET_NOT_FOUND)  # it is counted from the first thing that went wrong
    for became in (Reason.APPLIED, Reason.APPLIED, Reason.NO_CHANGE, *[Reason.AMBIGUOUS_SPAN] * 27):
        assert edge.held == []
        edge.page(became)
    assert edge.held == [("m", 2, Why.REFUSED)]


def test_who_is_often_refused_and_often_not_stays() -> None:
    edge = Edge()
    for _ in range(5 * REFUSED_MAX):
        for became in (Reason.APPLIED, *[Reason.AMBIGUOUS_SPAN] * 8, Reason.NO_CHANGE):
            edge.page(became)
    assert edge.held == []


def test_pages_without_the_target_neither_blame_nor_excuse() -> None:
    edge = Edge()
    for number in range(REFUSED_MAX):
        assert edge.held == []
        edge.page(Reason.TARGET_NOT_FOUND, address=f"/{number % PATHS_MAX}")
        edge.page(Reason.AMBIGUOUS_SPAN)
    assert edge.held == [("m", 2, Why.REFUSED)]


@pytest.mark.parametrize("became", sorted(set(Reason) - REFUSALS))
def test_nothing_else_is_a_fault(became: Reason) -> None:
    edge = Edge()
    for number in range(2 * REFUSED_MAX):
        edge.page(became, address=f"/{number}")
    assert edge.held == []


def test_a_target_that_is_hardly_ever_there_is_advice() -> None:
    edge = Edge()
    for _ in range(ABSENT_MIN - 1):
        edge.page(Reason.TARGET_NOT_FOUND)
    assert edge.guard.advice() == {}
    edge.page(Reason.TARGET_NOT_FOUND)
    assert f"{ABSENT_MIN} of {ABSENT_MIN} new pages" in edge.guard.advice()["m"]
    edge.page(Reason.APPLIED)
    assert f"{ABSENT_MIN} of {ABSENT_MIN + 1} new pages" in edge.guard.advice()["m"]
    edge.page(Reason.UNSAFE_TARGET)
    assert edge.guard.advice() == {}, "on too many it was there, whatever came of it"
    for _ in range(2 * ABSENT_MIN):
        edge.page(Reason.TARGET_NOT_FOUND)
    assert f"{3 * ABSENT_MIN} of {3 * ABSENT_MIN + 2} new pages" in edge.guard.advice()["m"]


def test_advice_is_of_now_and_of_the_table_in_force() -> None:
    edge = Edge()
    edge.now = 5 * WINDOW_S
    for name in ("m", "gone"):
        for _ in range(ABSENT_MIN):
            edge.page(Reason.TARGET_NOT_FOUND, name)
    assert list(edge.guard.advice()) == ["m"]
    edge.now += WINDOW_S
    assert list(edge.guard.advice()) == ["m"]
    edge.now += 1
    assert edge.guard.advice() == {}


# ---- what one page does to a mutation that is fine on others


def fine_elsewhere(edge: Edge, paths: int, name: str = "m") -> None:
    """It did its work on so many paths, some of them twice."""
    for number in (*range(paths), 0):
        edge.page(Reason.APPLIED, name, address=f"a/{number}?x={number}")


@pytest.mark.parametrize("why", [Why.REFUSED, Why.SLOW, Why.RAISED])
def test_one_odd_page_costs_no_mutation_that_is_fine_on_others(why: Why) -> None:
    """Whoever asks for it again and again, with another query or host each time, would switch off what all others get."""
    edge = Edge()
    fine_elsewhere(edge, 2)
    odd = [f"host{number}/odd?n={number}" for number in range(3 * REFUSED_MAX)]
    for address in odd:
        fault(edge, why, address)
    assert edge.held == []
    for number in range(REFUSED_MAX):
        fault(edge, why, f"a/other?n={number}")
    assert edge.held == [("m", 2, why)], "on as many paths as it is fine on"


def fault(edge: Edge, why: Why, address: str) -> None:
    if why is Why.RAISED:
        edge.found(why, address)
    else:
        edge.page(
            Reason.AMBIGUOUS_SPAN if why is Why.REFUSED else Reason.NOTHING_MATCHED, "m", address, why is Why.SLOW
        )


def test_where_it_was_fine_once_and_is_refused_now_it_is_not_fine() -> None:
    edge = Edge()
    fine_elsewhere(edge, PATHS_MAX)
    for turn in range(REFUSED_MAX):
        assert edge.held == []
        edge.page(Reason.AMBIGUOUS_SPAN, address=f"a/{turn % PATHS_MAX}")
    assert edge.held == [("m", 2, Why.REFUSED)], "a site that was made anew"


def test_who_kills_is_held_however_fine_it_is_elsewhere() -> None:
    edge = Edge()
    fine_elsewhere(edge, PATHS_MAX)
    edge.found(Why.KILLED)
    assert edge.held == [("m", 2, Why.KILLED)]


def test_what_was_fine_in_another_version_counts_for_nothing() -> None:
    edge = Edge()
    fine_elsewhere(edge, PATHS_MAX)
    edge.table = table(headline(id="m", version=3))
    for _ in range(REFUSED_MAX):
        edge.page(Reason.AMBIGUOUS_SPAN)
    assert edge.held == [("m", 3, Why.REFUSED)]


def test_what_is_known_of_paths_is_bounded() -> None:
    edge = Edge()
    fine_elsewhere(edge, 5 * PATHS_MAX)
    assert len(edge.guard._fine["m"]) == PATHS_MAX
    for number in range(5 * PATHS_MAX):
        edge.page(Reason.APPLIED, address="a/fine")
        edge.page(Reason.AMBIGUOUS_SPAN, address=f"a/refused/{number}")
    assert len(edge.guard._records["m"].paths[Why.REFUSED]) == PATHS_MAX
    for number in range(RECORDS_MAX + 1):
        edge.page(Reason.APPLIED, f"m{number}")
    assert len(edge.guard._fine) == RECORDS_MAX
    assert "m" not in edge.guard._fine


# ---- half open, and reset


def test_on_trial_a_quarter_is_enough_and_the_stay_doubles() -> None:
    edge = Edge()
    edge.found(Why.KILLED)
    edge.now = STAY_S
    assert edge.held == []
    edge.page(Reason.APPLIED, slow=True)
    assert (edge.held, edge.announced[-1].mutations[0].left_s) == ([("m", 2, Why.SLOW)], 2 * STAY_S)
    edge.now += 2 * STAY_S
    for _ in range(REFUSED_ON_TRIAL_MAX):
        assert edge.held == []
        edge.page(Reason.UNSAFE_TARGET)
    assert (edge.held, edge.announced[-1].mutations[0].left_s) == ([("m", 2, Why.REFUSED)], 4 * STAY_S)


def test_what_it_was_fine_on_before_its_stay_is_no_excuse_on_trial() -> None:
    edge = Edge()
    fine_elsewhere(edge, PATHS_MAX)
    edge.found(Why.KILLED)
    edge.now = STAY_S
    fault(edge, Why.SLOW, "a/odd")
    assert edge.held == [("m", 2, Why.SLOW)]


def test_pages_under_way_do_not_lengthen_the_stay() -> None:
    edge = Edge()
    for _ in range(3):
        edge.found(Why.KILLED)
    assert len(edge.announced) == 1


def test_a_new_version_begins_anew() -> None:
    edge = Edge()
    for address in ("/a", "/b"):
        edge.page(Reason.APPLIED, address=address, slow=True)
        edge.page(Reason.APPLIED, "n", address=address, slow=True)
    edge.table = table(headline(id="m", version=3), headline(id="n"), version=8)
    edge.page(Reason.APPLIED, address="/c", slow=True)
    edge.page(Reason.APPLIED, "n", address="/c", slow=True)
    assert edge.held == [("n", 1, Why.SLOW)]
    edge.found(Why.KILLED, version=2)
    assert edge.held == [("n", 1, Why.SLOW)], "that was of the version before"
    edge.found(Why.KILLED, version=3)
    assert ("m", 3, Why.KILLED) in edge.held
    edge.table = table(headline(id="m", version=4), version=9)
    assert edge.held == []


def test_who_is_not_in_the_table_is_not_held_and_without_a_table_nobody() -> None:
    edge = Edge()
    edge.found(Why.KILLED, name="gone", version=1)
    edge.table = None
    edge.found(Why.KILLED)
    edge.page(Reason.AMBIGUOUS_SPAN)
    assert (edge.announced, edge.guard.status()["held"], edge.guard.table_version) == ([], [], 0)


def test_room_is_bounded() -> None:
    edge = Edge()
    for number in range(RECORDS_MAX + 10):
        edge.page(Reason.TARGET_NOT_FOUND, f"m-{number}")
    assert len(edge.guard._records) == RECORDS_MAX
    assert "m-0" not in edge.guard._records


def test_what_is_told_and_shown() -> None:
    edge = Edge()
    assert edge.guard.table_version == 7
    edge.found(Why.HUNG)
    status = edge.guard.status()
    assert status["held"] == [{"mutation": "m", "version": 2, "why": "hung", "offences": 1, "leftSeconds": 600}]
    assert status["openings"] == {**{why.value: 0 for why in Why}, "hung": 1}
    assert status["inquiries"] == {**{outcome.value: 0 for outcome in Outcome}, "mutation": 1}
    other = Edge()
    other.guard.enter(edge.announced[0], 0.0)
    assert (other.held, other.announced, other.guard.openings) == (edge.held, [], {})
    edge.guard.pages.add("shop.example/?a", "d", 0.0, Why.HUNG, 7)
    other.guard.enter(edge.announced[1], 0.0)
    shown = [{"page": "shop.example/", "why": "hung", "table": 7, "offences": 1, "leftSeconds": 600}]
    assert edge.guard.pages_shown(0.0) == other.guard.pages_shown(0.0) == shown
    assert [len(edge.guard.pages_shown(now)) for now in (599.5, 600.0)] == [1, 0]


def test_times_and_numbers_are_what_the_documents_say() -> None:
    """docs/guard.md, and the table at the head of the module."""
    counted = [WINDOW_S, REFUSED_MAX, REFUSED_ON_TRIAL_MAX, PATHS_MAX]
    assert counted == [600, 20, 5, 8]
    assert set(REFUSALS) == {Reason.AMBIGUOUS_SPAN, Reason.UNSAFE_TARGET, Reason.TOO_MANY_MATCHES}


def test_every_fault_that_is_found_has_a_number() -> None:
    assert set(FAULTS_MAX) == set(Why) - {Why.DIFFERS, Why.REFUSED}


KILLED_BY_DRAFT = Finding(Outcome.MUTATION, "preview:dies", Why.KILLED)

# ---- real pages, real children

Guarded = Callable[..., Any]


@pytest.fixture
def guarded(rewriting: Open) -> Guarded:
    """`await guarded(names, **changes)`: an edge with those mutations and its started Rewriting."""

    async def start(*names: str, **changes: object) -> tuple[Edge, Rewriting]:
        edge = Edge(*(headline(id=name, version=2) for name in names))
        edge.guard.mutations._clock = edge.guard._clock = time.monotonic
        given: dict[str, object] = {"command": GUILTY, "deadline_s": 0.5, "inquiry_interval_s": 0.0}
        return edge, await rewriting(**{**given, "guard": edge.guard, **changes})

    return start


async def visit(edge: Edge, started: Rewriting, page: bytes = PAGE, address: str = "shop.example/") -> str:
    """What becomes of a page, as the proxy has it: decided without what is held."""
    assert edge.table is not None
    held = edge.guard.mutations.held(edge.table)
    decision = decide(edge.table, context_of_address("https://shop.example/", {}, NOON, held=held))
    answer = await started.rewrite(MemoKey(address, decision.key, "utf-8", None), page, decision.groups)
    return "applied" if isinstance(answer, Rewritten) else answer.reason.value


@pytest.mark.parametrize(
    ("name", "why", "first"),
    [("dies", Why.KILLED, "rewrite_failed"), ("hangs", Why.HUNG, "over_budget")],
)
async def test_a_page_passes_at_once_and_soon_all_pages_are_changed_without_the_guilty(
    guarded: Guarded, name: str, why: Why, first: str
) -> None:
    edge, started = await guarded("a", name, "b")
    assert await visit(edge, started) == first
    await until(lambda: edge.held == [(name, 2, why)], 30)
    await until(lambda: bool(started.status()["ready"]), 30)
    assert await visit(edge, started) == "applied"
    assert await visit(edge, started, address="shop.example/other") == "applied"


async def test_who_raises_on_three_pages_is_held(guarded: Guarded) -> None:
    edge, started = await guarded("a", "raises")
    for number in range(FAULTS_MAX[Why.RAISED]):
        assert edge.held == []
        assert await visit(edge, started, address=f"shop.example/{number}") == "rewrite_failed"
        await until(lambda: edge.guard.inquiries[Outcome.MUTATION] == number + 1, 30)  # noqa: B023 - awaited here
    assert edge.held == [("raises", 2, Why.RAISED)]
    assert await visit(edge, started) == "applied"


async def test_who_is_slow_on_three_pages_is_held_without_an_inquiry(guarded: Guarded) -> None:
    edge, started = await guarded("a", "burns", memo_bytes_max=0, deadline_s=30.0)
    for number in range(FAULTS_MAX[Why.SLOW]):
        assert edge.held == []
        assert await visit(edge, started, address=f"shop.example/{number}") == "applied"
    assert edge.held == [("burns", 2, Why.SLOW)]
    assert sum(edge.guard.inquiries.values()) == 0


async def test_a_page_that_does_harm_by_itself_costs_no_mutation(guarded: Guarded) -> None:
    edge, started = await guarded("a", "b")
    assert await visit(edge, started, page=b"broken <h1>") == "rewrite_failed"
    await until(lambda: edge.guard.inquiries[Outcome.PAGE] == 1, 30)
    assert edge.held == []
    assert [one["page"] for one in edge.guard.pages_shown(0.0)] == ["shop.example/"]


async def test_a_child_that_an_operator_killed_costs_no_mutation(guarded: Guarded, tmp_path: Any) -> None:
    edge, started = await guarded("a", "b")
    page = b"<h1>x</h1>once " + str(tmp_path / "mark").encode() + b"<p>"
    assert await visit(edge, started, page=page) == "rewrite_failed"
    await until(lambda: edge.guard.inquiries[Outcome.NOBODY] == 1, 30)
    assert edge.held == []


def test_a_draft_is_not_laid_to_the_mutation_in_force() -> None:
    edge = Edge(headline(id="dies"))
    groups = (Group("preview:dies", decode_operations(HEADLINE)),)
    edge.guard.found(Harm(MemoKey("/", "d", None, None), PAGE, groups, {"preview:dies": 0}), KILLED_BY_DRAFT)
    for number in range(FAULTS_MAX[Why.SLOW]):
        edge.page(Reason.TARGET_NOT_FOUND, "preview:dies", f"/{number}", slow=True)
    assert (edge.held, edge.announced, edge.guard.advice()) == ([], [], {})


@pytest.mark.parametrize("isolation", list(Isolation))
@pytest.mark.parametrize(("beside", "became"), [((), "nothing_matched"), (("a",), "applied")], ids=["alone", "beside"])
async def test_a_real_selector_that_is_slow_is_found_wherever_pages_are_rewritten(
    guarded: Guarded, isolation: Isolation, beside: tuple[str, ...], became: str
) -> None:
    difficult = "b:nth-of-type(3n) ~ p:has(~ b:nth-of-type(7n) ~ i)"
    edge, started = await guarded(isolation=isolation, slow_us=5_000, deadline_s=5.0, command=COMMAND)
    slow = {"operations": [{"verb": "remove", "target": {"selector": difficult}}]}
    edge.table = table(*(headline(id=name) for name in beside), headline(id="slow", version=2, mutationPayload=slow))
    page = b"<h1>Old</h1>" + b"<p>a</p><b>x</b>" * 3_000
    for number in range(FAULTS_MAX[Why.SLOW]):
        assert edge.held == []
        assert await visit(edge, started, page, f"shop.example/{number}") == became
    assert edge.held == [("slow", 2, Why.SLOW)]


async def test_memo_hits_are_told_to_nobody(guarded: Guarded) -> None:
    edge, started = await guarded("a", memo_bytes_max=1_000_000)
    for _ in range(5):
        assert await visit(edge, started, b"<p>no target") == "nothing_matched"
    assert (edge.guard._records["a"].absent, started.memo.status()["hits"]) == (2, 3)

"""Time by mutation: what is the page's or another process's is nobody's."""

from collections.abc import Iterator

from rules.group import Group
from rules.html import apply_groups
from rules.model import decode_operations
from rules.watch import EVERYBODYS, NOBODYS
from sidecar.rewriting.stopwatch import PAGE_BYTES, Stopwatch
from tests.sidecar.opened import HEADLINE, PAGE

US = 1000


def clock(*microseconds: int) -> Iterator[int]:
    return iter([1000 * one for one in microseconds])


def watched(wall: tuple[int, ...], processor: tuple[int, int]) -> Stopwatch:
    """Parse until 10 µs, `a`, `b`, `a` again, then what is everybody's."""
    wall_clock, processor_clock = clock(*wall), clock(*processor)
    stopwatch = Stopwatch(lambda: next(wall_clock), lambda: next(processor_clock))
    for whose in (NOBODYS, "a", "b", "a", EVERYBODYS):
        stopwatch(whose)
    return stopwatch


WALL = (7000, 7001, 7500, 7530, 7535, 7545, 7900)
"""Begun; nobody's, a (30), b (5), a (10), everybody's; the end."""


def test_each_is_charged_for_its_own_and_twice_for_two_turns() -> None:
    assert watched(WALL, (0, 900)).slow(39, 0) == {"a": 40}
    assert watched(WALL, (0, 900)).slow(40, 0) == {}
    assert watched(WALL, (0, 900)).slow(4, 0) == {"a": 40, "b": 5}


def test_time_in_which_the_processor_was_somebody_elses_counts_for_nobody() -> None:
    assert watched(WALL, (50, 930)).slow(19, 0) == {"a": 20}
    assert watched(WALL, (50, 930)).slow(20, 0) == {}
    assert watched(WALL, (0, 2000)).slow(39, 0) == {"a": 40}, "two clocks need not agree"


def test_a_larger_page_may_take_longer() -> None:
    assert watched(WALL, (0, 900)).slow(20, 2 * PAGE_BYTES) == {}
    assert watched(WALL, (0, 900)).slow(19, 2 * PAGE_BYTES) == {"a": 40}
    assert watched(WALL, (0, 900)).slow(39, PAGE_BYTES // 2) == {"a": 40}


def test_where_nobody_can_be_slow_the_processor_is_not_asked_again() -> None:
    wall_clock, processor_clock = clock(0, 40), clock(0)
    assert Stopwatch(lambda: next(wall_clock), lambda: next(processor_clock)).slow(40, 0) == {}
    assert list(processor_clock) == []


def test_the_rewriter_says_whose_turn_it_is() -> None:
    said: list[str] = []
    order = decode_operations(
        b'[{"verb": "reorderChildren", "target": {"selector": "body"}, "order": [{"selector": "p"}]}]'
    )
    groups = (Group("a", decode_operations(HEADLINE)), Group("b", order))
    apply_groups(PAGE, groups, charset="utf-8", watch=said.append)
    assert said[:5] == [NOBODYS, "b", "a", "b", EVERYBODYS], "an order is looked at before all others"
    wide = PAGE.decode().encode("utf-16")
    said.clear()
    apply_groups(wide, groups, charset="utf-16", watch=said.append)
    assert said[:5] == [NOBODYS, "b", "a", "b", EVERYBODYS]


def test_a_real_page_of_a_real_clock_is_not_slow() -> None:
    stopwatch = Stopwatch()
    apply_groups(PAGE, (Group("a", decode_operations(HEADLINE)),), charset="utf-8", watch=stopwatch)
    assert stopwatch.slow(1_000_000, len(PAGE)) == {}
    assert set(stopwatch.slow(0, len(PAGE))) <= {"a"}

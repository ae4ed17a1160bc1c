"""Who moves when weights are edited: those who must, and nobody else."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.bucketing import bucket_ranges
from rules.ranges import STEPS, Range, covered, fault, rebalanced

KEYS = [f"v{number}" for number in range(8)]
WEIGHTS = st.lists(st.integers(0, 100), min_size=1, max_size=8).filter(any)
SHARES = st.floats(0, 1)


def places(ranges: Mapping[str, Sequence[Range]]) -> list[str]:
    """The variation of each position, "" for nobody's."""
    found = [""] * STEPS
    for key, own in ranges.items():
        for since, until in own:
            for step in range(max(0, round(since * STEPS) - 1), min(STEPS, round(until * STEPS) + 1)):
                if since <= step / STEPS < until:
                    assert found[step] == "", "two variations have one position"
                    found[step] = key
    return found


def laid_out(weights: Sequence[float]) -> dict[str, list[Range]]:
    """As GrowthBook lays them out."""
    shares = [weight / sum(weights) for weight in weights]
    return {key: [one] for key, one in zip(KEYS, bucket_ranges(len(shares), 1, shares), strict=False)}


def weighted(weights: Sequence[float]) -> dict[str, float]:
    return dict(zip(KEYS, weights, strict=False))


def moved(before: Mapping[str, Sequence[Range]], after: Mapping[str, Sequence[Range]]) -> int:
    return sum(one != other for one, other in zip(places(before), places(after), strict=True))


def test_a_third_variation_takes_a_third_and_nobody_else_moves() -> None:
    before = laid_out([1, 1])
    after = rebalanced(before, weighted([1, 1, 1]))
    assert moved(before, after) == 3_333
    assert after == {"v0": [(0, 0.3334)], "v1": [(0.5, 0.8333)], "v2": [(0.3334, 0.5), (0.8333, 1)]}
    assert moved(before, laid_out([1, 1, 1])) == 4_999, "what GrowthBook's own layout would move"


def test_weights_that_add_up_to_more_than_one_leave_no_gap() -> None:
    before = laid_out([0, 0, 0, 41, 81, 100, 36, 3])
    assert before["v7"][0][1] > 1
    assert rebalanced(before, {"v7": 1}) == {"v7": [(0.9886, 1), (0, 0.9886)]}


def test_a_variation_that_goes_is_shared_out() -> None:
    before = laid_out([1, 1, 1])
    after = rebalanced(before, {"v0": 1, "v2": 1})
    assert moved(before, after) == 3_333
    assert places(after).count("v0") == places(after).count("v2") == 5_000


def test_who_is_enrolled_first_stays_first() -> None:
    grown = rebalanced(rebalanced(laid_out([1, 1]), weighted([1, 3])), weighted([1, 1]))
    assert grown["v1"][:1] == [(0.5, 1)], "what it had before stands before what it got"
    assert covered(grown["v1"], 0.1) == [(0.5, 0.55)]


@settings(deadline=None, max_examples=50)
@given(WEIGHTS, st.lists(WEIGHTS, min_size=1, max_size=3))
def test_no_more_move_than_must(first: list[int], edits: list[list[int]]) -> None:
    ranges = laid_out(first)
    for edit in edits:
        before, ranges = places(ranges), rebalanced(ranges, weighted(edit))
        after = places(ranges)
        assert "" not in after
        grown = sum(max(0, after.count(key) - before.count(key)) for key in KEYS)
        assert sum(one != other for one, other in zip(before, after, strict=True)) == grown
        for key, weight in weighted(edit).items():
            assert after.count(key) == pytest.approx(weight / sum(edit) * STEPS, abs=1)
        assert fault(ranges, {key: weight / sum(edit) for key, weight in weighted(edit).items()}) is None


@settings(deadline=None, max_examples=50)
@given(WEIGHTS, WEIGHTS, SHARES, SHARES)
def test_more_coverage_only_adds(first: list[int], edit: list[int], less: float, more: float) -> None:
    less, more = sorted((less, more))
    ranges = rebalanced(laid_out(first), weighted(edit))
    few = places({key: covered(own, less) for key, own in ranges.items()})
    many = places({key: covered(own, more) for key, own in ranges.items()})
    assert all(one in ("", other) for one, other in zip(few, many, strict=True))
    assert STEPS - few.count("") == pytest.approx(less * STEPS, abs=2 * len(edit) + 8)


@pytest.mark.parametrize(
    ("ranges", "part"),
    [
        ({"a": [(0.5, 0.5)], "b": [(0.5, 1)]}, "[0.5, 0.5] of `a` is empty"),
        ({"a": [(0, 0.5)], "b": [(0.4, 0.9)]}, "`a` and `b` overlap at 0.4"),
        ({"a": [(0, 0.3)], "b": [(0.5, 1)]}, "`a` hold 0.3000 of all units, and its weight says 0.5000"),
        ({"a": [(0, 0.5)]}, "`b` hold 0.0000"),
        ({"a": [(0.5, 1)], "b": [(0, 0.25), (0.25, 0.5)]}, None),
    ],
)
def test_ranges_that_are_given_must_fit(ranges: dict[str, list[Range]], part: str | None) -> None:
    problem = fault(ranges, {"a": 0.5, "b": 0.5})
    assert problem == part if part is None else problem is not None and part in problem

"""The size of a sample, against published figures."""

import pytest

from rules.sample_size import Traffic, units_needed


@pytest.mark.parametrize(
    ("baseline", "lift", "each"),
    [
        # As tables and calculators give it, without continuity correction.
        (0.05, 0.1, 31_231),
        (0.1, 0.5, 683),
        (0.5, 0.2, 385),
    ],
)
def test_two_equal_arms(baseline: float, lift: float, each: int) -> None:
    traffic = Traffic(daily_visits=1, baseline=baseline, lift=lift)
    assert units_needed(traffic, 0.5, 0.5) / 2 == pytest.approx(each, rel=0.01)


def test_unequal_arms_need_more() -> None:
    traffic = Traffic(daily_visits=1)
    assert units_needed(traffic, 0.9, 0.1) > 2.5 * units_needed(traffic, 0.5, 0.5)
    assert units_needed(Traffic(daily_visits=1, baseline=0.9, lift=5), 0.5, 0.5) < 200

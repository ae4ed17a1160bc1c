"""Bucketing: GrowthBook's published cases are in test_growthbook.py; here its known edges."""

import pytest

from rules.bucketing import bucket_ranges, choose_variation, equal_weights, fnv1a_32, hash_unit, in_namespace


def test_the_hash_is_fnv1a_over_utf_16() -> None:
    assert fnv1a_32("") == 0x811C9DC5
    assert fnv1a_32("a") == 0xE40C292C
    assert fnv1a_32("foobar") == 0xBF9CF968
    assert fnv1a_32("\U0001f600") == fnv1a_32("\ud83d\ude00")


def test_unknown_hash_versions_have_no_position() -> None:
    assert hash_unit("seed", "unit", 3) is None


def test_weights_that_do_not_sum_to_one_count_as_equal() -> None:
    assert bucket_ranges(2, 1, [0.4, 0.1]) == [(0, 0.5), (0.5, 1)]
    assert bucket_ranges(2, 1, [1]) == [(0, 0.5), (0.5, 1)]


def test_coverage_is_cut_from_the_end_of_each_range() -> None:
    assert bucket_ranges(2, 0.5, None) == [(0, 0.25), (0.5, 0.75)]
    assert bucket_ranges(2, 7, None) == bucket_ranges(2, 1, None)
    assert bucket_ranges(2, -1, None) == [(0, 0), (0.5, 0.5)]


def test_ranges_are_half_open() -> None:
    assert [choose_variation(n, [(0, 0.5), (0.5, 1)]) for n in (0, 0.4999, 0.5, 1)] == [0, 0, 1, -1]


def test_equal_weights() -> None:
    assert equal_weights(0) == []
    assert equal_weights(4) == [0.25] * 4


def test_namespaces_share_their_units() -> None:
    units = [f"user{number}" for number in range(1_000)]
    first = {unit for unit in units if in_namespace(unit, ("n", 0, 0.5))}
    second = {unit for unit in units if in_namespace(unit, ("n", 0.5, 1))}
    assert not first & second
    assert first | second == set(units)
    assert len(first) == pytest.approx(500, abs=80)

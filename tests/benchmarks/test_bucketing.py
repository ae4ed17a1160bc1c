"""The product's buckets pass their own benchmark, and bad ones don't."""

import json

import pytest

from benchmarks import bucketing
from benchmarks.bucketing import Hash, measured
from benchmarks.chi_square import goodness_of_fit, independence, survival
from rules.bucketing import hash_unit


@pytest.mark.parametrize(
    ("statistic", "degrees", "p"),
    [(3.841, 1, 0.05), (10.828, 1, 0.001), (16.919, 9, 0.05), (2.706, 1, 0.1), (124.342, 100, 0.05), (0.0158, 1, 0.9)],
)
def test_the_p_value_is_that_of_the_tables(statistic: float, degrees: int, p: float) -> None:
    assert survival(statistic, degrees) == pytest.approx(p, rel=0.01)


def test_the_statistic() -> None:
    fit = goodness_of_fit([44, 56], [0.5, 0.5])
    assert fit.statistic == pytest.approx(1.44)
    assert fit.degrees == 1
    assert independence([[10, 20], [30, 40]]).statistic == pytest.approx(0.7937, abs=0.0001)
    assert independence([[10, 20], [20, 40]]).p == pytest.approx(1)


def test_the_products_hash_is_fair_and_independent_and_nobody_moves() -> None:
    rows = measured(20_000)
    assert [row.what for row in rows if not row.fine] == ["version 1, 2 x 2 variations"]
    assert {row.question for row in rows} == {"fair", "independent", "steady", "frugal"}
    third = next(row for row in rows if row.what == "a third variation")
    assert third.figures["moved"] < 0.7 * third.figures["anew"]


def biased(seed: str, value: str, version: int) -> float | None:
    position = hash_unit(seed, value, version)
    return None if position is None else position**1.05


def seedless(seed: str, value: str, version: int) -> float | None:
    return hash_unit("", value, version)


@pytest.mark.parametrize(("hashed", "question"), [(biased, "fair"), (seedless, "independent")])
def test_a_bad_hash_is_found(hashed: Hash, question: str) -> None:
    failed = {row.question for row in measured(20_000, hashed) if not row.fine and "version 1" not in row.what}
    assert question in failed


def test_it_is_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert bucketing.main(["--units", "5000", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 19
    assert bucketing.main(["--units", "5000"]) == 0
    assert "not as it should be" in capsys.readouterr().out

"""Pearson's χ² test, with its p-value.

Source: the regularised incomplete gamma function by its series and its continued fraction (Abramowitz and Stegun 6.5.29,
6.5.31). Counterpart: `bucketing`, which asks whether buckets are what they should be. Never: a small sample; the
approximation wants five expected in each cell.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

_TERMS_MAX = 10_000
_EPSILON = 1e-14


class Result(Struct, frozen=True):
    """The statistic, its degrees of freedom, and how often chance alone gives as much or more."""

    statistic: float
    degrees: int
    p: float


def goodness_of_fit(counts: Sequence[int], shares: Sequence[float]) -> Result:
    """Whether `counts` are what `shares` (1 in all) lead to expect."""
    total = sum(counts)
    statistic = sum((count - total * share) ** 2 / (total * share) for count, share in zip(counts, shares, strict=True))
    return Result(statistic, len(counts) - 1, survival(statistic, len(counts) - 1))


def independence(table: Sequence[Sequence[int]]) -> Result:
    """Whether rows and columns of a table of counts have nothing to do with each other."""
    rows = [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    total = sum(rows)
    statistic = sum(
        (count - row * column / total) ** 2 / (row * column / total)
        for counts, row in zip(table, rows, strict=True)
        for count, column in zip(counts, columns, strict=True)
    )
    degrees = (len(rows) - 1) * (len(columns) - 1)
    return Result(statistic, degrees, survival(statistic, degrees))


def survival(statistic: float, degrees: int) -> float:
    """The probability that χ² with so many degrees of freedom is `statistic` or more."""
    a, x = degrees / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    return 1 - scale * _series(a, x) if x < a + 1 else scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _TERMS_MAX):
        term *= x / (a + n)
        total += term
        if term < total * _EPSILON:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Evaluated from the front, by the modified method of Lentz."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    result = d
    for n in range(1, _TERMS_MAX):
        numerator = -n * (n - a)
        b += 2
        d = 1 / (numerator * d + b or tiny)
        c = b + numerator / c or tiny
        result *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return result

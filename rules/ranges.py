"""Which positions belong to which variation, and who moves when the weights are edited.

GrowthBook lays the variations of an experiment side by side, by weight. Done again with other weights, that moves units
between variations that keep their share. `rebalanced` starts from where everybody is: a variation that shrinks gives up
its end, one that grows takes what was given up, and nobody else moves.
Counterpart: `rules.bucketing` has GrowthBook's own rules; the control plane keeps what comes out of here.
Never: a hash; a position is a number.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

STEPS = 10_000
"""Positions that there are: multiples of 0.0001, the step of the finer hash."""
TOLERANCE = 2 / STEPS
"""What ranges and weights may differ by: a share is rounded to whole steps."""
_DUST = 1e-9

Range = tuple[float, float]
_Span = tuple[int, int]
"""`[from, to)` in steps."""


def rebalanced(ranges: Mapping[str, Sequence[Range]], weights: Mapping[str, float]) -> dict[str, list[Range]]:
    """The ranges for other weights, for the keys of `weights`, with as few units moved as there can be.

    `ranges`: variation -> its ranges before, those enrolled first at the front; they stay there. Weights are relative.
    """
    wanted = _steps(weights)
    kept: dict[str, list[_Span]] = {}
    free = _gaps(span for own in ranges.values() for span in map(_span, own))
    for key, own in ranges.items():
        kept[key], over = _cut([_span(one) for one in own], wanted.get(key, 0))
        free += over
    free.sort()
    found: dict[str, list[Range]] = {}
    for key, count in wanted.items():
        own_spans = kept.get(key, [])
        more, free = _cut(free, count - _length(own_spans))
        found[key] = [(since / STEPS, until / STEPS) for since, until in _joined([*own_spans, *more])]
    return found


def covered(ranges: Sequence[Range], coverage: float) -> list[Range]:
    """The first `coverage` (0 to 1) of what the ranges hold: more coverage only adds to the end."""
    if coverage >= 1:
        return list(ranges)
    found: list[Range] = []
    left = coverage * sum(until - since for since, until in ranges)
    for since, until in ranges:
        if left <= _DUST:
            break
        found.append((since, min(until, since + left)))
        left -= until - since
    return found


def fault(ranges: Mapping[str, Sequence[Range]], weights: Mapping[str, float]) -> str | None:
    """What is wrong with ranges that an author or a file gives; None if they are disjoint and as large as the weights."""
    taken = sorted((since, until, key) for key, own in ranges.items() for since, until in own)
    for since, until, key in taken:
        if since >= until:
            return f"the range [{since}, {until}] of `{key}` is empty: its first number must be smaller"
    for before, after in pairwise(taken):
        if after[0] < before[1] - _DUST:
            return f"the ranges of `{before[2]}` and `{after[2]}` overlap at {after[0]}"
    for key, weight in weights.items():
        size = sum(until - since for since, until in ranges.get(key, ()))
        if abs(size - weight) > TOLERANCE:
            return (
                f"the ranges of `{key}` hold {size:.4f} of all units, and its weight says {weight:.4f}; "
                "leave `ranges` out of all variations to have them made from the weights"
            )
    return None


def _steps(weights: Mapping[str, float]) -> dict[str, int]:
    """Whole steps for each key, `STEPS` in all: rounded down, what is left goes to the largest remainders."""
    total = sum(weights.values())
    exact = {key: weight / total * STEPS for key, weight in weights.items()}
    found = {key: int(share + _DUST) for key, share in exact.items()}
    by_remainder = sorted(exact, key=lambda key: found[key] - exact[key])
    for key in by_remainder[: STEPS - sum(found.values())]:
        found[key] += 1
    return found


def _span(one: Range) -> _Span:
    """Exactly the positions that a range holds."""
    return _first_step(one[0]), _first_step(one[1])


def _first_step(bound: float) -> int:
    """The first step whose position is not below `bound`; rounding `bound * STEPS` could miss it by one.

    Weights that are added up may come out a little over 1, where no position is.
    """
    step = round(bound * STEPS)
    while step / STEPS < bound and step < STEPS:
        step += 1
    while step > 0 and (step - 1) / STEPS >= bound:
        step -= 1
    return step


def _gaps(spans: Iterable[_Span]) -> list[_Span]:
    """What no span holds."""
    found: list[_Span] = []
    at = 0
    for since, until in sorted(spans):
        if since > at:
            found.append((at, since))
        at = max(at, until)
    return [*found, (at, STEPS)] if at < STEPS else found


def _cut(spans: Sequence[_Span], count: int) -> tuple[list[_Span], list[_Span]]:
    """The first `count` steps, and the rest."""
    first: list[_Span] = []
    rest: list[_Span] = []
    for since, until in spans:
        middle = min(until, since + max(count, 0))
        count -= middle - since
        if middle > since:
            first.append((since, middle))
        if until > middle:
            rest.append((middle, until))
    return first, rest


def _length(spans: Sequence[_Span]) -> int:
    return sum(until - since for since, until in spans)


def _joined(spans: Sequence[_Span]) -> list[_Span]:
    """The same in the same order, with one span for two where the second begins at the end of the first."""
    found: list[_Span] = []
    for since, until in spans:
        if found and found[-1][1] == since:
            found[-1] = (found[-1][0], until)
        else:
            found.append((since, until))
    return found

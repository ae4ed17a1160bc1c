"""Are assignments fair, independent, and do they stay?

    python -m benchmarks.bucketing [--units 1000000] [--json]

Units are random UUIDs, as `lm_uid` is, made from a fixed seed; everything else is the product's own code. Four questions:

- *Fair*: counts of 2, 3 and 10 variations and of uneven weights against what the weights say (χ², goodness of fit).
- *Independent*: the variations of two experiments with different seeds, as a table (χ², independence). Version 1 of the
  hash fails that for seeds that are alike, and is here to show it; so it does in every SDK, and version 2 was made for it.
- *Steady*: a ramp of 1, 5, 25, 50, 100 %: units that were in another variation in a later step.
- *Frugal*: a third variation beside two, a tenth beside nine, other weights: units that moved, beside the fewest that can
  move, and beside what laying out the ranges anew would move.

How to read it: p is how often chance alone gives a χ² as large. Below 0.001 something is wrong; one in twenty is below
0.05 by itself. Positions have steps of 0.0001 (version 1: 0.001), so a third is 0.3334 or 0.3333; a million units don't
see that in version 2. *Moved* must be 0 for a ramp, and the fewest for an edit. Exit code 1 where one of these fails,
version 1 aside.
Never: how fast it is, beyond the seconds that it took.
"""

import argparse
import json
import random
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from uuid import UUID

from msgspec import Struct, to_builtins

from benchmarks.chi_square import goodness_of_fit, independence
from rules.assignment import Arms, arms_of
from rules.bucketing import hash_unit
from rules.experiments import Experiment, Variation
from rules.ranges import STEPS, rebalanced

P_MIN = 0.001
SEEDS = ("exp-1", "exp-2")
"""As much alike as people name experiments."""
WEIGHTS: dict[str, tuple[float, ...]] = {
    "2 variations": (1, 1),
    "3 variations": (1, 1, 1),
    "10 variations": (1,) * 10,
    "90 : 9 : 1": (90, 9, 1),
    "50 : 30 : 15 : 5": (50, 30, 15, 5),
}
EDITS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "a third variation": ((1, 1), (1, 1, 1)),
    "a tenth variation": ((1,) * 9, (1,) * 10),
    "one of three goes": ((1, 1, 1), (1, 0, 1)),
    "50:50 to 20:80": ((1, 1), (1, 4)),
}
RAMP = (0.01, 0.05, 0.25, 0.5, 1.0)
Hash = Callable[[str, str, int], float | None]


class Row(Struct, frozen=True):
    """One answer."""

    question: str
    what: str
    figures: dict[str, float]
    fine: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where something is not as it should be."""
    options = _options(arguments)
    begun = time.perf_counter()
    rows = measured(options.units)
    if options.json:
        print(json.dumps(to_builtins(rows)))
    else:
        for row in rows:
            figures = "  ".join(f"{name} {_shown(value)}" for name, value in row.figures.items())
            print(f"{row.question:12} {row.what:36} {figures}{'' if row.fine else '   <- not as it should be'}")
        print(f"{options.units:,} units, {time.perf_counter() - begun:.0f} s")
    return 0 if all(row.fine for row in rows if not row.what.startswith("version 1")) else 1


def measured(units: int, hashed: Hash = hash_unit) -> list[Row]:
    """All answers. `hashed` is the product's hash unless a test wants to see a bad one found."""
    chance = random.Random(20260329)
    ids = [str(UUID(int=chance.getrandbits(128), version=4)) for _ in range(units)]
    first, second = (_steps(ids, seed, 2, hashed) for seed in SEEDS)
    old = [_steps(ids, seed, 1, hashed) for seed in SEEDS]
    counts = _counts(first)
    rows = [_fair(what, weights, counts) for what, weights in WEIGHTS.items()]
    rows += [_independent(f"{many} x {many} variations", many, first, second) for many in (2, 3, 10)]
    rows.append(_fair("version 1, 2 variations", (1, 1), _counts(old[0])))
    rows.append(_independent("version 1, 2 x 2 variations", 2, *old))
    rows += [_steady(what, weights, counts) for what, weights in WEIGHTS.items()]
    rows += [_frugal(what, before, after, counts) for what, (before, after) in EDITS.items()]
    return rows


def _steps(ids: Sequence[str], seed: str, version: int, hashed: Hash) -> Sequence[int]:
    """The position of each unit, in steps of 0.0001."""
    return array("H", (round((hashed(seed, unit, version) or 0) * STEPS) for unit in ids))


def _counts(steps: Sequence[int]) -> list[int]:
    """How many units each position has; most questions are about positions, and those are few."""
    found = Counter(steps)
    return [found[step] for step in range(STEPS)]


def _places(arms: Arms) -> list[str]:
    """The variation of each position, "" for nobody's."""
    keys = [""] * STEPS
    for since, until, key in arms:
        for step in range(max(0, round(since * STEPS) - 1), min(STEPS, round(until * STEPS) + 1)):
            if since <= step / STEPS < until:
                keys[step] = key
    return keys


def _fair(what: str, weights: Sequence[float], counts: Sequence[int]) -> Row:
    places = _places(arms_of(_experiment(weights)))
    sizes = [
        sum(count for key, count in zip(places, counts, strict=True) if key == f"v{n}") for n in range(len(weights))
    ]
    test = goodness_of_fit(sizes, [weight / sum(weights) for weight in weights])
    return Row("fair", what, {"chi2": test.statistic, "degrees": test.degrees, "p": test.p}, test.p >= P_MIN)


def _independent(what: str, variations: int, first: Sequence[int], second: Sequence[int]) -> Row:
    places = [int(key[1:]) for key in _places(arms_of(_experiment((1,) * variations)))]
    pairs = Counter(zip(map(places.__getitem__, first), map(places.__getitem__, second), strict=True))
    test = independence([[pairs[row, column] for column in range(variations)] for row in range(variations)])
    return Row("independent", what, {"chi2": test.statistic, "degrees": test.degrees, "p": test.p}, test.p >= P_MIN)


def _steady(what: str, weights: Sequence[float], counts: Sequence[int]) -> Row:
    experiment = _experiment(weights)
    stages = [_places(arms_of(experiment, share)) for share in RAMP]
    moved = sum(
        count
        for before, after in pairwise(stages)
        for one, other, count in zip(before, after, counts, strict=True)
        if one not in ("", other)
    )
    enrolled = [sum(count for key, count in zip(stage, counts, strict=True) if key) / sum(counts) for stage in stages]
    figures = {f"at {share:g}": found for share, found in zip(RAMP, enrolled, strict=True)}
    return Row("steady", what, {"moved": moved, **figures}, moved == 0)


def _frugal(what: str, weights: Sequence[float], edited: Sequence[float], counts: Sequence[int]) -> Row:
    keys = [f"v{number}" for number in range(max(len(weights), len(edited)))]
    ranges = {key: [(since, until)] for since, until, key in arms_of(_experiment(weights))}
    carried = rebalanced(ranges, dict(zip(keys, edited, strict=False)))
    before, anew = _places(arms_of(_experiment(weights))), _places(arms_of(_experiment(edited)))
    after = _places(tuple((since, until, key) for key, own in carried.items() for since, until in own))
    fewest = sum(max(0, _size(after, counts, key) - _size(before, counts, key)) for key in keys)
    moved = _moved(before, after, counts)
    return Row(
        "frugal", what, {"moved": moved, "fewest": fewest, "anew": _moved(before, anew, counts)}, moved <= fewest
    )


def _size(places: Sequence[str], counts: Sequence[int], key: str) -> int:
    return sum(count for place, count in zip(places, counts, strict=True) if place == key)


def _moved(before: Sequence[str], after: Sequence[str], counts: Sequence[int]) -> int:
    return sum(count for one, other, count in zip(before, after, counts, strict=True) if one != other)


def _experiment(weights: Sequence[float]) -> Experiment:
    return Experiment(id="e", variations=[Variation(key=f"v{n}", weight=weight) for n, weight in enumerate(weights)])


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bucketing", description="Fair, independent, steady, frugal."
    )
    parser.add_argument("--units", type=int, default=1_000_000, help="units that are assigned (default 1,000,000)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

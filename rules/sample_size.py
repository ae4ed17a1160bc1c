"""How many units an experiment needs before its result means something.

Source: the normal approximation for the difference of two proportions (Fleiss, Levin, Paik: Statistical Methods for Rates
and Proportions, chapter 4), two-sided, for arms of unequal size. Never: a verdict about data; this is for planning.
"""

from statistics import NormalDist
from typing import Annotated

from msgspec import Meta, Struct

SIGNIFICANCE = 0.05
"""Chance of a difference where there is none."""
POWER = 0.8
"""Chance of seeing a difference that is there."""


class Traffic(Struct, frozen=True, kw_only=True):
    """What a site expects."""

    daily_visits: Annotated[int, Meta(ge=1)]
    """Visitors a day, each counted once."""
    baseline: Annotated[float, Meta(ge=0.0001, le=0.9999)] = 0.05
    """Share of them that does what is counted, without a change."""
    lift: Annotated[float, Meta(ge=0.001, le=1_000)] = 0.1
    """The smallest relative change that would matter."""


def units_needed(traffic: Traffic, control: float, variation: float) -> float:
    """Units of the whole experiment, of which `control` and `variation` are the shares of the two arms, each above 0.

    N = (z(1 - significance/2) + z(power))² / (p₂ - p₁)² · (p₁(1 - p₁) / control + p₂(1 - p₂) / variation)
    """
    before = traffic.baseline
    after = min(before * (1 + traffic.lift), 1.0)
    normal = NormalDist()
    z = normal.inv_cdf(1 - SIGNIFICANCE / 2) + normal.inv_cdf(POWER)
    spread = before * (1 - before) / control + after * (1 - after) / variation
    return z * z * spread / (after - before) ** 2

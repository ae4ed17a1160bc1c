"""What an experiment is: variations, who may be enrolled, and how the enrolment grows.

Counterpart: `rules.assignment` compiles an experiment and assigns visits; `rules.ranges` says who moves when weights are
edited. Names are GrowthBook's where it has one. Never: a clock or a hash; a struct knows only whether its own fields fit
together.
"""

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from rules import limits
from rules.fields import Identifier, Name, Record, Version

Weight = Annotated[float, Meta(ge=0, le=1_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Range = tuple[Share, Share]
"""`[from, to)` among the positions of units, 0 to 1."""


class Variation(Record, frozen=True, kw_only=True):
    """One arm of an experiment. Weights are relative."""

    key: Identifier
    name: Name = ""
    weight: Weight = 1.0
    ranges: Annotated[list[Range], Meta(max_length=limits.RANGES_MAX)] = []
    """`[[from, to], …]`: the positions of its units, first those that are enrolled first. They follow from the weights where
    no variation has any; the control plane writes them when the weights of a running experiment are edited, so that only
    those move who must."""


class NamespaceRange(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """A share of a namespace; experiments with disjoint shares of one namespace never meet."""

    id: Identifier
    since: Share
    until: Share


class Holdout(Record, frozen=True, kw_only=True):
    """Units that get no variation of any experiment that names this holdout, to compare all of them with."""

    id: Identifier
    """Also the seed: the same units are held out of all experiments that name it."""
    share: Share
    """Of all units."""


class RampStep(Record, frozen=True, kw_only=True):
    """From when on how many are enrolled."""

    at: Annotated[datetime, Meta(tz=True)]
    share: Share
    """Of the experiment's `coverage`."""


class Prerequisite(Record, frozen=True, kw_only=True):
    """Another experiment that the visit must be in."""

    experiment_id: Identifier
    variations: Annotated[list[Identifier], Meta(max_length=limits.VARIATIONS_MAX)] = []
    """One of these; any where it is empty."""


class Bandit(Record, frozen=True, kw_only=True):
    """Weights that a bandit found. They stand in for those of the variations."""

    weights: Annotated[dict[Identifier, Weight], Meta(max_length=limits.VARIATIONS_MAX)]
    """Variation key -> relative weight; a variation that is not named has none."""
    updated_at: Annotated[datetime, Meta(tz=True)] | None = None
    """When they were found."""


class Experiment(Record, frozen=True, kw_only=True):
    """A test with weighted variations; the first variation is the control."""

    id: Identifier
    name: Name = ""
    variations: Annotated[list[Variation], Meta(min_length=2, max_length=limits.VARIATIONS_MAX)]
    coverage: Share = 1.0
    """Share of the units that is enrolled. Raising it enrols more and moves nobody."""
    seed: Annotated[str, Meta(max_length=128)] = ""
    """What units are hashed with; the id where it is empty. The control plane fixes it when the experiment is first saved,
    and refuses another one as soon as the experiment has been live."""
    hash_version: Literal[1, 2] = 2
    """Of GrowthBook's hash: positions in steps of 0.001 (1) or 0.0001 (2). With 1, experiments whose seeds are alike are not
    independent of each other: it is for agreeing with older SDKs."""
    unit: Identifier = "lm_uid"
    """Attribute whose value is bucketed."""
    fallback_unit: Identifier | None = None
    """Attribute that is bucketed where a visit has no `unit`; the same person then has two units."""
    namespace: NamespaceRange | None = None
    """Only units in this share of a namespace are enrolled."""
    holdout: Holdout | None = None
    """Units that are never enrolled, in this experiment and all others that name it."""
    prerequisites: Annotated[list[Prerequisite], Meta(max_length=limits.PREREQUISITES_MAX)] = []
    """Other experiments; all of them must fit."""
    conditions: dict[str, Any] = {}
    """Who may be enrolled; `{}` for everybody."""
    ramp: Annotated[list[RampStep], Meta(max_length=limits.RAMP_STEPS_MAX)] = []
    """How the enrolment grows with time; before the first step nobody is enrolled. Empty: all of `coverage` at once."""
    bandit: Bandit | None = None
    """Weights that stand in for those of the variations."""
    bucket_version: Annotated[int, Meta(ge=0, le=limits.BUCKET_VERSION_MAX)] = 0
    """Remembered assignments count for this version only; with a higher one positions decide again."""
    min_bucket_version: Annotated[int, Meta(ge=0, le=limits.BUCKET_VERSION_MAX)] = 0
    """Units that remember an assignment of a lower version are excluded from now on."""
    disable_sticky_bucketing: bool = False
    """Assign by position alone, whatever is remembered."""
    is_active: bool = True
    version: Version = 1

    def __post_init__(self) -> None:
        self._check_variations()
        self._check_ramp()
        if self.fallback_unit == self.unit:
            raise ValueError("`fallbackUnit` must be another attribute than `unit`")
        if self.min_bucket_version > self.bucket_version:
            raise ValueError("`minBucketVersion` must not be higher than `bucketVersion`: nobody could be enrolled")

    def _check_variations(self) -> None:
        keys = [variation.key for variation in self.variations]
        if len(set(keys)) != len(keys):
            raise ValueError("variation keys must differ")
        if not any(variation.weight > 0 for variation in self.variations):
            raise ValueError("at least one variation needs a weight above 0")
        if self.bandit is not None:
            if unknown := sorted(set(self.bandit.weights) - set(keys)):
                raise ValueError(
                    f"`bandit.weights` names no variation with {unknown[0]!r}; there are {', '.join(keys)}"
                )
            if not any(self.bandit.weights.values()):
                raise ValueError("`bandit.weights` needs at least one weight above 0; leave `bandit` out otherwise")

    def _check_ramp(self) -> None:
        for before, after in pairwise(self.ramp):
            if after.at <= before.at:
                raise ValueError("the steps of `ramp` must be in the order of `at`, each later than the one before")
            if after.share < before.share:
                raise ValueError(
                    "the `share` of a step of `ramp` must not be lower than the one before: who is in stays"
                )

    @property
    def weights(self) -> tuple[float, ...]:
        """The share of each variation, in their order, 1 in all: the bandit's where there is one."""
        found = {variation.key: variation.weight for variation in self.variations}
        if self.bandit is not None:
            found = {key: self.bandit.weights.get(key, 0.0) for key in found}
        total = sum(found.values())
        return tuple(weight / total for weight in found.values())

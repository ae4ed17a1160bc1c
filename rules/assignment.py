"""From a visit to a variation: experiments compiled, and asked once for each visit.

What GrowthBook's SDKs do, in their order: a forced variation goes before everything; an assignment that the visit
remembers goes before namespace, conditions, prerequisites and coverage; a holdout goes before what is remembered.
Counterpart: `rules.bucketing` has the arithmetic, `rules.decision` asks for the experiments of a page.
Never: a clock, a store; what a visit remembers comes with it, and what it should remember goes out with the decision.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from rules import limits
from rules.bucketing import bucket_ranges, choose_variation, hash_unit, in_namespace
from rules.context import PAGE_ATTRIBUTES, Context
from rules.errors import RulesError
from rules.experiments import Experiment
from rules.ranges import covered, fault
from rules.reasons import Exclusion
from rules.targeting import NO_GROUPS, Condition, Groups, shared_condition

HOLDOUT_SEED = "holdout:"
"""Goes before the id of a holdout, so that no experiment's seed picks the same units."""

NOBODY_OFF: Mapping[str, str] = {}

Arms = tuple[tuple[float, float, str], ...]
"""`[from, to)` and the variation key of those positions."""


class CompiledExperiment(Struct, frozen=True, kw_only=True):
    """An experiment with what assigning needs; variation order is the file's, the first one is the control."""

    experiment: Experiment
    keys: tuple[str, ...]
    begins: tuple[datetime, ...]
    """When each step of the ramp begins; empty without a ramp."""
    stages: tuple[Arms, ...]
    """Who is enrolled: in each step of the ramp, or the only one."""
    conditions: Condition
    required: tuple[tuple["CompiledExperiment", frozenset[str]], ...]
    """Experiments that the visit must be in, and in which variations."""
    sticky_key: str | None
    """Under which the visit remembers its assignment; None where nothing is remembered."""
    blocked_keys: tuple[str, ...]
    """Those of versions that are excluded."""
    reads: frozenset[str]
    """Attributes that assigning may look at."""


class Assignment(Struct, frozen=True):
    """What one visit gets of one experiment: a variation, or why none."""

    key: str = ""
    exclusion: Exclusion | None = None
    detail: str = ""
    """What an author wants to know beside it."""


class Assignments:
    """The assignments of one visit, each made once."""

    def __init__(self, context: Context, off: Mapping[str, str] = NOBODY_OFF) -> None:
        """`off`: ids of the experiments in which nobody is enrolled, and why; what is forced goes before it."""
        self._context = context
        self._off = off
        self._made: dict[str, Assignment] = {}
        self.units: set[str] = set()
        """Attributes that were asked for a unit, whether the visit had them or not."""
        self.bucketed: dict[str, tuple[str, str]] = {}
        """Experiment id -> (attribute, unit), where a unit was asked for and found; none for what is forced."""
        self.remember: dict[str, str] = {}
        """Sticky key -> variation key, for assignments that the visit does not remember yet."""

    def of(self, experiment: CompiledExperiment) -> Assignment:
        """The assignment of this visit; the same whoever asks first."""
        identifier = experiment.experiment.id
        made = self._made.get(identifier)
        if made is None:
            made = self._made[identifier] = self._assign(experiment)
        return made

    def _assign(self, experiment: CompiledExperiment) -> Assignment:
        definition, context = experiment.experiment, self._context
        forced = context.forced.get(definition.id)
        if forced in experiment.keys:
            return Assignment(forced, detail="forced")
        if not definition.is_active:
            return Assignment(exclusion=Exclusion.INACTIVE)
        if definition.id in self._off:
            return Assignment(exclusion=Exclusion.INACTIVE, detail=self._off[definition.id])
        unit = self._unit(definition)
        if not unit:
            return Assignment(exclusion=Exclusion.NO_UNIT, detail=f"the visit has no {_units(definition)}")
        if definition.holdout is not None and in_holdout(unit, definition.holdout.id, definition.holdout.share):
            held = definition.holdout
            return Assignment(exclusion=Exclusion.HOLDOUT, detail=f"{held.id} holds out {_percent(held.share)}")
        if context.assigned and (kept := _remembered(experiment, context.assigned)) is not None:
            return kept
        excluded = self._excluded(experiment, unit) or _placed(experiment, unit, context.now)
        if excluded.key and experiment.sticky_key is not None:
            self.remember[experiment.sticky_key] = excluded.key
        return excluded

    def _unit(self, definition: Experiment) -> str:
        for attribute in filter(None, (definition.unit, definition.fallback_unit)):
            self.units.add(attribute)
            if unit := unit_text(self._context.attributes.get(attribute)):
                self.bucketed[definition.id] = (attribute, unit)
                return unit
        return ""

    def _excluded(self, experiment: CompiledExperiment, unit: str) -> Assignment | None:
        """Why the unit may not be enrolled; None if it may."""
        space = experiment.experiment.namespace
        if space is not None and not in_namespace(unit, (space.id, space.since, space.until)):
            return Assignment(exclusion=Exclusion.NAMESPACE, detail=f"{space.id}, {space.since} to {space.until}")
        if (failing := experiment.conditions.failing(self._context.attributes)) is not None:
            return Assignment(exclusion=Exclusion.CONDITIONS, detail=failing)
        for other, variations in experiment.required:
            found = self.of(other)
            if found.key not in variations:
                is_ = found.key or (found.exclusion or Exclusion.INACTIVE).value
                return Assignment(exclusion=Exclusion.PREREQUISITE, detail=f"{other.experiment.id}={is_}")
        return None


def _remembered(experiment: CompiledExperiment, assigned: Mapping[str, str]) -> Assignment | None:
    """What the visit remembers: a variation, or that it is excluded; None if nothing that counts."""
    if experiment.sticky_key is None:
        return None
    if any(key in assigned for key in experiment.blocked_keys):
        least = experiment.experiment.min_bucket_version
        return Assignment(exclusion=Exclusion.BUCKET_VERSION, detail=f"remembers a version below {least}")
    key = assigned.get(experiment.sticky_key)
    return Assignment(key, detail="remembered") if key in experiment.keys else None


def _placed(experiment: CompiledExperiment, unit: str, now: datetime) -> Assignment:
    """Where the unit's position lies among those that are enrolled at this moment."""
    stage = 0
    if experiment.begins:
        stage = bisect_right(experiment.begins, now) - 1
        if stage < 0:
            return Assignment(exclusion=Exclusion.RAMP, detail=f"begins {experiment.begins[0].isoformat()}")
    definition = experiment.experiment
    position = hash_unit(definition.seed or definition.id, unit, definition.hash_version)
    index = -1 if position is None else choose_variation(position, experiment.stages[stage])
    if index >= 0:
        return Assignment(experiment.stages[stage][index][2])
    share = definition.coverage * (definition.ramp[stage].share if definition.ramp else 1)
    return Assignment(exclusion=Exclusion.COVERAGE, detail=f"{_percent(share)} are enrolled")


def in_holdout(unit: str, holdout: str, share: float) -> bool:
    """Whether a unit is held out; the same for every experiment that names the holdout."""
    position = hash_unit(HOLDOUT_SEED + holdout, unit, 2)
    return position is not None and position < share


def unit_text(value: Any) -> str:
    """A unit as text; numbers as JSON writes them, everything else that is no text has no unit."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def sticky_key(experiment_id: str, version: int) -> str:
    """Under which an assignment is remembered: GrowthBook's `<experiment>__<bucketVersion>`."""
    return f"{experiment_id}__{version}"


# ---------------------------------------------------------------- compiling


def compile_experiments(
    experiments: Sequence[Experiment], groups: Groups = NO_GROUPS, *, of_the_page: frozenset[str] = PAGE_ATTRIBUTES
) -> dict[str, CompiledExperiment]:
    """All experiments of a file by id; raises RulesError with the path from `$.experiments`.

    `of_the_page`: attributes that are the same for everybody at an address. By such a unit a visitor has nothing to remember,
    and may not: shared caches have the page for all others.
    """
    places = {experiment.id: index for index, experiment in enumerate(experiments)}
    compiled: dict[str, CompiledExperiment] = {}
    for index in _in_order(experiments, places):
        one, path = experiments[index], f"$.experiments[{index}]"
        sticks = not one.disable_sticky_bucketing and one.unit not in of_the_page
        compiled[one.id] = _compiled(one, path, compiled, groups, sticks=sticks)
    return {experiment.id: compiled[experiment.id] for experiment in experiments}


def arms_of(experiment: Experiment, share: float = 1.0) -> Arms:
    """Who is enrolled with `share` of the experiment's coverage, in which variation."""
    coverage, keys = experiment.coverage * share, [variation.key for variation in experiment.variations]
    if any(variation.ranges for variation in experiment.variations):
        return tuple(
            (since, until, variation.key)
            for variation in experiment.variations
            for since, until in covered(variation.ranges, coverage)
        )
    ranges = bucket_ranges(len(keys), coverage, experiment.weights)
    return tuple((since, until, key) for key, (since, until) in zip(keys, ranges, strict=True))


def _compiled(
    experiment: Experiment,
    path: str,
    others: Mapping[str, CompiledExperiment],
    groups: Groups,
    *,
    sticks: bool,
) -> CompiledExperiment:
    _check(experiment, path)
    conditions = shared_condition(experiment.conditions, path=f"{path}.conditions", groups=groups)
    required = tuple(
        (others[one.experiment_id], frozenset(one.variations or others[one.experiment_id].keys))
        for one in experiment.prerequisites
    )
    for index, (other, variations) in enumerate(required):
        if unknown := sorted(variations - set(other.keys)):
            problem = f"the experiment has no variation {unknown[0]!r}; it has {', '.join(other.keys)}"
            raise RulesError(problem, f"{path}.prerequisites[{index}].variations")
    units = {experiment.unit} | ({experiment.fallback_unit} if experiment.fallback_unit is not None else set())
    return CompiledExperiment(
        experiment=experiment,
        keys=tuple(variation.key for variation in experiment.variations),
        begins=tuple(step.at for step in experiment.ramp),
        stages=tuple(arms_of(experiment, step.share) for step in experiment.ramp) or (arms_of(experiment),),
        conditions=conditions,
        required=required,
        sticky_key=sticky_key(experiment.id, experiment.bucket_version) if sticks else None,
        blocked_keys=tuple(sticky_key(experiment.id, version) for version in range(experiment.min_bucket_version)),
        reads=conditions.reads.union(units, *(other.reads for other, _ in required)),
    )


def _check(experiment: Experiment, path: str) -> None:
    space = experiment.namespace
    if space is not None and space.since >= space.until:
        raise RulesError("`from` must be smaller than `to`", f"{path}.namespace")
    given = {variation.key: variation.ranges for variation in experiment.variations}
    if any(given.values()) and (problem := fault(given, dict(zip(given, experiment.weights, strict=True)))):
        raise RulesError(problem, f"{path}.variations")


def _in_order(experiments: Sequence[Experiment], places: Mapping[str, int]) -> list[int]:
    """Each experiment after those it requires; raises RulesError for one that is not there, a circle, or a long chain."""
    depths: dict[int, int] = {}
    for index in range(len(experiments)):
        _visit(index, (), experiments, places, depths)
    return [*depths]


def _visit(
    index: int,
    chain: tuple[int, ...],
    experiments: Sequence[Experiment],
    places: Mapping[str, int],
    depths: dict[int, int],
) -> int:
    """How many experiments are required in a row below this one; in `depths` it comes after them. No closure: one that
    names itself would keep all experiments of a table until the collector comes."""
    if index in chain:
        circle = chain[chain.index(index) :]
        names = " requires ".join(experiments[one].id for one in (*circle, index))
        at = f"$.experiments[{min(circle)}].prerequisites"
        raise RulesError(f"prerequisites may not form a circle: {names}", at)
    if index not in depths:
        if len(chain) > limits.PREREQUISITE_DEPTH_MAX:
            raise RulesError(_TOO_DEEP, f"$.experiments[{chain[0]}].prerequisites")
        required = _required(experiments[index], index, places)
        below = [_visit(other, (*chain, index), experiments, places, depths) for other in required]
        depths[index] = max(below, default=-1) + 1
    if depths[index] > limits.PREREQUISITE_DEPTH_MAX:
        raise RulesError(_TOO_DEEP, f"$.experiments[{index}].prerequisites")
    return depths[index]


_TOO_DEEP = f"at most {limits.PREREQUISITE_DEPTH_MAX} experiments may require one another in a row"


def _required(experiment: Experiment, index: int, places: Mapping[str, int]) -> list[int]:
    for number, one in enumerate(experiment.prerequisites):
        if one.experiment_id not in places:
            names = ", ".join(sorted(places)[:20])
            raise RulesError(
                f"there is no experiment {one.experiment_id!r} in this file; known: {names}",
                f"$.experiments[{index}].prerequisites[{number}].experimentId",
            )
    return [places[one.experiment_id] for one in experiment.prerequisites]


def _units(definition: Experiment) -> str:
    return (
        definition.unit if definition.fallback_unit is None else f"{definition.unit} and no {definition.fallback_unit}"
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"

"""Experiments: tests with weighted variations, versioned like mutations.

Once an experiment has been live, people are enrolled. Then no edit puts them elsewhere: what decides their position is
fixed, and edited weights move only those who must (`rules.ranges`).
Counterpart: `rules.mutations.VariantMutation` names one. Never: bucketing; `rules.assignment` does that at the edge.
"""

from typing import ClassVar

import msgspec

from control_plane.documents import Documents
from control_plane.intent import Action
from control_plane.publishing import Change
from control_plane.store import Kind, Stored
from rules.assignment import arms_of
from rules.errors import RulesError
from rules.experiments import Experiment, Range
from rules.ranges import rebalanced


class Experiments(Documents[Experiment]):
    """The experiments of this installation. `version` belongs to the server; an empty `seed` is fixed at creation."""

    kind: ClassVar[Kind] = Kind.EXPERIMENT

    def _stamped(self, document: Experiment, change: Change, version: int, before: Stored | None) -> Experiment:
        seed = document.seed or (self._decode(before.content).seed if before is not None else document.id)
        return msgspec.structs.replace(document, version=version, seed=seed)

    def _is_same(self, document: Experiment, stored: Experiment) -> bool:
        if not _has_ranges(document):
            stored = _with_ranges(stored, {})
        seed = document.seed or stored.seed
        return msgspec.structs.replace(document, version=1, seed=seed) == msgspec.structs.replace(stored, version=1)

    async def _put(
        self, change: Change, document: Experiment, before: Stored | None, action: Action, *, check: bool = True
    ) -> tuple[str, int]:
        if before is not None:
            earlier = self._decode(before.content)
            if _reassigns(earlier, document) and await change.transaction.was_live(document.id):
                check_fixed(earlier, document)
                document = carried_over(earlier, document)
        return await super()._put(change, document, before, action, check=check)


def check_fixed(before: Experiment, after: Experiment) -> None:
    """Raise RulesError where an edit would assign enrolled units anew; paths begin at the experiment."""
    for field, was, is_ in _fixed(before, after):
        if was != is_:
            raise RulesError(
                f"`{field}` is fixed because this experiment has been live: a change would assign everybody anew. "
                f"Leave it at {_shown(was)}, or make a new experiment with another id",
                f"$.{field}",
            )
    given = {one.key: one.ranges for one in after.variations if one.ranges}
    kept = {one.key: one.ranges for one in before.variations}
    for key, ranges in given.items():
        if ranges != kept.get(key):
            raise RulesError(
                f"the ranges of `{key}` can't be set because this experiment has been live: they follow from the weights. "
                "Leave `ranges` out of all variations",
                "$.variations",
            )


def carried_over(before: Experiment, after: Experiment) -> Experiment:
    """`after` with everybody where `before` has them, but for those that the weights move."""
    shares, wanted = _shares(before), _shares(after)
    if not _has_ranges(before) and list(shares.items()) == list(wanted.items()):
        return _with_ranges(after, {})
    ranges: dict[str, list[Range]] = {key: [] for key in shares}
    for since, until, key in arms_of(msgspec.structs.replace(before, coverage=1.0)):
        if since < until:
            ranges[key].append((since, min(until, 1.0)))  # added up, weights may come out a little above
    return _with_ranges(after, ranges if shares == wanted else rebalanced(ranges, wanted))


def _reassigns(before: Experiment, after: Experiment) -> bool:
    """Whether an edit touches anything that positions or ranges depend on."""
    if any(was != is_ for _, was, is_ in _fixed(before, after)) or _has_ranges(before) or _has_ranges(after):
        return True
    return list(_shares(before).items()) != list(_shares(after).items())  # their order lays them out


def _fixed(before: Experiment, after: Experiment) -> list[tuple[str, object, object]]:
    """What an experiment that has been live keeps: field, before, after. A holdout may end, and not begin."""
    found: list[tuple[str, object, object]] = [
        ("seed", before.seed or before.id, after.seed or before.seed or before.id),
        ("hashVersion", before.hash_version, after.hash_version),
        ("unit", before.unit, after.unit),
        ("fallbackUnit", before.fallback_unit, after.fallback_unit),
        ("namespace.id", before.namespace and before.namespace.id, after.namespace and after.namespace.id),
    ]
    if after.holdout is not None:
        found.append(("holdout.id", before.holdout and before.holdout.id, after.holdout.id))
    return found


def _shares(experiment: Experiment) -> dict[str, float]:
    return dict(zip((variation.key for variation in experiment.variations), experiment.weights, strict=True))


def _has_ranges(experiment: Experiment) -> bool:
    return any(variation.ranges for variation in experiment.variations)


def _with_ranges(experiment: Experiment, ranges: dict[str, list[Range]]) -> Experiment:
    variations = [msgspec.structs.replace(one, ranges=ranges.get(one.key, [])) for one in experiment.variations]
    return msgspec.structs.replace(experiment, variations=variations)


def _shown(value: object) -> str:
    return "nothing" if value is None else f"`{value}`"

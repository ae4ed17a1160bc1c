"""What an author should be warned about in experiments.

Counterpart: `rules.lint` calls it, `rules.assignment` refuses what can't be assigned at all. Never: a refusal.
"""

from collections.abc import Iterator, Mapping

from rules.findings import Finding, Severity
from rules.model import Experiment, InVariation, RulesFile, VariantMutation
from rules.sample_size import Traffic, units_needed

DAYS_MAX = 56
"""An experiment that needs longer ends with other cookies, another season and another site than it began with."""


def lint_experiments(rules: RulesFile, traffic: Traffic | None = None) -> Iterator[Finding]:
    """Everything about the experiments of a file; with `traffic` also whether they can end."""
    by_id = {experiment.id: experiment for experiment in rules.experiments}
    needed = {one.experiment_id for experiment in rules.experiments for one in experiment.prerequisites}
    for index, experiment in enumerate(rules.experiments):
        path = f"$.experiments[{index}]"
        yield from _use(experiment, path, rules, needed)
        yield from _weights(experiment, path)
        if experiment.ramp and experiment.ramp[-1].share < 1:
            share = _percent(experiment.ramp[-1].share)
            yield _warning(f"{path}.ramp", f"ends at {share} of the coverage: the rest is never enrolled")
        if traffic is not None and experiment.is_active:
            yield from _sample(experiment, path, traffic, by_id)
    yield from _holdouts(rules)
    yield from _namespaces(rules)


def _use(experiment: Experiment, path: str, rules: RulesFile, needed: set[str]) -> Iterator[Finding]:
    variants = [mutation for mutation in rules.mutations if isinstance(mutation, VariantMutation)]
    users = [variant for variant in variants if variant.mutation_payload.experiment_id == experiment.id]
    triggers = [one.trigger for one in rules.mutations if isinstance(one.trigger, InVariation)]
    awaited = [trigger for trigger in triggers if trigger.experiment == experiment.id]
    if not users and not awaited:
        if experiment.id not in needed:
            yield _warning(path, "no mutation of type variant uses this experiment, and no trigger names it")
        return
    changed = {key for user in users for key, v in user.mutation_payload.variations.items() if v.operations}
    keys = [variation.key for variation in experiment.variations]
    changed.update(key for trigger in awaited for key in trigger.variations or keys)
    for position, variation in enumerate(experiment.variations[1:], 1):
        if variation.key not in changed:
            message = f"variation `{variation.key}` changes nothing: it is a second control"
            yield _warning(f"{path}.variations[{position}]", message)


def _weights(experiment: Experiment, path: str) -> Iterator[Finding]:
    where = "bandit.weights" if experiment.bandit is not None else "variations"
    for variation, weight in zip(experiment.variations, experiment.weights, strict=True):
        if weight == 0:
            yield _warning(f"{path}.{where}", f"variation `{variation.key}` has no weight: nobody new gets it")


def _sample(experiment: Experiment, path: str, traffic: Traffic, by_id: Mapping[str, Experiment]) -> Iterator[Finding]:
    arms = [weight for weight in experiment.weights if weight > 0]
    enrolled = _enrolled(experiment, by_id)
    if len(arms) < 2:
        return
    if enrolled == 0:
        yield _warning(path, "enrols nobody: coverage, ramp, namespace, holdout and prerequisites leave no unit")
        return
    units = max(units_needed(traffic, arms[0], arm) for arm in arms[1:])
    days = units / (traffic.daily_visits * enrolled)
    if days > DAYS_MAX:
        yield _warning(
            path,
            f"can't reach a useful sample: to see {_percent(traffic.baseline)} change by {_percent(traffic.lift)} it needs "
            f"{units:,.0f} units, {days:,.0f} days at {traffic.daily_visits * enrolled:,.0f} a day; at most {DAYS_MAX} are "
            "useful. Enrol more, test fewer variations, or a larger change",
        )


def _enrolled(experiment: Experiment, by_id: Mapping[str, Experiment]) -> float:
    """The share of all units that is enrolled in the end, if everybody met the conditions."""
    share = experiment.coverage * (experiment.ramp[-1].share if experiment.ramp else 1.0)
    if experiment.namespace is not None:
        share *= experiment.namespace.until - experiment.namespace.since
    if experiment.holdout is not None:
        share *= 1 - experiment.holdout.share
    for one in experiment.prerequisites:
        other = by_id[one.experiment_id]
        weights = {v.key: weight for v, weight in zip(other.variations, other.weights, strict=True)}
        inside = sum(weights[key] for key in one.variations) if one.variations else 1.0
        share *= _enrolled(other, by_id) * inside if other.is_active else 0.0
    return share


def _holdouts(rules: RulesFile) -> Iterator[Finding]:
    first: dict[str, Experiment] = {}
    for index, experiment in enumerate(rules.experiments):
        if (held := experiment.holdout) is None:
            continue
        other = first.setdefault(held.id, experiment)
        if other.holdout is not None and other.holdout.share != held.share:
            message = (
                f"holdout `{held.id}` has another share in {other.id}: some units are held out of one of them only"
            )
            yield _warning(f"$.experiments[{index}].holdout.share", message)


def _namespaces(rules: RulesFile) -> Iterator[Finding]:
    """Experiments that share a namespace, and still meet."""
    spaces = sorted(
        (one.namespace.id, one.namespace.since, one.namespace.until, index, one.id)
        for index, one in enumerate(rules.experiments)
        if one.namespace is not None and one.is_active
    )
    reach: dict[str, tuple[float, str]] = {}
    for name, since, until, index, identifier in spaces:
        end, other = reach.get(name, (0.0, ""))
        if since < end:
            message = f"meets {other} in namespace `{name}`: their shares overlap from {since} to {min(end, until)}"
            yield _warning(f"$.experiments[{index}].namespace", message)
        reach[name] = max((end, other), (until, identifier))


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _warning(path: str, message: str) -> Finding:
    return Finding(Severity.WARNING, path, message)

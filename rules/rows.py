"""One mutation -> one row: predicates in the order they are asked, and the operations that follow, with every check.

What compiles is safe to serve: selectors, regular expressions, references, patterns and markup have been looked at, and
nothing is validated per visit. Raises RulesError with the JSON path of the first offence.
Counterpart: `rules.table` keeps the rows, `rules.decision` asks them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec import Struct

from rules import model
from rules.bucketing import bucket_ranges
from rules.conflicts import precedence
from rules.decision import Group
from rules.errors import RulesError
from rules.expansion import operations_of
from rules.html.checks import check_operation
from rules.model import LayoutMutation, Operation, RulesFile, Target
from rules.pages import Matcher, compile_page, compile_site
from rules.schedules import compile_schedule
from rules.targeting import ALWAYS, Condition, compile_condition

_SERVED = (model.Status.ACTIVE, model.Status.EXPERIMENTAL)


class CompiledExperiment(Struct, frozen=True):
    """An experiment with what bucketing needs; variation order is the file's, the first one is the control."""

    experiment: model.Experiment
    keys: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    conditions: Condition


class Row(Struct, frozen=True, kw_only=True):
    """One mutation, compiled: predicates in the order they are asked, and the operations that follow."""

    mutation: LayoutMutation
    site: Matcher
    page: Matcher
    served: bool
    off: bool
    """A module it touches is switched off in the table."""
    modules: frozenset[str]
    schedule: Callable[[datetime], bool] | None
    segment: Condition | None
    conditions: Condition
    reads: frozenset[str]
    group: Group | None
    experiment: CompiledExperiment | None
    variations: Mapping[str, Group]


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


class Company(Struct, frozen=True):
    """What a mutation may refer to."""

    experiments: Mapping[str, CompiledExperiment]
    modules: Mapping[str, model.Module]
    segments: Mapping[str, Condition]


def compile_rows(rules_file: RulesFile) -> tuple[Row, ...]:
    """All mutations of a rules file, highest precedence first."""
    company = company_of(rules_file)
    check_unique("mutations", rules_file.mutations)
    rows = [compile_row(mutation, company, f"$.mutations[{i}]") for i, mutation in enumerate(rules_file.mutations)]
    return tuple(sorted(rows, key=lambda row: precedence(row.mutation)))


def company_of(rules_file: RulesFile) -> Company:
    """What mutations of this file may refer to, compiled."""
    check_unique("experiments", rules_file.experiments)
    check_unique("modules", rules_file.modules)
    check_unique("segments", rules_file.segments)
    for index, module in enumerate(rules_file.modules):
        if module.selector:
            check_operation(
                model.Remove(target=Target(selector=module.selector)), f"$.modules[{index}]", selector_at="selector"
            )
    return Company(
        experiments={e.id: _experiment(e, f"$.experiments[{i}]") for i, e in enumerate(rules_file.experiments)},
        modules={module.id: module for module in rules_file.modules},
        segments={
            segment.id: compile_condition(segment.conditions, path=f"$.segments[{i}].conditions")
            for i, segment in enumerate(rules_file.segments)
        },
    )


def _experiment(experiment: model.Experiment, path: str) -> CompiledExperiment:
    space = experiment.namespace
    if space is not None and space.since >= space.until:
        raise RulesError("`from` must be smaller than `to`", f"{path}.namespace")
    total = sum(variation.weight for variation in experiment.variations)
    weights = [variation.weight / total for variation in experiment.variations]
    return CompiledExperiment(
        experiment=experiment,
        keys=tuple(variation.key for variation in experiment.variations),
        ranges=tuple(bucket_ranges(len(weights), experiment.coverage, weights)),
        conditions=compile_condition(experiment.conditions, path=f"{path}.conditions"),
    )


def compile_row(mutation: LayoutMutation, company: Company, path: str) -> Row:
    """One mutation among its company; `path` is its place in the file, for errors."""
    conditions = compile_condition(mutation.conditions, path=f"{path}.conditions") if mutation.conditions else ALWAYS
    segment = _segment(mutation, company, path)
    experiment = _experiment_of(mutation, company, path)
    group, variations, modules = _operations(mutation, company, path)
    reads = conditions.reads | (segment.reads if segment else frozenset())
    if experiment is not None:
        reads |= experiment.conditions.reads | {experiment.experiment.unit}
    return Row(
        mutation=mutation,
        site=compile_site(mutation.site, f"{path}.site"),
        page=compile_page(mutation.page_slug, f"{path}.pageSlug"),
        served=mutation.is_active and mutation.status in _SERVED,
        off=any(module in company.modules and not company.modules[module].is_active for module in modules),
        modules=modules,
        schedule=compile_schedule(mutation.schedule, f"{path}.schedule"),
        segment=segment,
        conditions=conditions,
        reads=reads,
        group=group,
        experiment=experiment,
        variations=variations,
    )


def _segment(mutation: LayoutMutation, company: Company, path: str) -> Condition | None:
    if not isinstance(mutation.trigger, model.InSegment):
        return None
    name = mutation.trigger.segment
    if name not in company.segments:
        raise RulesError(_unknown("segment", name, company.segments), f"{path}.trigger.segment")
    return company.segments[name]


def _experiment_of(mutation: LayoutMutation, company: Company, path: str) -> CompiledExperiment | None:
    if not isinstance(mutation, model.VariantMutation):
        return None
    payload, at = mutation.mutation_payload, f"{path}.mutationPayload"
    experiment = company.experiments.get(payload.experiment_id)
    if experiment is None:
        raise RulesError(_unknown("experiment", payload.experiment_id, company.experiments), f"{at}.experimentId")
    for key in payload.variations:
        if key not in experiment.keys:
            raise RulesError(
                f"the experiment has no variation {key!r}; it has {', '.join(experiment.keys)}",
                f"{at}.variations.{key}",
            )
    if next(iter(payload.variations)) != experiment.keys[0]:
        raise RulesError(f"the first key is the control and must be {experiment.keys[0]!r}", f"{at}.variations")
    return experiment


def _operations(
    mutation: LayoutMutation, company: Company, path: str
) -> tuple[Group | None, dict[str, Group], frozenset[str]]:
    at = f"{path}.mutationPayload"
    modules = {mutation.module_id} if mutation.module_id is not None else set()
    if isinstance(mutation, model.VariantMutation):
        groups = {}
        for key, variation in mutation.mutation_payload.variations.items():
            operations = [(op, f"{at}.variations.{key}.operations[{i}]") for i, op in enumerate(variation.operations)]
            if operations:
                groups[key] = _group(mutation.id, operations, company, modules)
        return None, groups, frozenset(modules)
    return _group(mutation.id, operations_of(mutation, at), company, modules), {}, frozenset(modules)


def _group(mutation_id: str, operations: list[tuple[Operation, str]], company: Company, modules: set[str]) -> Group:
    """Checks each operation and names its target by selector; adds the modules it touches to `modules`."""
    resolved = []
    for written, path in operations:
        operation = written
        if written.target.module_id is not None:
            modules.add(written.target.module_id)
            operation = msgspec.structs.replace(written, target=_by_selector(written.target, company))
        check_operation(operation, path)
        resolved.append(operation)
    digest = blake2b(msgspec.msgpack.encode(resolved), digest_size=12).hexdigest()
    return Group(mutation_id, tuple(resolved), digest)


def _by_selector(target: Target, company: Company) -> Target:
    module = company.modules.get(target.module_id or "")
    selector = (module.selector if module else "") or f'[data-module="{target.module_id}"]'
    return Target(selector=selector, required=target.required, max_matches=target.max_matches)


def check_unique(name: str, entries: Sequence[_Identified]) -> None:
    """Raise RulesError for the second entry of a list `$.<name>` that has an id already used."""
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if entry.id in seen:
            raise RulesError(
                f"the id {entry.id!r} is already used by $.{name}[{seen[entry.id]}]", f"$.{name}[{index}].id"
            )
        seen[entry.id] = index


def _unknown(kind: str, name: str, known: Mapping[str, object]) -> str:
    names = ", ".join(sorted(known)[:20]) or "none"
    return f"there is no {kind} {name!r} in this file; known: {names}"

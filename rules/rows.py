"""One mutation -> one row: predicates in the order they are asked, and the operations that follow, with every check.

What compiles is safe to serve: selectors, regular expressions, references, patterns and markup have been looked at, and
nothing is validated per visit. Raises RulesError with the JSON path of the first offence.
Counterpart: `rules.table` keeps the rows, `rules.decision` asks them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rules import model
from rules.assignment import CompiledExperiment, compile_experiments
from rules.conflicts import precedence
from rules.derivation import Derivation, compile_derivation
from rules.errors import RulesError
from rules.expansion import operations_of
from rules.filling import Slot
from rules.group import Group, OpenGroup
from rules.html.checks import check_anywhere, check_moves, check_operation, check_selector
from rules.html.components import Library, compile_component
from rules.html.payload_checks import check_payload
from rules.html.slots import kept_to_links, prepared
from rules.model import ClientEvent, Delivery, LayoutMutation, Operation, RulesFile, Target
from rules.occasions import Declared, Occasion, check_known, compile_occasion
from rules.operations import targets_of
from rules.pages import Matcher, compile_page, compile_site
from rules.redirects import Destination, compile_redirect
from rules.remembering import Memory, compile_memory
from rules.schedules import compile_schedule
from rules.switches import NO_SWITCHES, Switches
from rules.targeting import NO_GROUPS, Condition, Groups, shared_condition

_SERVED = (model.Status.ACTIVE, model.Status.EXPERIMENTAL)


class Cases(Struct, frozen=True):
    """An emotion map, compiled: groups by what an attribute says; None for a case that changes nothing."""

    steps: tuple[str, ...]
    """Path to the attribute."""
    groups: Mapping[str, Group | None]
    otherwise: Group | None
    """For all other visits; None where they get the page as it is."""


class Row(Struct, frozen=True, kw_only=True):
    """One mutation, compiled: predicates in the order they are asked, and the operations that follow."""

    mutation: LayoutMutation
    site: Matcher
    page: Matcher
    served: bool
    off: str
    """What switches it off for every visit: a module it touches, or a toggle of the table; "" where nothing does."""
    modules: frozenset[str]
    schedule: Callable[[datetime], bool] | None
    occasion: Occasion
    """The trigger."""
    conditions: Condition
    reads: frozenset[str]
    """Attributes that it may look at, and those that they follow from."""
    derives: frozenset[str]
    """Those of them that are worked out for the visit."""
    group: Group | None
    experiment: CompiledExperiment | None
    variations: Mapping[str, Group]
    cases: Cases | None
    fills: frozenset[str]
    """Attributes that its payload reads: those of placeholders, and the one that cases are chosen by."""
    redirect: Destination | None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        """All groups, whoever gets them."""
        cases = () if self.cases is None else (*self.cases.groups.values(), self.cases.otherwise)
        return tuple(group for group in (self.group, *self.variations.values(), *cases) if group is not None)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


class Company(Struct, frozen=True):
    """What a mutation may refer to."""

    components: Library
    modules: Mapping[str, model.Module]
    declared: Declared
    groups: Groups
    derivation: Derivation
    memory: Memory
    """What is remembered of visitors for the declared attributes and the experiments."""
    switches: Switches = NO_SWITCHES

    @property
    def reads(self) -> frozenset[str]:
        """Attributes that anything of it may look at."""
        behind = (rule.reads for rule in self.derivation.rules.values())
        segments = (segment.reads for segment in self.declared.segments.values())
        experiments = (experiment.reads for experiment in self.declared.experiments.values())
        components = (component.reads for component in self.components.values() if component is not None)
        return self.memory.reads.union(*behind, *segments, *experiments, *components)

    def off(self, mutation: LayoutMutation, modules: frozenset[str]) -> str:
        """What switches a mutation that touches these modules off for every visit; "" where nothing does."""
        off = sorted(name for name in modules if name in self.modules and not self.modules[name].is_active)
        return f"module {', '.join(off)}" if off else self.switches.everywhere.fitting(mutation, modules)


def compile_rows(rules_file: RulesFile, company: Company) -> tuple[Row, ...]:
    """All mutations of a rules file among their company, highest precedence first."""
    check_unique("mutations", rules_file.mutations)
    rows = [compile_row(mutation, company, f"$.mutations[{i}]") for i, mutation in enumerate(rules_file.mutations)]
    return tuple(sorted(rows, key=lambda row: precedence(row.mutation)))


def company_of(rules_file: RulesFile) -> Company:
    """What mutations of this file may refer to, compiled."""
    check_unique("experiments", rules_file.experiments)
    check_unique("modules", rules_file.modules)
    check_unique("segments", rules_file.segments)
    check_unique("savedGroups", rules_file.saved_groups)
    check_unique("toggles", rules_file.toggles)
    groups = _groups_of(rules_file)
    derivation = compile_derivation(rules_file.attributes, groups, "$.attributes")
    experiments = compile_experiments(rules_file.experiments, groups, of_the_page=derivation.of_the_page)
    for index, module in enumerate(rules_file.modules):
        if module.selector:
            check_operation(
                model.Remove(target=Target(selector=module.selector)), f"$.modules[{index}]", selector_at="selector"
            )
    return Company(
        components={
            module.id: compile_component(module, f"$.modules[{i}].template")
            for i, module in enumerate(rules_file.modules)
        },
        modules={module.id: module for module in rules_file.modules},
        declared=Declared(
            segments={
                segment.id: shared_condition(segment.conditions, path=f"$.segments[{i}].conditions", groups=groups)
                for i, segment in enumerate(rules_file.segments)
            },
            experiments=experiments,
            attributes={one.id: one for one in rules_file.attributes},
        ),
        groups=groups,
        derivation=derivation,
        memory=compile_memory(
            rules_file.attributes, experiments, derivation=derivation, groups=groups, path="$.attributes"
        ),
        switches=Switches(rules_file.toggles),
    )


def _groups_of(rules_file: RulesFile) -> Groups:
    members = {group.id: list[Any](group.members) for group in rules_file.saved_groups}
    return Groups(members, blake2b(msgspec.msgpack.encode(members), digest_size=16).digest()) if members else NO_GROUPS


def compile_row(mutation: LayoutMutation, company: Company, path: str) -> Row:
    """One mutation among its company; `path` is its place in the file, for errors."""
    conditions = shared_condition(mutation.conditions, path=f"{path}.conditions", groups=company.groups)
    occasion = compile_occasion(mutation.trigger, company.declared, f"{path}.trigger")
    experiment = _experiment_of(mutation, company, path)
    written = _Writer(mutation, company, f"{path}.mutationPayload")
    group, variations, cases = written.group(), written.variations(), written.cases()
    modules = frozenset(written.modules)
    reads = company.derivation.behind(conditions.reads | occasion.reads | written.fills | _reads_of(experiment))
    return Row(
        mutation=mutation,
        site=compile_site(mutation.site, f"{path}.site"),
        page=compile_page(mutation.page_slug, f"{path}.pageSlug"),
        served=mutation.is_active and mutation.status in _SERVED,
        off=company.off(mutation, modules),
        modules=modules,
        schedule=compile_schedule(mutation.schedule, f"{path}.schedule"),
        occasion=occasion,
        conditions=conditions,
        reads=reads,
        derives=reads & company.derivation.rules.keys(),
        group=group,
        experiment=experiment,
        variations=variations,
        cases=cases,
        fills=frozenset(written.fills),
        redirect=compile_redirect(mutation, path) if isinstance(mutation, model.RedirectMutation) else None,
    )


def _reads_of(experiment: CompiledExperiment | None) -> frozenset[str]:
    return frozenset() if experiment is None else experiment.reads


def _experiment_of(mutation: LayoutMutation, company: Company, path: str) -> CompiledExperiment | None:
    if not isinstance(mutation, model.VariantMutation):
        return None
    payload, at = mutation.mutation_payload, f"{path}.mutationPayload"
    known = company.declared.experiments
    check_known("experiment", payload.experiment_id, known, f"{at}.experimentId")
    experiment = known[payload.experiment_id]
    for key in payload.variations:
        if key not in experiment.keys:
            raise RulesError(
                f"the experiment has no variation {key!r}; it has {', '.join(experiment.keys)}",
                f"{at}.variations.{key}",
            )
    if next(iter(payload.variations)) != experiment.keys[0]:
        raise RulesError(f"the first key is the control and must be {experiment.keys[0]!r}", f"{at}.variations")
    return experiment


def delivery_of(mutation: LayoutMutation) -> Delivery:
    """The delivery a mutation says, else what its trigger needs: the edge can't know what happens in the browser."""
    if mutation.delivery is not None:
        return mutation.delivery
    return Delivery.CLIENT if isinstance(mutation.trigger, model.InBrowser) else Delivery.EDGE


def _event(mutation: LayoutMutation, company: Company, path: str) -> ClientEvent | None:
    """What the browser waits for, its target by selector."""
    when = mutation.trigger.when if isinstance(mutation.trigger, model.InBrowser) else None
    if not isinstance(when, model.Visible):
        return when
    target = when.target if when.target.selector is not None else _by_selector(when.target, company)
    check_selector(target.selector or "", f"{path}.trigger.when.target.selector")
    return model.Visible(target=target)


class _Writer:
    """Makes the groups of one mutation; collects the modules that they touch and the attributes that they are filled from."""

    def __init__(self, mutation: LayoutMutation, company: Company, at: str) -> None:
        self._mutation = mutation
        self._company = company
        self._at = at
        self.modules = {mutation.module_id} if mutation.module_id is not None else set()
        self.fills: set[str] = set()
        self._target = "container" if isinstance(mutation, model.ReorderMutation | model.ArrangeMutation) else "target"
        """What the payload calls the target of its operations."""
        self._delivery = delivery_of(mutation)
        self._when = _event(mutation, company, at.removesuffix(".mutationPayload"))

    def group(self) -> Group | None:
        """What everybody gets; None where that is a decision."""
        check_payload(self._mutation, self._at)
        operations = operations_of(self._mutation, self._at)
        return self._group(operations) if operations else None

    def variations(self) -> dict[str, Group]:
        """Variation -> its group, for those that change something."""
        if not isinstance(self._mutation, model.VariantMutation):
            return {}
        found = self._chosen("variations", self._mutation.mutation_payload.variations)
        return {key: group for key, group in found.items() if group is not None}

    def cases(self) -> Cases | None:
        """The cases of an emotion map."""
        if not isinstance(self._mutation, model.EmotionMapMutation):
            return None
        payload = self._mutation.mutation_payload
        steps = tuple(payload.attribute.split("."))
        self.fills.add(steps[0])
        otherwise = payload.otherwise
        return Cases(
            steps=steps,
            groups=self._chosen("cases", payload.cases),
            otherwise=None if otherwise is None else self._listed(otherwise.operations, f"{self._at}.otherwise"),
        )

    def _chosen(
        self, field: str, named: Mapping[str, model.VariationOperations] | Mapping[str, model.CaseOperations]
    ) -> dict[str, Group | None]:
        return {key: self._listed(one.operations, f"{self._at}.{field}.{key}") for key, one in named.items()}

    def _listed(self, operations: Sequence[Operation], at: str) -> Group | None:
        written = [(operation, f"{at}.operations[{i}]") for i, operation in enumerate(operations)]
        return self._group(written) if written else None

    def _group(self, written: list[tuple[Operation, str]]) -> Group:
        """Checks each operation, names its target by selector, and finds what a visit fills."""
        operations: list[Operation] = []
        slots: list[Slot] = []
        for given, path in written:
            self.modules |= {target.module_id for _, target in targets_of(given) if target.module_id is not None}
            operation = _by_selectors(given, self._company)
            ready = prepared(operation, path, self._company.components, index=len(operations))
            check_operation(ready.operation, path, selector_at=f"{self._target}.selector")
            if self._delivery is not Delivery.EDGE:
                check_anywhere(ready.operation, path)
            operations.append(kept_to_links(ready))
            slots += ready.slots
        check_moves(operations, [path for _, path in written])
        told: object = (operations, slots) if slots else operations
        if self._delivery is not Delivery.EDGE:
            told = (self._delivery, self._when, told)
        digest = blake2b(msgspec.msgpack.encode(told), digest_size=12).hexdigest()
        if not slots:
            return Group(self._mutation.id, tuple(operations), digest, self._delivery, self._when)
        group = OpenGroup(self._mutation.id, tuple(operations), digest, self._delivery, self._when, slots=tuple(slots))
        self.fills |= group.reads
        return group


def _by_selectors(operation: Operation, company: Company) -> Operation:
    """The same operation with a selector in place of each module that it names."""
    if all(target.module_id is None for _, target in targets_of(operation)):
        return operation
    fields: dict[str, Any] = {}
    for name in operation.__struct_fields__:
        value = getattr(operation, name)
        if isinstance(value, Target):
            fields[name] = _by_selector(value, company)
        elif isinstance(value, list):
            fields[name] = [_by_selector(one, company) if isinstance(one, Target) else one for one in value]
    return msgspec.structs.replace(operation, **fields)


def _by_selector(target: Target, company: Company) -> Target:
    if target.module_id is None:
        return target
    module = company.modules.get(target.module_id)
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

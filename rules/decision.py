"""(table, context) -> Decision: what applies to a visit, and why the rest does not.

Counterpart: `rules.compiler` built the rows; `rules.html` carries the groups out.
Never: an exception for any context, a clock, randomness.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct, structs

from rules.assignment import Assignment, Assignments, CompiledExperiment
from rules.context import PAGE_ATTRIBUTES, Context
from rules.group import Group
from rules.occasions import Occasion
from rules.reasons import Outcome, Reason
from rules.redirects import Redirect, target_of
from rules.rows import Cases, Row
from rules.switches import InForce
from rules.table import DecisionTable
from rules.targeting import value_at
from rules.templates import text_of

REVISION = 3
"""Goes up when the same groups make other bytes of the same page, so that no cache confirms an older engine's page."""


class Trial(Struct, frozen=True):
    """A visit in a variation of an experiment came to a mutation that tells the variations apart.

    Every unit of the experiment that comes there has one, whatever its variation, so that arms can be compared.
    """

    mutation_id: str
    experiment_id: str
    variation: str
    attribute: str
    """Name of the attribute that the visit is bucketed by."""
    unit: str
    changes: bool
    """Whether the mutation does something for this variation; false for the control, and for those left as they are."""


class Decision(Struct, frozen=True, kw_only=True):
    """What applies to one visit. Equal `key` means: the same page bytes become the same page."""

    groups: tuple[Group, ...]
    """Highest precedence first."""
    outcomes: tuple[Outcome, ...]
    """One for each mutation that could match the page, in precedence order."""
    assignments: Mapping[str, str]
    """Experiment id -> variation key, for the experiments that mutations of this page asked about."""
    units: frozenset[str]
    """Attributes that those experiments bucket by, whether the visit had them or not."""
    remember: Mapping[str, str] = {}
    """What a visit should bring along as `assigned` from now on: sticky key -> variation key. Only what it does not
    remember yet."""
    reads: frozenset[str]
    """Attributes that the rules of this page look at, matched or not."""
    private: bool
    """`reads` has something about the visitor: shared caches must not keep the response."""
    key: str
    """Follows from what applies alone, so that a new table leaves pages alone that it does not change; "" if nothing does."""
    redirect: Redirect | None = None
    """Another address instead of the page; then there are no groups."""
    trials: tuple[Trial, ...] = ()
    """Which experiments this page is part of; none of what is forced."""

    @property
    def applies(self) -> bool:
        """Whether the visit gets anything but the origin's page."""
        return bool(self.groups) or self.redirect is not None


NOTHING = Decision(groups=(), outcomes=(), assignments={}, units=frozenset(), reads=frozenset(), private=False, key="")


def decide(table: DecisionTable, context: Context, *, redirects: bool = True) -> Decision:
    """Decide one visit. Cost grows with the mutations that can match the page, not with the table.

    `redirects`: whether the visit may be sent elsewhere; one that brings something (a POST) may not.
    """
    rows = table.candidates(context.site, context.path)
    if not rows:
        return NOTHING
    context = _completed(table, context, rows)
    in_force = table.company.switches.of_visit(context)
    assignments, told = Assignments(context, in_force.experiments), dict[str, str]()
    groups: list[Group] = []
    outcomes: list[Outcome] = []
    reads: set[str] = set()
    leading: list[Row] = []
    trials: list[Trial] = []
    scheduled = False
    for row in rows:
        if isinstance(row, Outcome):  # of a rule that can't be used
            outcomes.append(row)
            continue
        outcome, group = _consider(row, context, in_force, assignments, told, reads)
        outcomes.append(outcome)
        if row.experiment is not None or row.occasion.enrolment is not None:
            trials += _trials(row, outcome.reason, context, assignments)
        scheduled |= row.schedule is not None or row.occasion.schedule is not None
        if group is not None:
            groups.append(group.of_visit(context.attributes))
        elif row.redirect is not None and outcome.reason is Reason.APPLIED:
            leading.append(row)
    # What is derived is as private as what it follows from, which is among `reads` too.
    private = bool(reads - PAGE_ATTRIBUTES - table.company.derivation.rules.keys())
    redirect = None
    if leading:
        lasts = not (private or assignments.units or scheduled)
        redirect, outcomes = _redirected(leading, context, outcomes, redirects=redirects, lasts=lasts)
    if redirect is not None:
        groups = []
    return Decision(
        groups=tuple(groups),
        outcomes=tuple(outcomes),
        assignments=told,
        units=frozenset(assignments.units),
        remember=assignments.remember,
        reads=frozenset(reads),
        private=private,
        key=_key(groups, redirect) if groups or redirect is not None else "",
        redirect=redirect,
        trials=tuple(trials),
    )


def _redirected(
    leading: list[Row], context: Context, outcomes: list[Outcome], *, redirects: bool, lasts: bool
) -> tuple[Redirect | None, list[Outcome]]:
    """The first of the redirects that leads elsewhere, and the outcomes beside it: it goes before all that changes pages."""
    target = target_of(context.attributes.get("url"), context.path)
    told: dict[str, Outcome] = {}
    winner = None
    for row in leading:
        if row.redirect is None or winner is not None:
            continue
        name = row.mutation.id
        if not redirects:
            told[name] = Outcome(name, Reason.METHOD, "only GET and HEAD are redirected")
        elif (winner := row.redirect.redirect(context.site, target, lasts=lasts)) is None:
            told[name] = Outcome(name, Reason.LOOP, "this is the address that it leads to")
        else:
            told[name] = Outcome(name, Reason.APPLIED, f"redirects to {winner.location}")
    if winner is not None:
        shadowed = f"redirected by {winner.mutation_id}"
        applied = (outcome.mutation_id for outcome in outcomes if outcome.reason is Reason.APPLIED)
        told = {name: Outcome(name, Reason.SHADOWED, shadowed) for name in applied} | told
    return winner, [told.get(outcome.mutation_id, outcome) for outcome in outcomes]


def _consider(
    row: Row,
    context: Context,
    in_force: InForce,
    assignments: Assignments,
    told: dict[str, str],
    reads: set[str],
) -> tuple[Outcome, Group | None]:
    mutation = row.mutation
    if mutation.layout_id not in ("*", context.layout_id or ""):
        return Outcome(mutation.id, Reason.OTHER_LAYOUT, f"layoutId is {context.layout_id!r}"), None
    if not row.served:
        return Outcome(mutation.id, Reason.INACTIVE, f"isActive {mutation.is_active}, status {mutation.status}"), None
    if (off := _off(row, context, in_force)) is not None:
        return off, None
    if row.schedule is not None and not row.schedule(context.now):
        return Outcome(mutation.id, Reason.SCHEDULE, f"not at {context.now.isoformat(timespec='minutes')}"), None
    reads |= row.reads
    if (failing := _untimely(row.occasion, context, assignments, told)) is not None:
        return Outcome(mutation.id, Reason.TRIGGER, failing), None
    if (failing := row.conditions.failing(context.attributes)) is not None:
        return Outcome(mutation.id, Reason.CONDITIONS, failing), None
    if row.cases is not None:
        return _case(mutation.id, row.cases, context)
    if row.experiment is None:
        return Outcome(mutation.id, Reason.APPLIED), row.group
    return _variant(row, row.experiment, assignments, told)


def _completed(table: DecisionTable, context: Context, rows: Sequence[Row | Outcome]) -> Context:
    """The visit with the derived attributes that these rows look at."""
    derivation = table.company.derivation
    if not derivation.rules:
        return context
    needed = frozenset[str]().union(*(row.derives for row in rows if not isinstance(row, Outcome) and row.served))
    attributes = derivation.completed(context.attributes, needed)
    return context if attributes is context.attributes else structs.replace(context, attributes=attributes)


def _untimely(occasion: Occasion, context: Context, assignments: Assignments, told: dict[str, str]) -> str | None:
    """Why the trigger's occasion is not there; None if it is."""
    if (failing := occasion.condition.failing(context.attributes)) is not None:
        return failing
    if occasion.schedule is not None and not occasion.schedule(context.now):
        return f"not at {context.now.isoformat(timespec='minutes')}"
    if (enrolment := occasion.enrolment) is None:
        return None
    found, identifier = assignments.of(enrolment.experiment), enrolment.experiment.experiment.id
    if found.exclusion is not None:
        return _excluded(identifier, found)
    told[identifier] = found.key
    return None if found.key in enrolment.variations else f"{identifier}={found.key}"


_REACHED = frozenset({Reason.APPLIED, Reason.CONTROL, Reason.NO_CHANGE})
"""Outcomes of a mutation whose trigger and conditions hold."""


def _trials(row: Row, reason: Reason, context: Context, assignments: Assignments) -> list[Trial]:
    """What the mutation tells apart for this visit. In a variation that the trigger does not name the visit sees the page
    as it is; it counts where everything else about the mutation would hold, as it does for those who get it."""
    reached = reason in _REACHED
    asked: list[tuple[CompiledExperiment, bool]] = []
    if row.experiment is not None and reached:
        asked.append((row.experiment, reason is not Reason.CONTROL))
    enrolment = row.occasion.enrolment
    if enrolment is not None and (reached or (reason is Reason.TRIGGER and _would_hold(row, context))):
        asked.append((enrolment.experiment, reached))
    found: list[Trial] = []
    for experiment, changes in asked:
        identifier, assignment = experiment.experiment.id, assignments.of(experiment)
        if assignment.exclusion is None and identifier in assignments.bucketed:
            unit = assignments.bucketed[identifier]
            found.append(Trial(row.mutation.id, identifier, assignment.key, *unit, changes))
    return found


def _would_hold(row: Row, context: Context) -> bool:
    if row.conditions.failing(context.attributes) is not None:
        return False
    return row.cases is None or _case(row.mutation.id, row.cases, context)[0].reason is not Reason.CONDITIONS


def _excluded(identifier: str, found: Assignment) -> str:
    exclusion = found.exclusion.value if found.exclusion is not None else ""
    return ", ".join(filter(None, (f"{identifier}: {exclusion}", found.detail)))


def _case(identifier: str, cases: Cases, context: Context) -> tuple[Outcome, Group | None]:
    """The case that the visit's attribute names, or what there is for all others."""
    value = text_of(value_at(context.attributes, cases.steps))
    detail = f"{'.'.join(cases.steps)}={value}" if value else f"the visit has no {'.'.join(cases.steps)}"
    if value in cases.groups:
        group = cases.groups[value]
        return Outcome(identifier, Reason.NO_CHANGE if group is None else Reason.APPLIED, detail), group
    if cases.otherwise is None:
        return Outcome(identifier, Reason.CONDITIONS, f"{detail}; cases: {', '.join(cases.groups)}"), None
    return Outcome(identifier, Reason.APPLIED, f"{detail}, otherwise"), cases.otherwise


def _variant(
    row: Row, experiment: CompiledExperiment, assignments: Assignments, told: dict[str, str]
) -> tuple[Outcome, Group | None]:
    identifier = experiment.experiment.id
    found = assignments.of(experiment)
    if found.exclusion is not None:
        return Outcome(row.mutation.id, Reason.NOT_IN_EXPERIMENT, _excluded(identifier, found)), None
    told[identifier] = found.key
    detail = ", ".join(filter(None, (f"{identifier}={found.key}", found.detail)))
    group = row.variations.get(found.key)
    return Outcome(row.mutation.id, Reason.CONTROL if group is None else Reason.APPLIED, detail), group


def _off(row: Row, context: Context, in_force: InForce) -> Outcome | None:
    """Why the mutation is switched off for this visit; None if it is not."""
    if row.mutation.id in context.held:
        return Outcome(
            row.mutation.id, Reason.QUARANTINED, "it did harm here: /table says what, and for how long it is skipped"
        )
    why = row.off or (in_force.why(row.mutation, row.modules) if in_force.asks else "")
    return Outcome(row.mutation.id, Reason.SWITCHED_OFF, why) if why else None


def _key(groups: list[Group], redirect: Redirect | None) -> str:
    text = f"{REVISION}\0" + "\0".join([f"{group.mutation_id}={group.digest}" for group in groups])
    if redirect is not None:
        text += f"\0redirect\0{redirect.status}\0{redirect.location}"
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

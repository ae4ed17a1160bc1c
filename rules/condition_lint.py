"""Conditions that no visit can meet, and what is declared and never used.

A visit must meet the mutation's conditions, its trigger and those of its experiment together. Where they say of one attribute
that it is one of a few values (or between bounds), each candidate is tried on all that is said of it: if none passes, nobody
is meant. What is said across attributes (`$or`, `$nor`, `$not`) is left out, so that silence proves nothing.
Counterpart: `rules.lint` asks; `rules.targeting` evaluates, so that nothing is judged by other rules than a visit's.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from msgspec import Struct, to_builtins

from rules.context import ATTRIBUTES
from rules.findings import Finding, Severity
from rules.model import Counter, Derived, InSegment, Journey, LayoutMutation, Quiz, RulesFile
from rules.occasions import Declared, condition_of
from rules.rows import Row
from rules.switches import experiments_of
from rules.targeting import evaluate

Test = Callable[[Any], bool]

_MISSING = object()
_BOUNDS = ("$gt", "$gte", "$lt", "$lte")
_CANDIDATES_MAX = 1_000
"""More values than an author writes by hand; what is generated is not tried."""


class Said(Struct, frozen=True):
    """One clause about one attribute."""

    path: str
    value: Any
    """What the condition says at the path: operators, or a value."""

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.path} {self.value}" if isinstance(self.value, Mapping) else f"{self.path} = {self.value!r}"

    def operands(self, *names: str) -> list[Any]:
        """What the operators of these names compare with; a bare value compares as `$eq`."""
        if not _is_operators(self.value):
            return [self.value] if "$eq" in names else []
        return [operand for name, operand in self.value.items() if name in names]


class Kind(Struct, frozen=True):
    """What the registry says of an attribute's values, or of a member's."""

    type: str
    source: str
    form: str = ""

    def fits(self, value: Any) -> bool:
        """Whether a visit could have this value."""
        if not isinstance(value, _TYPES[self.type]) or (self.type == "number" and isinstance(value, bool)):
            return False
        return not isinstance(value, str) or not self.form or re.fullmatch(self.form, value) is not None


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str, "number": (int, float), "boolean": bool, "object": Mapping,
}  # fmt: skip
_A = {"string": "a string", "number": "a number", "boolean": "true or false", "object": "an object"}
_KINDS: Mapping[str, Kind] = {
    **{one.name: Kind(one.type, one.source, one.form) for one in ATTRIBUTES},
    **{f"{one.name}.{part.name}": Kind(part.type, part.source) for one in ATTRIBUTES for part in one.members},
}
"""Path -> what stands there."""


def lint_conditions(rows: Iterable[tuple[Row, str]], rules: RulesFile, declared: Declared) -> Iterator[Finding]:
    """Mutations whose conditions nobody can meet; each row with the JSON path of its mutation."""
    groups = {group.id: list(group.members) for group in rules.saved_groups}
    known = _known_values(rules)
    for row, path in rows:
        said: dict[str, list[Said]] = {}
        for clause in _said_of(row.mutation, rules, declared):
            said.setdefault(clause.path, []).append(clause)
        for name, clauses in said.items():
            also = {"path": row.page, "host": row.site}.get(name)
            kind = _KINDS.get(name)
            if not _possible(clauses, known.get(name), also, groups, kind):
                heard = " and ".join(dict.fromkeys(clause.text for clause in clauses))
                is_kind = kind is not None and name not in known and _possible(clauses, None, also, groups, None)
                where = f"; it is {_A[kind.type]}, {kind.source}" if kind and is_kind else _where(name, row, known)
                yield _warning(f"{path}.conditions", f"nobody can meet this: {heard}{where}")


def lint_unused(rows: Sequence[Row], rules: RulesFile, remembering: frozenset[str]) -> Iterator[Finding]:
    """Segments, saved groups and declared attributes that nothing uses. `remembering`: what steps and counters read."""
    reads = remembering.union(*(row.reads for row in rows))
    for index, attribute in enumerate(rules.attributes):
        if attribute.id not in reads:
            yield _warning(f"$.attributes[{index}]", "no mutation reads this attribute")
    segments = {row.mutation.trigger.segment for row in rows if isinstance(row.mutation.trigger, InSegment)}
    for index, segment in enumerate(rules.segments):
        if segment.id not in segments:
            yield _warning(f"$.segments[{index}]", "no trigger names this segment")
    named = {
        name
        for part in (*rules.mutations, *rules.segments, *rules.experiments, *rules.attributes)
        for name in _groups(part)
    }
    for index, group in enumerate(rules.saved_groups):
        if group.id not in named:
            yield _warning(f"$.savedGroups[{index}]", "no condition names this group")


def _said_of(mutation: LayoutMutation, rules: RulesFile, declared: Declared) -> Iterator[Said]:
    yield from _flat(mutation.conditions)
    trigger = mutation.trigger
    if isinstance(trigger, InSegment):
        yield from _flat(next(one.conditions for one in rules.segments if one.id == trigger.segment))
    else:
        yield from _flat(condition_of(trigger, declared, "$"))
    for wanted in experiments_of(mutation):
        yield from _flat(next(one.conditions for one in rules.experiments if one.id == wanted))


def _flat(condition: Mapping[str, Any]) -> Iterator[Said]:
    """All clauses that must hold together."""
    for key, value in condition.items():
        if key == "$and":
            for part in value:
                yield from _flat(part)
        elif not key.startswith("$"):
            yield Said(key, value)


def _possible(
    clauses: Sequence[Said],
    known: Sequence[Any] | None,
    also: Test | None,
    groups: Mapping[str, list[Any]],
    kind: Kind | None,
) -> bool:
    """Whether some value of the attribute passes all clauses; True where that can't be told."""
    candidates = _candidates(clauses, known)
    if candidates is None or len(candidates) > _CANDIDATES_MAX:
        return True
    # A text may be compared with a number: then nothing here says which texts there are.
    if kind is not None and (kind.type != "string" or any(clause.operands("$eq", "$in") for clause in clauses)):
        candidates = [one for one in candidates if one is _MISSING or kind.fits(one)]
    return any(
        all(evaluate({clause.path: clause.value}, _nested(clause.path, value), groups) for clause in clauses)
        and (also is None or (isinstance(value, str) and also(value)))
        for value in candidates
    )


def _candidates(clauses: Sequence[Said], known: Sequence[Any] | None) -> list[Any] | None:
    """Values of which one must pass if any does; None where there is no such list."""
    exact = [operand for clause in clauses for operand in clause.operands("$eq")]
    if any(isinstance(operand, bool) for operand in exact):
        return None  # true is whatever is not empty
    listed = [operand for clause in clauses for operand in clause.operands("$in") if isinstance(operand, list)]
    if known is not None:
        return [*known, _MISSING]
    if exact or listed:
        members = [member for operand in listed for member in operand]
        alike = [other for value in (*exact, *members) for other in _alike(value)]
        banned = [operand for clause in clauses for operand in clause.operands("$nin")]
        allowed = [one for one in members if all(evaluate({"x": {"$nin": all_of}}, {"x": one}) for all_of in banned)]
        return [*alike, members, allowed, _MISSING]  # a list meets `$in` by any member, and `$nin` by all
    operators = {name for clause in clauses if _is_operators(clause.value) for name in clause.value}
    bounds = sorted(
        {one for clause in clauses for one in clause.operands(*_BOUNDS) if type(one) in (int, float)},
    )
    if not bounds or not operators <= {*_BOUNDS}:
        return None
    between = [(low + high) / 2 for low, high in pairwise(bounds)]
    return [bounds[0] - 1, *bounds, *between, bounds[-1] + 1, _MISSING]


def _alike(value: Any) -> Iterator[Any]:
    """The value, and those of other types that compare as equal to it (as in JavaScript)."""
    yield value
    if isinstance(value, str):
        yield value.split(",")
        with suppress(ValueError):
            yield float(value)
    elif value is not None:
        yield str(value)
        yield [value]
        yield from (one for one in (0, 1, True, False) if one == value)


def _nested(path: str, value: Any) -> dict[str, Any]:
    """Attributes in which `value` stands at a dotted path."""
    if value is _MISSING:
        return {}
    for step in reversed(path.split(".")):
        value = {step: value}
    found: dict[str, Any] = value
    return found


def _known_values(rules: RulesFile) -> dict[str, list[Any]]:
    """What attributes can be, where the registry or the file says all of it."""
    found: dict[str, list[Any]] = {one.name: [*one.values] for one in ATTRIBUTES if one.values}
    for one in rules.attributes:
        match one:
            case Derived(given_by=None):
                found[one.id] = [*(case.value for case in one.cases), *filter(None, [one.otherwise])]
            case Journey():
                found[f"{one.id}.step"] = found[f"{one.id}.furthest"] = [step.id for step in one.steps]
                found[f"{one.id}.completed"] = [True, False]
            case Quiz():
                found |= {f"{one.id}.{question.id}": [*question.answers] for question in one.questions}
            case Counter() if one.max < _CANDIDATES_MAX:
                found[one.id] = [*range(one.max + 1)]
            case Counter() | Derived():
                pass
    return found


def _where(name: str, row: Row, known: Mapping[str, Sequence[Any]]) -> str:
    if name == "path":
        return f"; its pages are {row.mutation.page_slug}"
    if name == "host":
        return f"; its site is {row.mutation.site}"
    return f"; it is {_listed(known[name])}" if name in known else ""


def _listed(values: Sequence[Any]) -> str:
    """All values, for people."""
    if len(values) > 2 and all(type(one) is int for one in values):
        return f"a number from {values[0]} to {values[-1]}"
    return f"one of {', '.join(map(str, values))}"


def _is_operators(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(str(key).startswith("$") for key in value)


def _groups(value: Any) -> Iterator[str]:
    """The saved groups that conditions anywhere in a value name."""
    if isinstance(value, Struct):
        value = to_builtins(value)
    if isinstance(value, dict):
        yield from (value[name] for name in ("$inGroup", "$notInGroup") if isinstance(value.get(name), str))
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _groups(member)


def _warning(path: str, message: str) -> Finding:
    return Finding(Severity.WARNING, path, message)

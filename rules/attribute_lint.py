"""Attributes that rules read and no visit has: unknown names, and unknown members of those that are known.

Counterparts: `rules.context` has the registry, `rules.attributes` what a file declares; `rules.lint` asks.
Never: a word about what a site may add of its own: members of `query`, `page`, `cookies` and `headers`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from msgspec import Struct, to_builtins

from rules.context import ATTRIBUTES
from rules.errors import RulesError
from rules.findings import Finding, Severity
from rules.model import Counter, Derived, EmotionMapMutation, Journey, LayoutMutation, Quiz, RulesFile
from rules.placeholders import parts_of, placeholders_in
from rules.rows import Row

_JOURNEY = frozenset({"step", "furthest", "reached", "completed"})
_NONE = frozenset[str]()

Members = Mapping[str, frozenset[str] | None]
"""Attribute -> the names of its members; None where they are open."""


class _Read(Struct, frozen=True):
    """A dotted path that a rule reads, and where that is written."""

    path: str
    at: str


def lint_attributes(rows: Iterable[tuple[Row, str]], rules: RulesFile) -> Iterator[Finding]:
    """What is read and never there; each row with the JSON path of its mutation."""
    known = members_of(rules)
    for row, path in rows:
        for name in sorted(row.reads - known.keys()):
            place = f"{path}.mutationPayload" if name in row.fills else f"{path}.conditions"
            listed = ", ".join(attribute.name for attribute in ATTRIBUTES)
            message = f"reads `{name}`, which no visit has of itself;{_meant(name, known)} known: {listed}"
            yield Finding(Severity.WARNING, place, message)
    for read in dict.fromkeys(_reads(rules)):
        name, _, member = read.path.partition(".")
        members = known.get(name)
        if not member or members is None or member in members:
            continue
        has = (
            f"{_meant(member, members, f'{name}.')} it has {', '.join(sorted(members))}"
            if members
            else " it is no object"
        )
        yield Finding(Severity.WARNING, read.at, f"reads `{read.path}`, which `{name}` does not have;{has}")


def members_of(rules: RulesFile) -> Members:
    """All attributes that visits of this file may have, with their members."""
    found: dict[str, frozenset[str] | None] = {}
    for experiment in rules.experiments:
        found |= {unit: _NONE for unit in (experiment.unit, experiment.fallback_unit) if unit is not None}
    for attribute in ATTRIBUTES:
        is_open = attribute.type == "object" and not attribute.members
        found[attribute.name] = None if is_open else frozenset(member.name for member in attribute.members)
    for one in rules.attributes:
        match one:
            case Journey():
                found[one.id] = _JOURNEY
            case Quiz():
                found[one.id] = frozenset(question.id for question in one.questions)
            case Counter() | Derived():
                found[one.id] = _NONE
    return found


def _meant(name: str, known: Iterable[str], before: str = "") -> str:
    """A question after the name that is most like it, with what stands `before` it; empty where none is."""
    like = get_close_matches(name, sorted(known), n=1)
    return f" did you mean `{before}{like[0]}`?" if like else ""


def _reads(rules: RulesFile) -> Iterator[_Read]:
    for index, mutation in enumerate(rules.mutations):
        at = f"$.mutations[{index}]"
        yield from _in_condition(mutation.conditions, f"{at}.conditions")
        yield from _in_payload(mutation, f"{at}.mutationPayload")
    for index, segment in enumerate(rules.segments):
        yield from _in_condition(segment.conditions, f"$.segments[{index}].conditions")
    for index, experiment in enumerate(rules.experiments):
        yield from _in_condition(experiment.conditions, f"$.experiments[{index}].conditions")
    for index, module in enumerate(rules.modules):
        yield from _in_text(module.template, f"$.modules[{index}].template")
    for index, attribute in enumerate(rules.attributes):
        yield from _in_declared(to_builtins(attribute), f"$.attributes[{index}]")


def _in_condition(condition: Mapping[str, Any], at: str) -> Iterator[_Read]:
    """The paths that a condition asks of the visit; what is asked of a list's elements is none."""
    for key, value in condition.items():
        if key == "$not":
            yield from _in_condition(value, at)
        elif key in {"$and", "$or", "$nor"}:
            for part in value:
                yield from _in_condition(part, at)
        elif not key.startswith("$"):
            yield _Read(key, at)


def _in_declared(attribute: Any, at: str) -> Iterator[_Read]:
    """The conditions of an attribute, of its steps and of its cases, and what it is given by."""
    if given := attribute.get("givenBy"):
        yield _Read(given, f"{at}.givenBy")
    yield from _in_condition(attribute.get("conditions", {}), f"{at}.conditions")
    for name in ("steps", "cases"):
        for index, part in enumerate(attribute.get(name, ())):
            yield from _in_condition(part["conditions"], f"{at}.{name}[{index}].conditions")


def _in_payload(mutation: LayoutMutation, at: str) -> Iterator[_Read]:
    if isinstance(mutation, EmotionMapMutation):
        yield _Read(mutation.mutation_payload.attribute, f"{at}.attribute")
    for text in _texts(to_builtins(mutation.mutation_payload)):
        yield from _in_text(text, at)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(member)


def _in_text(text: str, at: str) -> Iterator[_Read]:
    """The placeholders of a text; props are no attributes, and so not known here."""
    with suppress(RulesError):  # a text in which braces are braces
        for placeholder in placeholders_in(parts_of(text, at)):
            yield _Read(placeholder.name, at)

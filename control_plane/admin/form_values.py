"""What was typed -> a mutation's JSON, and back; and a refusal's JSON path -> the field it belongs to.

Counterpart: `form_fields` says which fields there are. The JSON goes through `rules.model.decode_mutation` and the
service's checks like anybody else's.
Never: a judgement about a mutation; only what can't be put into JSON at all is refused here. Never loses what was typed.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from multidict import MultiMapping

from control_plane.admin.form_fields import FormField, Kind
from rules import model
from rules.diagnosis import decode
from rules.errors import RulesError

Typed = dict[str, str | list[str]]
"""Field name -> what stands in the form: a string, or for check boxes of one name the values that are ticked."""

Problems = dict[str, str]
"""Field name -> what is wrong with it and what to do. The name "" is the form as a whole."""

CONTENT_SUFFIX = ".value"
"""A content field has two inputs: its name holds the kind (`text`, `html` or `component`), this one what is written."""

COMPONENT = "component"
"""The kind that is typed as JSON: `{"component": …, "props": {…}}`."""

_LINE = re.compile(r"^\[(\d{1,6})\]$")

MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%S"


def defaults(fields: Iterable[FormField]) -> Typed:
    """An empty form."""
    return {field.name: [] if field.kind is Kind.SEVERAL else field.default for field in fields}


def typed_from(posted: MultiMapping[Any], fields: Iterable[FormField]) -> Typed:
    """What a browser sent for these fields, with line ends as `\\n` (browsers send CR LF, RFC 7578 leaves it open)."""
    typed: Typed = {}
    for field in fields:
        if field.kind is Kind.SEVERAL:
            typed[field.name] = [str(value) for value in posted.getall(field.name, [])]
        else:
            typed[field.name] = _line_ends(str(posted.get(field.name, "")))
        if field.kind is Kind.CONTENT:
            typed[field.name + CONTENT_SUFFIX] = _line_ends(str(posted.get(field.name + CONTENT_SUFFIX, "")))
    return typed


def typed_of(mutation: Mapping[str, Any], fields: Iterable[FormField]) -> Typed:
    """The form of a mutation that exists, from its JSON object."""
    typed: Typed = {}
    for field in fields:
        value = _at(mutation, field.name)
        if field.kind is Kind.SEVERAL:
            typed[field.name] = [str(item) for item in value or []]
        elif field.kind is Kind.SWITCH:
            typed[field.name] = "on" if value else ""
        elif field.kind is Kind.CONTENT:
            way = next((choice for choice in field.choices if (value or {}).get(choice) is not None), field.default)
            typed[field.name] = way
            typed[field.name + CONTENT_SUFFIX] = _typed_content(value or {}, way)
        elif field.kind is Kind.JSON:
            typed[field.name] = field.default if value is None else pretty(value)
        elif field.kind is Kind.WORDS:
            typed[field.name] = _lines(value or [])
        elif field.kind is Kind.MOMENT:
            typed[field.name] = _local(value, _zone(_at(mutation, _zone_field(field))))
        else:
            typed[field.name] = field.default if value is None else str(value)
    return typed


def mutation_json(typed: Typed, fields: Iterable[FormField]) -> tuple[dict[str, Any], Problems]:
    """A JSON object of what was typed, and what could not be put into JSON. Empty optional fields are left out."""
    found: dict[str, Any] = {}
    problems: Problems = {}
    by_name = {field.name: field for field in fields}
    for field in by_name.values():
        if not applies(field, by_name, typed):
            continue
        try:
            value = _value(typed, field)
        except ValueError as error:
            problems[field.name] = str(error)
            continue
        if value is not None:
            _put(found, field.name, value)
    _drop_untouched_schedule(found)
    return found, problems


def applies(field: FormField, fields: Mapping[str, FormField], typed: Typed) -> bool:
    """Whether what the field depends on was chosen, all the way up."""
    if field.only_when is None:
        return True
    name, value = field.only_when
    return typed.get(name) == value and (name not in fields or applies(fields[name], fields, typed))


def field_of(path: str, fields: Sequence[FormField]) -> str:
    """The field that a refusal's JSON path belongs to; "" when it is about the whole.

    `$.mutationPayload.operations[2].verb` is inside the field `mutationPayload.operations`, and
    `$.mutationPayload.target` is about the first of the fields below it.
    """
    wanted = path.removeprefix("$").removeprefix(".")
    if not wanted:
        return ""
    holders = [
        field.name
        for field in fields
        if wanted == field.name or wanted.startswith((f"{field.name}.", f"{field.name}["))
    ]
    if holders:
        return max(holders, key=len)
    below = (field.name for field in fields if field.name.startswith(f"{wanted}."))
    return next(below, "")


def problem_at(path: str, problem: str, fields: Sequence[FormField]) -> Problems:
    """A refusal of the rules as a problem at its field; what the field name doesn't say of the path is kept in front."""
    name = field_of(path, fields)
    problem = problem[:1].upper() + problem[1:]
    rest = path.removeprefix("$").removeprefix(".")
    if name and (rest == name or not rest.startswith(name)):
        return {name: problem}
    inner = rest.removeprefix(name).removeprefix(".")
    if (line := _LINE.match(inner)) and any(field.name == name and field.kind is Kind.WORDS for field in fields):
        inner = f"line {int(line[1]) + 1}"
    return {name: f"{inner}: {problem}" if inner and inner not in {"text", "html"} else problem}


def pretty(value: object) -> str:
    """JSON as people read it: indented, letters of all languages as they are."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _value(typed: Typed, field: FormField) -> Any:
    given = typed.get(field.name, "")
    if isinstance(given, list):
        return given or None
    if field.kind is Kind.CONTENT:
        return _content(given or field.default, typed.get(field.name + CONTENT_SUFFIX, ""))
    if field.kind is Kind.SWITCH:
        return given != ""
    if field.kind is Kind.TEXT:
        return given or None
    text = given.strip()
    if not text:
        if field.required:
            raise ValueError("This is needed.")
        return None
    if field.kind is Kind.NUMBER or field.numeric:
        return _number(text)
    if field.kind is Kind.JSON or (field.kind is Kind.WORDS and text.startswith("[")):
        return _json(text)
    if field.kind is Kind.WORDS:
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.kind is Kind.MOMENT:
        return _moment(text, _zone(typed.get(_zone_field(field))))
    return text


def _lines(words: Sequence[str]) -> str:
    """One on each line; as JSON where they would not come back from that."""
    text = "\n".join(words)
    plain = not text.startswith("[") and text.split("\n") == [word.strip() for word in words if word.strip()]
    return text if plain or not words else pretty(list(words))


def _typed_content(content: Mapping[str, Any], way: str) -> str:
    if way == COMPONENT:
        return pretty({name: content[name] for name in (COMPONENT, "props") if content.get(name)})
    return str(content.get(way) or "")


def _content(way: str, text: str | list[str]) -> dict[str, Any]:
    if way != COMPONENT:
        return {way: text}
    found = _json(str(text).strip() or "{}")
    if not isinstance(found, dict) or COMPONENT not in found:
        raise ValueError(
            'Write the component as JSON, for example {"component": "card", "props": {"title": "Quince"}}.'
        )
    return found


def _number(text: str) -> int:
    try:
        return int(text, 10)
    except ValueError:
        raise ValueError(f"Write a whole number, without a unit: {text[:40]!r} is not one.") from None


def _json(text: str) -> Any:
    try:
        json.loads(text, parse_constant=_no_constant, parse_int=float)
    except json.JSONDecodeError as error:
        raise ValueError(f"Not JSON at line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except RecursionError:
        raise ValueError("Nested too deeply to be a rule.") from None
    try:
        # A key that is there twice or a number beyond all numbers would be another rule than the one that was typed.
        return decode(text.encode(), Any)
    except RulesError as error:
        raise ValueError(f"{error}.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON; write a number.")


def _moment(text: str, zone: ZoneInfo) -> str:
    """RFC 3339 of a local date and time; one that a clock shows twice in autumn is the earlier."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("Write a date and time such as 2027-03-01T09:00.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def _local(value: object, zone: ZoneInfo) -> str:
    """A stored moment as the schedule's clock shows it."""
    if not value:
        return ""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    try:
        return moment.astimezone(zone).strftime(MOMENT_FORMAT)
    except OverflowError:  # the first or last day of the calendar, moved out of it by the zone
        return moment.isoformat()


def _zone_field(field: FormField) -> str:
    """The field whose time zone a moment is in: the one beside it."""
    return f"{field.name.rpartition('.')[0]}.timezone"


def _zone(name: object) -> ZoneInfo:
    """The named time zone; UTC for one that doesn't exist, which the rules refuse in their own words."""
    try:
        return ZoneInfo(str(name or "UTC").strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def _drop_untouched_schedule(found: dict[str, Any]) -> None:
    """A schedule that says nothing but the time zone that every form begins with is no schedule."""
    if found.get("schedule") == {"timezone": model.Schedule().timezone}:
        del found["schedule"]


def _at(mutation: Mapping[str, Any], name: str) -> Any:
    value: Any = mutation
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    *steps, last = name.split(".")
    for step in steps:
        found = found.setdefault(step, {})
    found[last] = value


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

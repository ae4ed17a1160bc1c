"""JSON -> structs, and when that fails one line: the path, the offence and what is allowed there.

msgspec says where and what; this module adds what would have been right, read off the schema itself.
Never: a second schema.
"""

import re
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from rules import limits
from rules.errors import RulesError

_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_SHOWN_MAX = 24


def decode(data: bytes, kind: Any) -> Any:
    """`data` as `kind` (any type msgspec decodes); raises RulesError with the JSON path and what is allowed there."""
    if len(data) > limits.RULES_FILE_BYTES_MAX:
        raise RulesError(f"the file has {len(data):,} bytes; at most {limits.RULES_FILE_BYTES_MAX:,} are allowed")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), data, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RulesError(f"this is not JSON: {error}") from None
    except RecursionError:
        raise RulesError("this is nested too deeply") from None


def _explained(message: str, data: bytes, kind: Any) -> RulesError:
    match = _AT.match(message)
    what, path = (match["what"], match["path"] or "$") if match else (message, "$")
    try:
        whole: Any = msgspec.json.decode(data)
    except RecursionError:
        return RulesError("this is nested too deeply")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return RulesError(f"this is not JSON: {error}")
    value, place = whole, inspect.type_info(kind)
    parent, shown = place, "$"
    for step in _STEP.finditer(path):
        key = (
            _offending_key(value, whole, kind, message) if step["index"] == "..." else step["key"] or int(step["index"])
        )
        parent, place, value = place, _type_below(_resolved(place, value), key), _value_below(value, key)
        shown += f"[{key}]" if isinstance(key, int) else f".{key}"
    return RulesError(_in_one_line(f"{what}{_allowed(what, parent, place, value, shown)}"), _in_one_line(shown))


def _in_one_line(text: str) -> str:
    """Names that an author wrote, or an attacker, with what would break the line as JSON has it."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _offending_key(mapping: Any, whole: Any, kind: Any, message: str) -> str:
    """msgspec writes `[...]` for a mapping's value: the key whose value alone gives the same error."""
    few = isinstance(mapping, dict) and len(mapping) <= limits.VARIATIONS_MAX
    for key in list(mapping) if few else []:
        others = {other: mapping.pop(other) for other in list(mapping) if other != key}
        try:
            msgspec.convert(whole, kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
        finally:
            mapping.update(others)
    return "..."


def _type_below(place: inspect.Type, key: str | int) -> inspect.Type:
    if isinstance(place, inspect.StructType):
        return next((field.type for field in place.fields if field.encode_name == key), inspect.AnyType())
    if isinstance(place, inspect.DictType):
        return place.value_type
    if isinstance(place, inspect.TupleType):
        return place.item_types[key] if isinstance(key, int) and key < len(place.item_types) else inspect.AnyType()
    return getattr(place, "item_type", inspect.AnyType())


def _value_below(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None


def _resolved(place: inspect.Type, value: Any) -> inspect.Type:
    """Inside annotations, and in a union the member whose tag the value carries."""
    if isinstance(place, inspect.Metadata):
        return _resolved(place.type, value)
    if isinstance(place, inspect.UnionType):
        members = [_resolved(member, value) for member in place.types]
        structs = [member for member in members if isinstance(member, inspect.StructType)]
        for member in structs:
            if isinstance(value, dict) and member.tag_field and value.get(member.tag_field) == member.tag:
                return member
        if len(structs) == 1 and isinstance(value, dict):
            return structs[0]
        return inspect.UnionType(types=tuple(members))
    return place


def _structs(place: inspect.Type) -> list[inspect.StructType]:
    place = _resolved(place, None)
    members = place.types if isinstance(place, inspect.UnionType) else (place,)
    return [member for member in members if isinstance(member, inspect.StructType)]


def _allowed(what: str, parent: inspect.Type, place: inspect.Type, value: Any, path: str) -> str:
    if unknown := re.match(r"Object contains unknown field `(.*)`", what):
        resolved = _resolved(place, value)
        if isinstance(resolved, inspect.StructType):
            names = [field.encode_name for field in resolved.fields]
            if resolved.tag_field:
                names.insert(0, resolved.tag_field)
            return f"{_near(unknown[1], names)}; allowed here: {_listed(names)}"
    if path.rsplit(".", 1)[-1] in {struct.tag_field for struct in _structs(parent)}:
        tags = [str(struct.tag) for struct in _structs(parent)]
        return f"{_near(value, tags)}; allowed here: {_listed(tags)}"
    if missing := re.match(r"Object missing required field `(.*)`", what):
        tags = [str(struct.tag) for struct in _structs(place) if struct.tag_field == missing[1]]
        return f", one of {_listed(tags)}" if tags else ""
    resolved = _resolved(place, value)
    choices = _choices(resolved)
    if choices:
        return f"{_near(value, choices)}; allowed here: {_listed(choices)}"
    return _described(place)


def _choices(place: inspect.Type) -> list[str]:
    if isinstance(place, inspect.EnumType):
        return [str(member.value) for member in place.cls]
    if isinstance(place, inspect.LiteralType):
        return [str(value) for value in place.values]
    if isinstance(place, inspect.UnionType):
        return [choice for member in place.types for choice in _choices(member)]
    return []


def _described(place: inspect.Type) -> str:
    members = place.types if isinstance(place, inspect.UnionType) else (place,)
    for member in members:
        if isinstance(member, inspect.Metadata) and (text := (member.extra_json_schema or {}).get("description")):
            return f"; allowed here: {text}"
    return ""


def _near(value: object, names: list[str]) -> str:
    close = get_close_matches(value, names, n=1) if isinstance(value, str) else []
    return f" (did you mean `{close[0]}`?)" if close else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_MAX])
    return shown if len(names) <= _SHOWN_MAX else f"{shown}, … ({len(names)} in all)"

"""JSON -> structs, and when that fails one line: the path, the offence and what is allowed there.

msgspec says where and what; this module adds what would have been right, read off the schema itself.
Counterpart: `rules.strict_json` finds what is not about the schema. Never: a second schema.
"""

import re
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from rules import limits
from rules.errors import RulesError
from rules.strict_json import not_utf_8, odd_number, repeated_key

_PATH = re.compile(r"^(?:key` in `)?\$[^`]*$")
_STEP = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_BYTE = re.compile(r" \(byte (\d+)\)$")
_UNKNOWN = "Object contains unknown field `"
_SHOWN_MAX = 24
_QUOTED_MAX = 100
"""Characters of a name that an author wrote, as they are shown, and compared with those that are allowed."""
_TOO_DEEP = (
    f"this is nested too deeply; a condition may be {limits.CONDITION_DEPTH_MAX} levels deep, the rest is flatter"
)


def decode(data: bytes, kind: Any, *, written: bytes | None = None) -> Any:
    """`data` as `kind` (any type msgspec decodes); raises RulesError with the JSON path and what is allowed there.

    `written`: as its author wrote it, where `data` was made from that.
    """
    if len(data) > limits.RULES_FILE_BYTES_MAX:
        raise RulesError(f"the file has {len(data):,} bytes; at most {limits.RULES_FILE_BYTES_MAX:,} are allowed")
    try:
        decoded = msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), data, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error, data) from None
    except RecursionError:
        raise RulesError(_TOO_DEEP) from None
    if (repeated := repeated_key(data if written is None else written)) is not None:
        raise repeated
    return decoded


def _not_json(error: Exception, data: bytes) -> RulesError:
    """What is wrong with the text itself, and where it stands."""
    if unreadable := not_utf_8(data):
        return RulesError(unreadable)
    if (odd := odd_number(data)) is not None:
        return odd
    try:
        data.decode()
    except UnicodeDecodeError as found:
        place = _line_of(data, found.start)
        return RulesError(f"this is not JSON: byte 0x{data[found.start]:02x} is not UTF-8 ({place})")
    told = str(error)
    if (at := _BYTE.search(told)) is not None:
        told = f"{told[: at.start()]} ({_line_of(data, int(at[1]))})"
    return RulesError(f"this is not JSON: {told}")


def _line_of(data: bytes, at: int) -> str:
    lines = data[:at].split(b"\n")
    return f"line {len(lines)}, byte {len(lines[-1]) + 1}"


def _explained(message: str, data: bytes, kind: Any) -> RulesError:
    what, _, path = message.rpartition(" - at `")
    path = path.removesuffix("`")
    if not _PATH.match(path) or (what.startswith(_UNKNOWN) and not what.endswith("`")):
        what, path = message, "$"  # what looks like a path is in a name
    try:
        value: Any = msgspec.json.decode(data)
    except RecursionError:
        return RulesError(_TOO_DEEP)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _not_json(error, data)
    place = inspect.type_info(kind)
    parent, shown, around = place, "$", _Around(value, place, 0)
    for step in _STEP.finditer(path):
        resolved = _resolved(place, value)
        if isinstance(resolved, inspect.StructType):
            around = _Around(value, resolved, step.start())
        key: str | int = step["key"] or 0
        if step["index"] == "...":
            if isinstance(resolved, inspect.DictType) and len(value) > (resolved.max_length or len(value)):
                return RulesError(f"Expected `object` of length <= {resolved.max_length}", shown)
            key = _offending_key(value, around, f"{what} - at `{_head(path)}{path[around.at :]}`")
        elif step["index"]:
            key = int(step["index"])
        parent, place, value = place, _type_below(resolved, key), _value_below(value, key)
        shown += f"[{key}]" if isinstance(key, int) else f".{key}"
    return RulesError(f"{_short(what)}{_allowed(what, parent, place, value, shown)}", shown)


class _Around(NamedTuple):
    """The innermost struct around a place: its JSON, its type, and where in the path it ends."""

    value: Any
    place: inspect.Type
    at: int


def _head(path: str) -> str:
    """What a path begins with: that of a key says so."""
    return path[: path.index("$") + 1]


def _short(text: str) -> str:
    """A message, without the middle of a long name in it."""
    return text if len(text) <= 3 * _QUOTED_MAX else f"{text[: 2 * _QUOTED_MAX]}…{text[-_QUOTED_MAX // 2 :]}"


def _offending_key(mapping: Any, around: _Around, message: str) -> str:
    """msgspec writes `[...]` for a mapping's value: the key whose value alone gives the same error."""
    place = around.place
    if not isinstance(mapping, dict) or not isinstance(place, inspect.StructType):
        return "..."
    for key in list(mapping):
        others = {other: mapping.pop(other) for other in list(mapping) if other != key}
        try:
            msgspec.json.decode(msgspec.json.encode(around.value), type=place.cls)
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
    fits = isinstance(value, str) and len(value) <= _QUOTED_MAX
    close = get_close_matches(str(value), names, n=1) if fits else []
    return f" (did you mean `{close[0]}`?)" if close else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_MAX])
    return shown if len(names) <= _SHOWN_MAX else f"{shown}, … ({len(names)} in all)"

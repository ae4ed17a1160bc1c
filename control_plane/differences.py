"""What differs between two versions of any document, as paths with both values, short enough for a list.

Counterpart: `audit.py` tells it of an entry; the admin's pages compare mutations word by word. Pure. Never: a whole long text.
"""

from typing import Any

import msgspec

FIELDS_MAX = 50
VALUE_CHARACTERS_MAX = 200
BOOKKEEPING = frozenset({"$.version", "$.createdBy", "$.timestamp", "$.rollbackPointer"})
"""What every version changes by itself."""


class FieldDifference(msgspec.Struct, frozen=True):
    """A field that differs; values are JSON, cut where they are long, and null where the field is not there."""

    path: str
    before: str | None
    after: str | None


def compact(before: Any, after: Any) -> tuple[FieldDifference, ...]:
    """The fields that differ, at most FIELDS_MAX. None for a document that is not there."""
    found: list[FieldDifference] = []
    _collect("$", before, after, found)
    return tuple(found[:FIELDS_MAX])


def _collect(path: str, before: Any, after: Any, found: list[FieldDifference]) -> None:
    if before == after or path in BOOKKEEPING or len(found) > FIELDS_MAX:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            _collect(f"{path}.{name}", before.get(name), after.get(name), found)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            _collect(f"{path}[{place}]", one, other, found)
    else:
        found.append(FieldDifference(path, _shown(before), _shown(after)))


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"

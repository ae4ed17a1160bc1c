"""What changed between two versions of a mutation, field by field and word by word.

Counterpart: `history` shows it, and so does the form when somebody else saved in between. Pure.
Never: the fields that every version changes by itself (number, time, author).
"""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from msgspec import Struct

from control_plane.admin.form_values import pretty

BOOKKEEPING = frozenset({"id", "version", "createdBy", "timestamp", "rollbackPointer"})

WORDS_MAX = 1_500
"""Longer texts are shown old and new as a whole: comparing takes time with the product of their lengths."""

_WORD = re.compile(r"\w+|\s+|[^\w\s]")


class Piece(Struct, frozen=True):
    """A stretch of a value; `changed` marks what only this side has."""

    text: str
    changed: bool


class Difference(Struct, frozen=True):
    """One field that differs; an empty side means that the field is not there."""

    path: str
    before: tuple[Piece, ...]
    after: tuple[Piece, ...]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The fields of two mutations' JSON that differ, in the order of the schema."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    paths = [*old, *(path for path in new if path not in old)]
    return [
        Difference(path, *_pieces(old.get(path, ""), new.get(path, "")))
        for path in paths
        if old.get(path, "") != new.get(path, "")
    ]


def _leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of each field; a condition and each entry of a list stay in one piece."""
    for name, inner in value.items():
        path = f"{above}.{name}" if above else name
        if path in BOOKKEEPING:
            continue
        if isinstance(inner, Mapping) and path != "conditions":
            yield from _leaves(inner, path)
        elif isinstance(inner, list) and any(isinstance(item, Mapping) for item in inner):
            yield from ((f"{path}[{place}]", pretty(item)) for place, item in enumerate(inner))
        else:
            yield path, _text(inner)


def _text(value: object) -> str:
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else pretty(value)


def _pieces(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    old_words, new_words = _WORD.findall(old), _WORD.findall(new)
    if not old or not new or len(old_words) + len(new_words) > WORDS_MAX:
        return _whole(old), _whole(new)
    matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
    before: list[Piece] = []
    after: list[Piece] = []
    for kind, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        before.extend(_some(old_words[old_from:old_to], changed=kind != "equal"))
        after.extend(_some(new_words[new_from:new_to], changed=kind != "equal"))
    return tuple(before), tuple(after)


def _whole(text: str) -> tuple[Piece, ...]:
    return (Piece(text, changed=True),) if text else ()


def _some(words: list[str], *, changed: bool) -> Iterator[Piece]:
    if words:
        yield Piece("".join(words), changed)

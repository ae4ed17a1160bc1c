"""What a JSON file may not have although parsers let it pass, and where a parser that refuses did not say.

A key that an object has twice: the last one counts, and the author's eye finds the first. Numbers that are none, or that
no 64 bits hold. And files that are no UTF-8: their first bytes say what they are.
Counterpart: `rules.diagnosis` asks, after decoding for the keys, after a refusal for the rest.
Never: an exception; a cost beyond one pass over the file.
"""

import codecs
import json
import math
from collections import Counter
from typing import Any

from rules.errors import RulesError

_MARKS = (
    (codecs.BOM_UTF8, "begins with a byte order mark"),
    (codecs.BOM_UTF32_LE, "is UTF-32"),
    (codecs.BOM_UTF32_BE, "is UTF-32"),
    (codecs.BOM_UTF16_LE, "is UTF-16"),
    (codecs.BOM_UTF16_BE, "is UTF-16"),
)
_NUMBERS = "a whole number from -2^63 to 2^64-1, or a decimal up to 1.7e308"


class _Offence:
    """Stands in the parsed file where something is wrong."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


def repeated_key(data: bytes) -> RulesError | None:
    """The first key that an object of this JSON has twice; None where there is none."""
    found: list[_Offence] = []

    def members(pairs: list[tuple[str, Any]]) -> Any:
        once = dict(pairs)
        if len(once) == len(pairs):
            return once
        key, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        found.append(_Offence(f"the key `{key}` is there twice; only the last one would count: take one out"))
        return found[-1]

    return _placed(found, data, object_pairs_hook=members)


def odd_number(data: bytes) -> RulesError | None:
    """The first number of this JSON that can't be used, with its path; None where there is none."""
    found: list[_Offence] = []

    def refused(text: str) -> _Offence:
        shown = text if len(text) < 30 else f"{text[:20]}… ({len(text):,} characters)"
        found.append(_Offence(f"{shown} can't be used; allowed here: {_NUMBERS}"))
        return found[-1]

    def whole(text: str) -> Any:
        fits = len(text) < 21 and -(2**63) <= int(text) < 2**64
        return 0 if fits else refused(text)

    def decimal(text: str) -> Any:
        return 0 if math.isfinite(float(text)) else refused(text)

    return _placed(found, data, parse_constant=refused, parse_int=whole, parse_float=decimal)


def not_utf_8(data: bytes) -> str:
    """What a file is instead of UTF-8 without a byte order mark, and what to do; "" where its bytes don't say."""
    what = next((words for mark, words in _MARKS if data.startswith(mark)), "")
    if not what and data[:4].count(0) >= 2:
        what = "is UTF-16 or UTF-32"
    if not data.strip():
        return "the file is empty; an object is expected, at least {}"
    return f"the file {what}; save it as UTF-8 without a byte order mark" if what else ""


def _placed(found: list[_Offence], data: bytes, **hooks: Any) -> RulesError | None:
    """The first offence that the hooks leave in the parsed file, by its path."""
    try:
        whole = json.loads(data, **hooks)
    except (ValueError, RecursionError):
        return None
    return _first(whole) if found else None


def _first(whole: Any) -> RulesError | None:
    waiting: list[tuple[Any, str]] = [(whole, "$")]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, _Offence):
            return RulesError(value.problem, path)
        if isinstance(value, dict):
            waiting += reversed([(member, f"{path}.{key}") for key, member in value.items()])
        elif isinstance(value, list):
            waiting += reversed([(member, f"{path}[{index}]") for index, member in enumerate(value)])
    return None

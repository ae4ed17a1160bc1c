"""What is written with placeholders in it, and the text that it becomes for one visit.

A value is escaped for where it stands: first as a part of the language there (an address, a style, JSON), then as HTML.
What can't be a part of it, is missing, empty or too long gives way to the fallback.
Counterpart: `rules.html.positions` finds the positions when a rule is written; `rules.decision` fills.
Never: an exception for any attribute; a look at markup.
"""

import math
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from rules import limits
from rules.targeting import value_at


class Position(StrEnum):
    """What the text around a placeholder is, and so what a value must be escaped for."""

    TEXT = "text"
    """Between tags, where elements could stand too."""
    PLAIN = "plain"
    """An attribute's value, or an element that holds nothing but text."""
    ADDRESS = "address"
    """An address from its beginning on: http, https or relative."""
    ADDRESS_PART = "addressPart"
    """In the path, query or fragment of an address: percent-encoded."""
    STYLE = "style"
    """A part of a CSS value."""
    JSON = "json"
    """Inside a string of a JSON data block."""


class Blank(Struct, frozen=True):
    """A placeholder where it stands."""

    steps: tuple[str, ...]
    fallback: str
    position: Position


class Template(Struct, frozen=True):
    """Literal text and blanks; `is_markup` says whether the whole is HTML, or text that is escaped later."""

    parts: tuple[str | Blank, ...]
    is_markup: bool

    @property
    def reads(self) -> frozenset[str]:
        """Names of the attributes that it is filled from."""
        return frozenset(blank.steps[0] for blank in self.blanks)

    def values(self, attributes: Mapping[str, Any]) -> list[str]:
        """What each blank becomes for a visit, before it is escaped as HTML."""
        return self.fitting([text_of(value_at(attributes, blank.steps)) for blank in self.blanks])

    def fitting(self, texts: Sequence[str]) -> list[str]:
        """A text for each blank as a part of what stands there; its fallback, where the text is empty or can't be one."""
        return [_fitting(blank, text) for blank, text in zip(self.blanks, texts, strict=True)]

    def filled(self, values: Sequence[str]) -> str:
        """The whole with these values in its blanks."""
        left = iter(values)
        written = [part if isinstance(part, str) else self._escaped(next(left)) for part in self.parts]
        return "".join(written)

    @property
    def blanks(self) -> list[Blank]:
        """What is to be filled, in order."""
        return [part for part in self.parts if isinstance(part, Blank)]

    def _escaped(self, value: str) -> str:
        return html_escaped(value) if self.is_markup else value


def _fitting(blank: Blank, text: str) -> str:
    part = escaped(text, blank.position) if text else None
    return (escaped(blank.fallback, blank.position) or "") if part is None else part


# -- from an attribute to text

_NO_TEXT = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""What HTML can't hold, as itself or as a character reference (HTML standard, "numeric character reference end state"), and all
other controls: at ESC some browsers begin to read a page that says no encoding as ISO-2022-JP, quotes and tags included."""
_WHOLE_NUMBERS = 10**15
"""Above, JavaScript and Python write numbers differently."""


def text_of(value: Any) -> str:
    """An attribute as it can be shown; empty for what can't: lists, objects, null, too long, or another template's braces.

    Braces: a framework that mounts on the page would evaluate `{{…}}` of a visitor's making.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < _WHOLE_NUMBERS else ""
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < _WHOLE_NUMBERS else repr(value)
    if not isinstance(value, str) or len(value) > limits.PLACEHOLDER_VALUE_CHARACTERS_MAX:
        return ""
    if "{{" in value or value.startswith("{") or value.endswith("{"):
        return ""
    return cleaned(value)


def cleaned(text: str) -> str:
    """Text as a page can hold it: line ends as `\\n`, characters that no page can hold as U+FFFD."""
    return _NO_TEXT.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


# -- for where it stands

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_IGNORED_IN_ADDRESSES = str.maketrans("", "", "\t\n\r")
_SCHEME = re.compile(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.-]*):")
_RUNS = re.compile(r"(?:^|;)[\x00-\x20]*(?:javascript|vbscript|data)\s*:", re.IGNORECASE)
"""What `rules.html.harm` takes for an address that runs something, lists of animations among them."""
_STYLE_WORD = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:%|[A-Za-z]+)?|#[0-9A-Fa-f]{3,8}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_JSON = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&'\"\x7f"})


def html_escaped(text: str) -> str:
    """Text as it stands between tags and in attributes, whatever quotes are round it."""
    return text.translate(_HTML)


def escaped(text: str, position: Position) -> str | None:
    """Text as a part of what stands at a position; None where it can't be one."""
    match position:
        case Position.ADDRESS:
            return text if is_web_address(text) else None
        case Position.ADDRESS_PART:
            return None if text and not text.strip(".") else quote(text, safe="", errors="replace")
        case Position.STYLE:
            return _style_escaped(text)
        case Position.JSON:
            return _json_escaped(text)
        case _:
            return text


def is_web_address(address: str) -> bool:
    """Whether an address is relative or of the web, as a browser reads it (URL standard, "basic URL parser")."""
    read = address.translate(_IGNORED_IN_ADDRESSES)
    scheme = _SCHEME.match(read)
    return not _RUNS.search(read) and (scheme is None or scheme[1].lower() in ("http", "https"))


def _style_escaped(text: str) -> str:
    """A number with its unit and a colour as they are; the rest as characters of one name or string (CSS Syntax 4.3.7)."""
    if _STYLE_WORD.fullmatch(text):
        return text
    return _NOT_IN_NAMES.sub(lambda found: f"\\{ord(found[0]):x} ", text)


def _json_escaped(text: str) -> str:
    """Inside quotes, in ASCII, and without a character that HTML could see."""
    written = msgspec.json.encode(text).decode()[1:-1].replace('\\"', "\\u0022")
    return "".join(
        character if character.isascii() else _code_units(character) for character in written.translate(_NOT_IN_JSON)
    )


def json_in_ascii(text: str) -> str:
    """JSON that means the same in ASCII; what is not ASCII can stand in strings only."""
    return text if text.isascii() else "".join(c if c.isascii() else _code_units(c) for c in text)


def _code_units(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))

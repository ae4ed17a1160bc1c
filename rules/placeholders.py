"""Placeholders in what authors write: `{{attribute|fallback}}`, and `{{props.name|fallback}}` in a module's template.

`attribute` is a name or a dotted path of the visit's attributes; `fallback` is text as it stands, nothing where it is left
out. A backslash before `{{` takes its meaning away, two are one backslash: as Handlebars has it.
Counterpart: `rules.templates` fills them, `rules.html.positions` says where they may stand. Never: a value.
"""

import re

from msgspec import Struct

from rules import limits
from rules.errors import RulesError

PROPS = "props"
"""First step of what a template asks of those who use it; no attribute of a visit has this name."""

_OPENING = re.compile(r"(\\*)\{\{")
_PLACEHOLDER = re.compile(
    r"\{\{\s*(?P<name>[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*)\s*(?:\|(?P<fallback>(?:(?!\}\}|\{\{).)*))?\}\}",
    re.DOTALL,
)
_SHOWN_CHARACTERS = 40


class Placeholder(Struct, frozen=True):
    """One placeholder as it was written."""

    steps: tuple[str, ...]
    """The dotted path: the attribute's name, then names inside it."""
    fallback: str | None = None
    """What stands there without a value; None where none was written."""

    @property
    def name(self) -> str:
        """The path as it was written."""
        return ".".join(self.steps)


Parts = tuple[str | Placeholder, ...]
"""Literal text and placeholders, in order."""


def parts_of(text: str, path: str) -> Parts:
    """What an author wrote, taken apart. Raises RulesError at `path` for a `{{` that begins no placeholder."""
    if "{{" not in text:
        return (text,) if text else ()
    parts: list[str | Placeholder] = []
    literal, at = "", 0
    while (opening := _OPENING.search(text, at)) is not None:
        slashes = len(opening[1])
        literal += text[at : opening.start()] + "\\" * (slashes // 2)
        if slashes % 2:
            literal, at = literal + "{{", opening.end()
            continue
        found = _PLACEHOLDER.match(text, opening.end(1))
        if found is None:
            raise RulesError(_malformed(text[opening.end(1) :]), path)
        parts += [literal, _placeholder(found)] if literal else [_placeholder(found)]
        literal, at = "", found.end()
    literal += text[at:]
    if sum(isinstance(part, Placeholder) for part in parts) > limits.PLACEHOLDERS_MAX:
        raise RulesError(f"at most {limits.PLACEHOLDERS_MAX} placeholders may stand in one text", path)
    return (*parts, literal) if literal else tuple(parts)


def placeholders_in(parts: Parts) -> list[Placeholder]:
    """The placeholders among parts, in order."""
    return [part for part in parts if isinstance(part, Placeholder)]


def visit_parts(text: str, path: str) -> Parts:
    """As `parts_of`, where there are no props: outside of a module's template."""
    parts = parts_of(text, path)
    for placeholder in placeholders_in(parts):
        if placeholder.steps[0] == PROPS:
            raise RulesError(f"{{{{{placeholder.name}}}}}: props are known in a module's template only", path)
    return parts


def _placeholder(found: re.Match[str]) -> Placeholder:
    fallback = found["fallback"]
    return Placeholder(tuple(found["name"].split(".")), None if fallback is None else fallback.strip())


def _malformed(text: str) -> str:
    shown = text[:_SHOWN_CHARACTERS].split("\n", 1)[0]
    return rf"`{shown}` is no placeholder such as {{{{locale|en}}}}; write \{{{{ where {{{{ itself is meant"

"""Text with placeholders, a mark in the place of each; and the templates of what is no HTML.

A mark is a word of letters and digits that the text does not have: it stays what it is wherever it stands, so that parsers
of all languages can be asked where that is.
Counterpart: `rules.html.positions` does the same for HTML. Never: a value of a visit.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rules.errors import RulesError
from rules.html.attributes import Place, position_in
from rules.placeholders import Parts, Placeholder, placeholders_in
from rules.templates import Blank, Position, Template, cleaned, escaped


class Marked(NamedTuple):
    """Parts as one text; `marks` and `placeholders` go together, in order."""

    text: str
    marks: list[str]
    placeholders: list[Placeholder]

    @classmethod
    def of(cls, parts: Parts) -> "Marked":
        """Put a mark in the place of each placeholder."""
        literal = "".join(part for part in parts if isinstance(part, str)).lower()
        word = "lmx"
        while word in literal:
            word += "x"
        placeholders = placeholders_in(parts)
        marks = [f"{word}{number}q" for number in range(len(placeholders))]
        left = iter(marks)
        return cls("".join(part if isinstance(part, str) else next(left) for part in parts), marks, placeholders)

    def positions(self, found: Callable[[str, Placeholder], Position], path: str) -> list[Position]:
        """The position of each; raises RulesError for the first that `found` refuses."""
        positions = []
        for mark, placeholder in zip(self.marks, self.placeholders, strict=True):
            try:
                positions.append(found(mark, placeholder))
            except RulesError as reason:
                raise RulesError(f"{{{{{placeholder.name}}}}}: {reason.problem}", path) from None
        return positions

    def template(self, positions: Sequence[Position], path: str, *, is_markup: bool = False) -> Template:
        """The template; raises RulesError for a fallback that can't stand in its place."""
        parts: list[str | Blank] = []
        rest = self.text
        for mark, placeholder, position in zip(self.marks, self.placeholders, positions, strict=True):
            literal, _, rest = rest.partition(mark)
            fallback = cleaned(placeholder.fallback or "")
            if escaped(fallback, position) is None:
                raise RulesError(
                    f"{{{{{placeholder.name}}}}}: the fallback {fallback[:40]!r} is no part of an address there", path
                )
            parts += [literal] if literal else []
            parts.append(Blank(placeholder.steps, fallback, position))
        return Template((*parts, rest) if rest else tuple(parts), is_markup)


def text_template(parts: Parts, path: str) -> Template:
    """Text, which is escaped when it is written."""
    marked = Marked.of(parts)
    return marked.template([Position.TEXT] * len(marked.marks), path)


def value_template(parts: Parts, name: str, path: str) -> Template:
    """The value of an attribute of some element, which is escaped when it is written."""
    marked = Marked.of(parts)
    place = Place("", name, marked.text)
    positions = marked.positions(
        lambda mark, placeholder: position_in(place, mark, marked.marks, bool(placeholder.fallback)), path
    )
    return marked.template(positions, path)


def style_template(parts: Parts, path: str) -> Template:
    """The value of a CSS declaration."""
    marked = Marked.of(parts)
    place = Place("", "style", f"x:{marked.text}")
    positions = marked.positions(lambda mark, _: position_in(place, mark, marked.marks, has_fallback=True), path)
    return marked.template(positions, path)

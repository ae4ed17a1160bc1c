"""An attribute's value as the source writes it: where each of its characters stands, so that a part can be changed.

Counterpart: `rules.html.tags` turns splices of a value into edits of the page here.
Never: a guess. Where the source and the parsed value can't be laid side by side for certain, there is no written value.
"""

import re
from collections.abc import Iterable, Sequence
from html import unescape
from html.entities import html5
from typing import NamedTuple

from turbohtml import Element

from rules.html.charset import Charset
from rules.html.document import Document
from rules.html.edits import Edit
from rules.splices import Splice

_OPENING = re.compile(r"=[ \t\n\f\r]*([\"']?)")
_REFERENCE = re.compile(r"&(?:#[xX]?[0-9A-Fa-f]+|[A-Za-z0-9]+);?")
_ASCII_AS_SECOND_BYTE = frozenset({"cp932", "gbk", "gb18030", "big5", "cp949"})
"""Encodings in which a byte that looks like an ASCII letter or one of these may be half of another character."""
_LOOKED_AT = frozenset("\\[]{}|")


class WrittenValue(NamedTuple):
    """The value of an attribute, and where it stands in the document's source."""

    text: str
    """As the parser reads it, in the characters of the page's window."""
    start: int
    end: int
    quote: str
    """The quote round it; empty without, and then it gets some. For an attribute without `=`, this is `=`."""
    places: Sequence[int]
    """Offset of each character of `text`, and of the end."""

    def edits(self, charset: Charset, splices: Iterable[Splice]) -> list[Edit]:
        """Edits of the source that splice the value."""
        quote = '"' if self.quote in ("", "=") else self.quote
        edits = [
            Edit(self.places[one.start], self.places[one.end], charset.encode(_escaped(one.written, quote)))
            for one in splices
        ]
        if not edits or self.quote == quote:
            return edits
        opening = '="' if self.quote == "=" else '"'
        return [Edit(self.start, self.start, opening.encode()), *edits, Edit(self.end, self.end, b'"')]


def written_value(document: Document, element: Element, name: str) -> WrittenValue | None:
    """The value of an attribute that the start tag has; None if its characters can't be placed for certain."""
    span, value = document.attribute(element, name), element.attrs.get(name)
    if span is None or isinstance(value, list) or _is_unreadable(document.charset, value or ""):
        return None
    opening = _OPENING.search(document.source, *span)
    if opening is None:
        return WrittenValue("", span[1], span[1], "=", (span[1],)) if not value else None
    start, end = opening.end(), span[1] - len(opening[1])
    text, places = _placed(document.source, start, end)
    return WrittenValue(text, start, end, opening[1], places) if text == (value or "") else None


def spliced_window(charset: Charset, splices: Iterable[Splice]) -> list[Splice]:
    """The same splices, as a parser reads in the page's window what they write."""
    return [
        one._replace(written=unescape(charset.encode(_escaped(one.written, '"')).decode("latin-1"))) for one in splices
    ]


def _placed(source: str, start: int, end: int) -> tuple[str, Sequence[int]]:
    """The value between two offsets, character references resolved, with the offset of each character."""
    if source.find("&", start, end) < 0:
        return source[start:end], range(start, end + 1)
    text, places, at = "", list[int](), start
    for reference in _REFERENCE.finditer(source, start, end):
        meant = _meant(reference, source)
        if meant == reference[0]:
            continue
        text += source[at : reference.start()] + meant
        places += [*range(at, reference.start()), *(reference.start() for _ in meant)]
        at = reference.end()
    return text + source[at:end], [*places, *range(at, end + 1)]


def _meant(reference: re.Match[str], source: str) -> str:
    """What a character reference stands for in an attribute, where `&copy=1` is a parameter and no copyright sign (HTML
    standard, "named character reference state")."""
    written = reference[0]
    if written[1] == "#":
        return unescape(written)
    ends = written.endswith(";") or source[reference.end() : reference.end() + 1] != "="
    return html5.get(written[1:], written) if ends else written


def _is_unreadable(charset: Charset, value: str) -> bool:
    """Whether some byte of the value may be half of a character, and looks like ASCII that means something."""
    if value.isascii() or not _LOOKED_AT.intersection(value):
        return False
    return charset.codec in _ASCII_AS_SECOND_BYTE or charset.name == "unknown"


def _escaped(text: str, quote: str) -> str:
    return text.replace("&", "&amp;").replace(quote, "&quot;" if quote == '"' else "&#39;")

"""Replacements inside a text: what changes a value and leaves every other character of it alone.

Counterpart: `rules.css`, `rules.addresses` and `rules.html.policy` say which; `rules.html.tags` carries them into the source
of a tag. Never: a look at what the text means.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Splice(NamedTuple):
    """`text[start:end]` becomes `written`."""

    start: int
    end: int
    written: str


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """The text with its splices; they ascend and don't overlap."""
    pieces, at = [], 0
    for splice in splices:
        pieces += [text[at : splice.start], splice.written]
        at = splice.end
    return "".join([*pieces, text[at:]])

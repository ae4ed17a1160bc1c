"""Edits -> bytes: what may stand beside what, and the splice.

An edit replaces a range of the page by other bytes; an insertion has an empty range. Accepted edits never overlap: who
comes later and would destroy, or land inside, what is already accepted is refused (`Reason.SHADOWED`).
Counterpart: `rules.html.operations` makes edits. Never: a look at what the bytes mean.
"""

from bisect import bisect_left, insort
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct


class Edit(Struct, frozen=True):
    """`page[start:end]` becomes `replacement`. Byte offsets into the page as it came."""

    start: int
    end: int
    replacement: bytes


class Side(IntEnum):
    """The order of edits at one offset: what was open ends before anything new begins."""

    PREPEND = 0
    INNER = 1
    CLOSING = 2
    """append and after: content at the end of elements, the deepest first."""
    BEFORE = 3
    RANGE = 4


class Placed(NamedTuple):
    """An edit and its place in the order: offset, side, then `rank` among those of one side."""

    start: int
    side: Side
    rank: tuple[int, ...]
    end: int
    replacement: bytes


class EditSet:
    """Accepted edits of one page."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        """In the order they were accepted."""
        self._points: list[int] = []
        """Offsets of insertions and pins, sorted."""
        self._ranges: list[tuple[int, int]] = []
        """Replaced ranges, sorted; they never overlap."""
        self._journal: list[tuple[str, object]] = []

    def allows(self, start: int, end: int) -> bool:
        """Whether an edit of this range would neither destroy nor land inside an accepted one."""
        at = bisect_left(self._ranges, (start, -1))
        if start == end:
            return not (at > 0 and self._ranges[at - 1][1] > start)
        if at > 0 and self._ranges[at - 1][1] > start:
            return False
        if at < len(self._ranges) and self._ranges[at][0] < end:
            return False
        point = bisect_left(self._points, start + 1)
        return not (point < len(self._points) and self._points[point] < end)

    def add(self, placed: Placed) -> None:
        """Accept an edit that `allows` has allowed."""
        self.placed.append(placed)
        self._journal.append(("placed", placed))
        if placed.start == placed.end:
            self.pin(placed.start)
        else:
            insort(self._ranges, (placed.start, placed.end))
            self._journal.append(("range", (placed.start, placed.end)))

    def pin(self, offset: int) -> None:
        """Mark an offset as needed: no later edit may replace a range with this offset strictly inside."""
        insort(self._points, offset)
        self._journal.append(("point", offset))

    def mark(self) -> int:
        """A point to come back to."""
        return len(self._journal)

    def rollback(self, mark: int) -> None:
        """Forget everything accepted since `mark`."""
        while len(self._journal) > mark:
            kind, entry = self._journal.pop()
            if kind == "placed":
                self.placed.remove(entry)  # type: ignore[arg-type]
            elif kind == "range":
                self._ranges.remove(entry)  # type: ignore[arg-type]
            else:
                self._points.remove(entry)  # type: ignore[arg-type]


def splice(page: bytes, edits: tuple[Edit, ...]) -> bytes:
    """The page with its edits; `edits` ascend and don't overlap."""
    pieces, at = [], 0
    for edit in edits:
        pieces.append(page[at : edit.start])
        pieces.append(edit.replacement)
        at = edit.end
    pieces.append(page[at:])
    return b"".join(pieces)

"""Edits -> bytes: what may stand beside what, and the splice.

An edit replaces a range of the page by other bytes; an insertion has an empty range. Accepted edits never overlap: who
comes later and would destroy, or land inside, what is already accepted is refused (`Reason.SHADOWED`).
A moved range is no replaced one: it is cut out here and written elsewhere with the edits that belong to it, so edits may
lie inside, other moved ranges too. Nothing may be moved out of what is replaced, nor be destroyed once it is moved.
Counterpart: `rules.html.operations` makes edits. Never: a look at what the bytes mean.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from enum import IntEnum
from operator import itemgetter
from typing import NamedTuple, cast

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
    CUT = 5
    """Where something was that is moved away."""


STAYS = -1
"""In place of the start of a moved range: the page itself."""


class Placed(NamedTuple):
    """An edit and its place in the order: offset, side, then `rank` among those of one side."""

    start: int
    side: Side
    rank: tuple[int, ...]
    end: int
    replacement: bytes
    owner: object = None
    """The element that the edit belongs to; an edit goes where that goes."""
    brings: int = STAYS
    """Start of the moved range whose bytes follow `replacement`."""


_ORDER = itemgetter(0, 1, 2)


class EditSet:
    """Accepted edits of one page."""

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        """In the order they were accepted."""
        self._points: list[int] = []
        """Offsets of insertions and pins, sorted."""
        self._ranges: list[tuple[int, int]] = []
        """Replaced ranges, sorted; they never overlap."""
        self._moved: list[tuple[int, int]] = []
        """Ranges that stand elsewhere, sorted; they lie beside or inside each other."""
        self._journal: list[tuple[str, object]] = []

    def allows(self, start: int, end: int, *, is_whole: bool = False) -> bool:
        """Whether an edit of this range would neither destroy nor land inside an accepted one.

        `is_whole`: the range is an element, so that it may be one that is moved: then it is edited where it is moved to.
        """
        at = bisect_left(self._ranges, (start, -1)) if self._ranges else 0
        if start == end:
            return not (at > 0 and self._ranges[at - 1][1] > start)
        if at > 0 and self._ranges[at - 1][1] > start:
            return False
        if at < len(self._ranges) and self._ranges[at][0] < end:
            return False
        point = bisect_left(self._points, start + 1)
        if point < len(self._points) and self._points[point] < end:
            return False
        if not self._moved:
            return True
        first = bisect_left(self._moved, (start, -1))
        if self._moved[first : first + 1] == [(start, end)]:
            first += is_whole
        elif first < len(self._moved) and self._moved[first][0] == start and self._moved[first][1] > end:
            first += 1
        return not (first < len(self._moved) and self._moved[first][0] < end)

    def allows_move(self, start: int, end: int) -> bool:
        """Whether a range can be moved: it is not part of a replaced one."""
        first, behind = bisect_left(self._ranges, (start, -1)), bisect_left(self._ranges, (end, -1))
        if first > 0 and self._ranges[first - 1][1] > start:
            return False
        if behind > first and self._ranges[behind - 1][1] > end:
            return False
        return self._ranges[first : first + 1] != [(start, end)]

    def move(self, start: int, end: int) -> None:
        """Mark a range, which `allows_move` has allowed, as one that stands elsewhere."""
        insort(self._moved, (start, end))
        self._journal.append(("moved", (start, end)))

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
                self.placed.pop()
            elif kind == "range":
                del self._ranges[bisect_left(self._ranges, cast("tuple[int, int]", entry))]
            elif kind == "moved":
                self._moved.remove(entry)  # type: ignore[arg-type]
            else:
                del self._points[bisect_left(self._points, cast("int", entry))]


def in_order(placed: Iterable[Placed]) -> tuple[Edit, ...]:
    """The edits of a page where nothing is moved."""
    return tuple([Edit(one.start, one.end, one.replacement) for one in sorted(placed, key=_ORDER)])


def woven(page: bytes, placed: Iterable[tuple[int, Placed]], moved: Mapping[int, int]) -> tuple[Edit, ...]:
    """The edits of the page itself, in order; those inside moved ranges are done in what is written elsewhere.

    `placed`: each edit with the start of the moved range that it goes with, or STAYS; `moved`: start -> end. No range goes
    with itself, however long the way round.
    """
    parts: dict[int, list[Placed]] = {STAYS: [], **{start: [] for start in moved}}
    for part, one in placed:
        parts[part].append(one)
    order = [STAYS]
    for part in order:  # grows: what a part brings comes behind it, and is written first
        order += [one.brings for one in parts[part] if one.brings != STAYS]
    written: dict[int, bytes] = {}
    edits: tuple[Edit, ...] = ()
    for part in reversed(order):
        edits = tuple(
            Edit(one.start, one.end, one.replacement + written.get(one.brings, b""))
            for one in sorted(parts[part], key=_ORDER)
        )
        if part != STAYS:
            written[part] = splice(page, edits, part, moved[part])
    return edits


def splice(page: bytes, edits: tuple[Edit, ...], start: int = 0, end: int | None = None) -> bytes:
    """The page, or the part from `start` to `end`, with its edits; `edits` ascend and don't overlap."""
    pieces: list[bytes | memoryview] = []
    at, whole = start, memoryview(page)  # a slice of a view is no copy
    for edit in edits:
        pieces.append(whole[at : edit.start])
        pieces.append(edit.replacement)
        at = edit.end
    pieces.append(whole[at:end])
    return b"".join(pieces)

"""Skeletons of pages that differ from response to response by a token: for those, edits are moved instead of found.

Counterpart: `rules.html.skeleton` says when a page fits and why its edits are then known; `rewriting.py` looks here after the memo of
finished pages and before it has a page parsed; `isolation.py` has the child study two pages that were parsed anyway.

A key is studied from its third page on: the first is only noted, the second kept to compare with. Pages that differ by
more than tokens are tried again after 1, 3, 7, … further ones, so that what can't be learned costs next to nothing.
Never: parses, or trusts a lesson whose offsets can't be of its page.
"""

from collections import OrderedDict
from itertools import pairwise
from typing import NamedTuple

from rules.html import PassedThrough, Rewritten
from rules.html.skeleton import Gap, Lesson, Skeleton
from sidecar.rewriting.memo import ENTRY_OVERHEAD_BYTES, ENTRY_SHARE_MAX, Doorkeeper, MemoKey

PATIENCE_MAX = 10
"""At most 2¹⁰ pages between two attempts to learn a key's skeleton."""


class Study(NamedTuple):
    """What the child is asked: what holds for pages that differ as these two do?"""

    key: MemoKey
    base: bytes
    other: bytes
    known: tuple[Gap, ...]
    """Where pages were already seen to differ from `base`."""


class _Entry:
    __slots__ = ("_key_bytes", "base", "failures", "is_studied", "skeleton", "wait")

    def __init__(self, base: bytes, key_bytes: int) -> None:
        self.base = base
        self._key_bytes = key_bytes
        self.skeleton: Skeleton | None = None
        self.is_studied = False
        self.failures = 0
        self.wait = 0

    @property
    def bytes(self) -> int:
        taught = 0 if self.skeleton is None else len(self.base) + self.skeleton.lesson.bytes
        return len(self.base) + taught + self._key_bytes + ENTRY_OVERHEAD_BYTES


class Skeletons:
    """At most `bytes_max` of pages and skeletons, the least recently used leave first. 0 keeps and learns nothing."""

    def __init__(self, bytes_max: int, doorkeeper: Doorkeeper | None = None) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.lessons = 0
        self._doorkeeper = doorkeeper or Doorkeeper()
        self._entries: OrderedDict[MemoKey, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return sum(entry.skeleton is not None for entry in self._entries.values())

    def fit(self, key: MemoKey, page: bytes) -> Rewritten | PassedThrough | None:
        """The answer for a page, if it fits the skeleton of its key."""
        entry = self._entries.get(_regardless_of_nonce(key))
        if entry is None or entry.skeleton is None:
            return None
        answer = entry.skeleton.fit(page, key.nonce)
        if answer is None:
            self.misses += 1
            return None
        self._entries.move_to_end(_regardless_of_nonce(key))
        self.hits += 1
        return answer

    def offer(self, key: MemoKey, page: bytes) -> Study | None:
        """Take note of a page that had to be parsed; a study, if there may be something to learn now."""
        own = _regardless_of_nonce(key)
        entry = self._entries.get(own)
        if entry is None:
            if self._is_small(2 * len(page) + own.extra_bytes) and self._doorkeeper.saw(hash(own)):
                self._put(own, _Entry(page, own.extra_bytes))
            return None
        if entry.is_studied or entry.base == page:
            return None
        if entry.wait > 0:
            entry.wait -= 1
            return None
        entry.is_studied = True
        return Study(own, entry.base, page, () if entry.skeleton is None else entry.skeleton.lesson.gaps)

    def learned(self, study: Study, lesson: Lesson | None) -> None:
        """What came of a study; None if nothing can be told. Raises ValueError for a lesson that can't be of its page."""
        entry = self._entries.get(study.key)
        if lesson is not None:
            _check(lesson, len(study.base))
        if entry is None or entry.base is not study.base:
            return
        self._entries.pop(study.key)
        self.bytes -= entry.bytes
        entry.is_studied = False
        if lesson is not None and self._is_small(2 * len(study.base) + lesson.bytes):
            entry.skeleton, entry.failures = Skeleton(study.base, lesson, study.key.charset), 0
            self.lessons += 1
        else:
            entry.base, entry.skeleton = study.other, None  # the first page may have been the odd one
            entry.failures = min(entry.failures + 1, PATIENCE_MAX)
            entry.wait = 2**entry.failures - 1
        self._put(study.key, entry)

    def status(self) -> dict[str, int]:
        """Counters and sizes, for metrics."""
        return {
            "hits": self.hits,
            "misses": self.misses,
            "lessons": self.lessons,
            "pages": len(self),
            "bytes": self.bytes,
            "bytes_max": self.bytes_max,
        }

    def _is_small(self, size: int) -> bool:
        """Whether so many bytes may be kept for one key."""
        return (size + ENTRY_OVERHEAD_BYTES) * ENTRY_SHARE_MAX <= self.bytes_max

    def _put(self, key: MemoKey, entry: _Entry) -> None:
        self._entries[key] = entry
        self.bytes += entry.bytes
        while self.bytes > self.bytes_max:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= oldest.bytes


def _regardless_of_nonce(key: MemoKey) -> MemoKey:
    """Pages with a nonce share a skeleton, whichever nonce it is."""
    return key if key.nonce is None else key._replace(nonce="")


def _check(lesson: Lesson, length: int) -> None:
    """Offsets ascend within the page, and parts name gaps that are there (or the nonce)."""
    gaps = [at for gap in lesson.gaps for at in (gap.start, gap.end)]
    edits = [at for shape in lesson.shapes for at in (shape.start, shape.end)]
    for offsets in (gaps, edits):
        if any(later < earlier for earlier, later in pairwise([0, *offsets, length])):
            raise ValueError(f"offsets that can't be of a page of {length} bytes")
    numbers = [part for shape in lesson.shapes for part in shape.parts if isinstance(part, int)]
    if any(not -1 <= number < len(lesson.gaps) for number in numbers):
        raise ValueError("a part that is no gap of the page")

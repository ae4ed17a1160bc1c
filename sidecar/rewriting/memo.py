"""Finished pages: the same origin bytes and decision key give the same answer, so it is kept.

Counterparts: `rewriting.py` looks here before it asks the child, `pages.py` for what a page is in a content coding. A hit compares the origin's bytes themselves (2 µs for
100 KB), never a digest of them, so a wrong page cannot be served.

Only what was seen twice is kept. A page that differs in every response (a token in a form) would push out pages that
repeat and would never be hit itself; for it the memo costs one checksum (2 µs for 100 KB by isal, beside about a
millisecond of rewriting) and eight bytes of memory. Measured in `benchmarks/isolation.py`.

Never: time, I/O, or an answer that a slow or broken child gave.
"""

from collections import OrderedDict
from typing import NamedTuple

from isal import isal_zlib

from rules.html import PassedThrough, Rewritten, Script

DOORKEEPER_ENTRIES_MAX = 16_384
"""Sightings remembered in each of two generations: a few MB, and as many pages between two sightings of one."""

ENTRY_OVERHEAD_BYTES = 1_024
"""What an entry takes beside its bytes: key, objects, dictionary. Counted so that many small pages are bounded too."""

KEY_BYTES = 256
"""So much of that is for the texts of a key; what is above counts by itself, since visitors make addresses of 16 KB."""

ENTRY_SHARE_MAX = 8
"""One page takes at most this fraction of the memo (1/8), or it would be the memo."""


class MemoKey(NamedTuple):
    """What an answer depends on beside the page's bytes."""

    address: str
    """Host, path and query: what tells pages apart."""
    decision: str
    """The decision's own key."""
    charset: str | None
    """That of Content-Type."""
    nonce: str | None
    """That of the policy in the page's head."""
    script: Script | None = None
    """What the page may call."""

    @property
    def extra_bytes(self) -> int:
        """What it takes above an entry's overhead."""
        return max(0, len(self.address) + len(self.charset or "") + len(self.nonce or "") - KEY_BYTES)


class _Entry:
    """One finished page, and what it is in the codings that visitors asked for."""

    __slots__ = ("answer", "body", "bytes", "coded")

    def __init__(self, body: bytes, answer: Rewritten | PassedThrough, size: int) -> None:
        self.body = body
        self.answer = answer
        self.bytes = size
        self.coded: dict[str, bytes] = {}


class Doorkeeper:
    """Remembers that something was seen, roughly: `entries_max` to twice that many sightings, older ones are forgotten.

    Two generations of 64-bit hashes; a collision admits a page that was seen once, which costs memory and nothing else.
    """

    def __init__(self, entries_max: int = DOORKEEPER_ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._young: set[int] = set()
        self._old: set[int] = set()

    def saw(self, sighting: int) -> bool:
        """Whether it was seen before; from now on it was."""
        known = sighting in self._young or sighting in self._old
        self._young.add(sighting)
        if len(self._young) >= self._entries_max:
            self._old, self._young = self._young, set()
        return known


class Memo:
    """At most `bytes_max` of finished pages, the least recently used leave first. 0 keeps nothing."""

    def __init__(self, bytes_max: int, doorkeeper: Doorkeeper | None = None) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self._doorkeeper = doorkeeper or Doorkeeper()
        self._entries: OrderedDict[MemoKey, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: MemoKey, body: bytes) -> Rewritten | PassedThrough | None:
        """The answer for exactly this body, or None."""
        entry = self._entries.get(key)
        if entry is None or entry.body != body:
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry.answer

    def put(self, key: MemoKey, body: bytes, answer: Rewritten | PassedThrough) -> None:
        """Keep the answer if the same was put before; in place of an answer for an older body of that key."""
        size = key.extra_bytes + _size(body, answer)
        if size * ENTRY_SHARE_MAX > self.bytes_max:
            return
        if not self._doorkeeper.saw(hash((key, len(body), isal_zlib.crc32(body)))):
            return
        replaced = self._entries.pop(key, None)
        if replaced is not None:
            self.bytes -= replaced.bytes
        self._entries[key] = _Entry(body, answer, size)
        self.bytes += size
        self._make_room()

    def coded(self, key: MemoKey, page: bytes, coding: str) -> bytes | None:
        """The bytes of a finished page in a coding, if they are kept. `page` is that of the answer that `get` gave."""
        entry = self._of_page(key, page)
        return None if entry is None else entry.coded.get(coding)

    def keep_coded(self, key: MemoKey, page: bytes, coding: str, coded: bytes) -> None:
        """Keep those bytes for as long as the page is kept; of a page that is not, nothing."""
        entry = self._of_page(key, page)
        if entry is None or coding in entry.coded or (entry.bytes + len(coded)) * ENTRY_SHARE_MAX > self.bytes_max:
            return
        entry.coded[coding] = coded
        entry.bytes += len(coded)
        self.bytes += len(coded)
        self._entries.move_to_end(key)
        self._make_room()

    def _of_page(self, key: MemoKey, page: bytes) -> _Entry | None:
        """The entry whose answer is this very page: the object, so that no bytes have to be compared."""
        entry = self._entries.get(key)
        return entry if entry is not None and getattr(entry.answer, "page", None) is page else None

    def _make_room(self) -> None:
        while self.bytes > self.bytes_max:
            _, oldest = self._entries.popitem(last=False)
            self.bytes -= oldest.bytes

    def clear(self) -> None:
        """Forget all pages; a new table makes their keys unreachable."""
        self._entries.clear()
        self.bytes = 0

    def status(self) -> dict[str, int]:
        """Counters and sizes, for metrics."""
        return {
            "hits": self.hits,
            "misses": self.misses,
            "pages": len(self._entries),
            "bytes": self.bytes,
            "bytes_max": self.bytes_max,
        }


def _size(body: bytes, answer: Rewritten | PassedThrough) -> int:
    size = len(body) + ENTRY_OVERHEAD_BYTES
    if isinstance(answer, Rewritten):
        size += len(answer.page) + sum(len(edit.replacement) for edit in answer.edits)
    return size

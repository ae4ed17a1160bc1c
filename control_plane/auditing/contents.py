"""What entries sealed of documents, compared with what is stored, without holding either in memory.

Versions and entries are counted into buckets by their names; where all is well each bucket's balance is nothing. Only what lies
in other buckets is then looked up one by one. Counterpart: `check.py` feeds it. Never: a verdict without a second look.
"""

from hashlib import sha256

from control_plane.store import Kind

BUCKETS = 4_096
SEARCHED_MAX = 64
"""Buckets that are looked through; a store that was changed all over has more, and is found out by these."""

Name = tuple[Kind, str, int]
"""Kind, id and version."""


class Balance:
    """Two multisets of hashes, one added and one taken off; equal ones leave nothing."""

    def __init__(self) -> None:
        self._sums = [0] * BUCKETS

    def add(self, name: Name, value: bytes = b"") -> None:
        """One on this side."""
        at, number = _hashed(name, value)
        self._sums[at] += number

    def take(self, name: Name, value: bytes = b"") -> None:
        """One on the other side."""
        at, number = _hashed(name, value)
        self._sums[at] -= number

    def differing(self) -> frozenset[int]:
        """The buckets that are to be searched."""
        return frozenset([at for at, balance in enumerate(self._sums) if balance][:SEARCHED_MAX])


def bucket_of(name: Name) -> int:
    """Where a version is counted."""
    return int.from_bytes(_named(name)[:2], "big") % BUCKETS


def mark_of(name: Name) -> int:
    """A number of 64 bits for a version, to remember many."""
    return int.from_bytes(_named(name)[:8], "big")


def _named(name: Name) -> bytes:
    kind, document_id, version = name
    return sha256(f"{kind}\0{document_id}\0{version}".encode()).digest()


def _hashed(name: Name, value: bytes) -> tuple[int, int]:
    named = _named(name)
    return int.from_bytes(named[:2], "big") % BUCKETS, int.from_bytes(sha256(named + value).digest()[:16], "big")

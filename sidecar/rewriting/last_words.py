"""What a worker that rewrites pages itself is at, left where its death can't take it.

A worker that a page kills or hangs can't say so afterwards. So before each page it writes down which one, under which decision
and table, with which mutations, and while it works whose turn it is; afterwards that nothing is under way. The place is shared
memory that the supervisor made and handed over by descriptor: no system call, about 6 µs a page. Pages that are known already
are not rewritten, and cost nothing.
Counterparts: `rewriting.py` writes in the worker, `sidecar.processes.knowledge` reads in the supervisor what a dead worker left.
Never: a query, or a word that is believed without its checksum: who dies badly may have written anywhere.
"""

import mmap
import os
import tempfile
from collections.abc import Sequence
from zlib import crc32

import msgspec
from msgspec import Struct

from rules.watch import EVERYBODYS
from sidecar.rewriting.quarantine import DecisionKey, Digest, MutationId, Path

PLACE_BYTES = 8 * 1024
MUTATIONS_MAX = 100
"""With more mutations on one page the others are not named, and blamed for nothing."""

_IDLE, _BUSY = 0, 1
_NOBODYS, _EVERYBODYS = 255, 254
"""Turns that no place in the list of mutations has."""
_HEAD_BYTES = 8
"""State, whose turn, length (2 bytes), checksum (4 bytes)."""


class UnderWay(Struct, frozen=True, array_like=True):
    """The page that was being rewritten; `mutations` are (id, version), in the order in which they are carried out."""

    page: Digest
    """Digest of its address."""
    queries: Digest
    """Digest of its path with all queries; the same as `page` if it has none."""
    path: Path
    decision: DecisionKey
    table: int
    mutations: tuple[tuple[MutationId, int], ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(UnderWay).decode


class LastWords:
    """One worker's place. The worker writes; whoever holds the descriptor reads."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._place = mmap.mmap(descriptor, PLACE_BYTES)
        self._turns: dict[str, int] = {}

    @classmethod
    def new(cls) -> "LastWords":
        """A place in memory that has no name; raises OSError."""
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("last-words")
        else:  # macOS: a file without a name
            descriptor, name = tempfile.mkstemp()
            os.unlink(name)  # noqa: PTH108 - `Path` is a page's here
        os.ftruncate(descriptor, PLACE_BYTES)
        return cls(descriptor)

    def begin(self, under_way: UnderWay) -> None:
        """A page is rewritten from now on."""
        place, message = self._place, _encode(under_way)
        if len(message) > PLACE_BYTES - _HEAD_BYTES:
            under_way = msgspec.structs.replace(under_way, mutations=())
            message = _encode(under_way)
        place[0], place[1] = _IDLE, _NOBODYS
        place[2:4] = len(message).to_bytes(2, "big")
        place[4:8] = crc32(message).to_bytes(4, "big")
        place[_HEAD_BYTES : _HEAD_BYTES + len(message)] = message
        self._turns = {name: turn for turn, (name, _) in enumerate(under_way.mutations)}
        self._turns[EVERYBODYS] = _EVERYBODYS
        place[0] = _BUSY

    def turn(self, whose: str) -> None:
        """The work of one mutation begins, of all, or of none: as `rules.html.apply_groups` says it."""
        self._place[1] = self._turns.get(whose, _NOBODYS)

    def end(self) -> None:
        """Nothing is under way."""
        self._place[0] = _IDLE

    def heard(self) -> tuple[UnderWay, tuple[tuple[str, int], ...]] | None:
        """What was under way, and the mutations whose turn it was; None for nothing that can be believed."""
        place = self._place
        if place[0] != _BUSY:
            return None
        message = place[_HEAD_BYTES : _HEAD_BYTES + int.from_bytes(place[2:4], "big")]
        if crc32(message) != int.from_bytes(place[4:8], "big"):
            return None
        try:
            under_way = _decode(message)
        except msgspec.MsgspecError:
            return None
        turn = place[1]
        if turn == _EVERYBODYS:
            return under_way, under_way.mutations
        return under_way, under_way.mutations[turn : turn + 1]

    def close(self) -> None:
        """Give the memory back."""
        self._place.close()
        os.close(self.descriptor)


def named(mutations: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """As many of a page's mutations as are named."""
    return tuple(mutations[:MUTATIONS_MAX])

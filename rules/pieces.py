"""A rules file in MessagePack, in pieces: each mutation is found by its place, without a look at the others.

MessagePack says how long a text is, and not how long a map is: who wants the last of 10,000 mutations walks over all of them,
in one go. So whoever writes a file also says how long each mutation is.

A file has a digest of each *stretch* of mutations, so that what is in two files need not be digested twice, nor read.
Counterparts: `rules.sealing` signs the digests, `rules.written` reads the mutations. Never: a mutation decoded for its length.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Any

import msgspec

from rules import limits
from rules.model import LayoutMutation, RulesFile

Pause = Callable[[], None]
"""Called between the pieces of a long task, for whoever wants to let others have their turn."""

STRETCH = 100
"""Mutations of a stretch; the last has those that are left. A part of how tables are signed: another number is another format."""

_NAME = msgspec.msgpack.encode("mutations")
_EMPTY = msgspec.msgpack.encode([])
_FILE = msgspec.msgpack.Decoder(RulesFile)
_MUTATION: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(LayoutMutation)


def mutation_of(written: bytes) -> LayoutMutation:
    """A mutation from its bytes; raises msgspec.MsgspecError and ValueError."""
    mutation: LayoutMutation = _MUTATION.decode(written)
    return mutation


class Pieces(Sequence[bytes]):
    """The mutations of a rules file as bytes, in its order, and the rest of it."""

    def __init__(self, others: bytes, mutations: memoryview, lengths: Sequence[int]) -> None:
        """`others` is the file with no mutations; `lengths` add up to that of `mutations`."""
        self.others = others
        """The file without its mutations."""
        self._mutations = mutations
        self._lengths = lengths
        self._starts = [0, *accumulate(lengths)]
        self._rest: RulesFile | None = None
        self._digests: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, place: Any) -> Any:
        """The bytes of the mutation at a place from 0."""
        return bytes(self._mutations[self._starts[place] : self._starts[place + 1]])

    def stretch(self, number: int) -> range:
        """The places of a stretch; none beyond the last."""
        return range(number * STRETCH, min((number + 1) * STRETCH, len(self)))

    def bytes_of(self, places: range) -> bytes:
        """The mutations of a stretch."""
        return bytes(self._mutations[self._starts[places.start] : self._starts[places.stop]]) if places else b""

    def lengths_of(self, places: range) -> Sequence[int]:
        """In bytes, of the mutations of a stretch."""
        return self._lengths[places.start : places.stop]

    def digests(self, pause: Pause = lambda: None, before: "Pieces | None" = None) -> tuple[bytes, ...]:
        """SHA-256 of `others`, then of each stretch. Found once; what is the same bytes in `before` is known from there."""
        if not self._digests:
            known = () if before is None else before.digests()
            self._digests = tuple(self._digested(pause, before, known))
        return self._digests

    def _digested(self, pause: Pause, before: "Pieces | None", known: Sequence[bytes]) -> Iterator[bytes]:
        yield sha256(self.others).digest()
        number = 0
        while places := self.stretch(number):
            pause()
            content, number = self.bytes_of(places), number + 1
            is_known = before is not None and before.bytes_of(before.stretch(number - 1)) == content
            yield known[number] if is_known else sha256(content).digest()

    def rest(self) -> RulesFile:
        """What mutations may refer to, and what switches them off. Raises msgspec.MsgspecError and ValueError."""
        if self._rest is None:
            self._rest = msgspec.structs.replace(_FILE.decode(self.others), mutations=[])
        return self._rest

    def whole(self) -> RulesFile:
        """The rules file, decoded anew; one mutation after another, so that other threads get their turn. Raises as `rest`."""
        return msgspec.structs.replace(self.rest(), mutations=[mutation_of(one) for one in self])


def written(rules: RulesFile) -> tuple[bytes, list[int]]:
    """A rules file, and the lengths in bytes: of what goes before the first mutation, then of each mutation."""
    mutations = [msgspec.msgpack.encode(mutation) for mutation in rules.mutations]
    before, name, after = msgspec.msgpack.encode(msgspec.structs.replace(rules, mutations=[])).partition(_NAME)
    head = before + name + _header(len(mutations))
    return b"".join([head, *mutations, after.removeprefix(_EMPTY)]), [len(head), *map(len, mutations)]


def taken_apart(rules: memoryview, lengths: Sequence[int]) -> Pieces:
    """What `written` gave; ValueError where these are not the lengths.

    Nothing is decoded: the bytes are a rules file where `rest` is one and each mutation decodes by itself.
    """
    if not 0 < len(lengths) <= limits.ENTRIES_MAX + 1 or min(lengths) < 1:
        raise ValueError(f"a file has a length before its mutations, and at most {limits.ENTRIES_MAX:,} of them")
    start, end, header = lengths[0], sum(lengths), _header(len(lengths) - 1)
    head = bytes(rules[:start])
    if end > len(rules) or not head.endswith(_NAME + header):
        raise ValueError("the lengths are not those of the mutations")
    others = b"".join((head.removesuffix(header), _EMPTY, rules[end:]))
    return Pieces(others, rules[start:end], lengths[1:])


def of(rules: RulesFile) -> Pieces:
    """A rules file in pieces."""
    encoded, lengths = written(rules)
    return taken_apart(memoryview(encoded), lengths)


def digest_of(rules: Pieces) -> str:
    """SHA-256 of the digests one after the other, 64 hexadecimal digits: equal for equal files."""
    return sha256(b"".join(rules.digests())).hexdigest()


def _header(count: int) -> bytes:
    """What a list of so many begins with."""
    whole = msgspec.msgpack.encode([0] * count)
    return whole[: len(whole) - count]

"""A rules file in MessagePack, in pieces: each mutation is found by its place, without a look at the others.

MessagePack says how long a text is, and not how long a map is: who wants the last of 10,000 mutations walks over all of them,
in one go. So whoever writes a file also says how long each mutation is.
Counterparts: `rules.table` has both in its body, `rules.written` reads the mutations. Never: a mutation decoded for its length.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from rules import limits
from rules.model import (
    SCHEMA_VERSION,
    DeclaredAttribute,
    Experiment,
    LayoutMutation,
    Module,
    RulesFile,
    SavedGroup,
    SchemaVersion,
    Segment,
    Toggle,
)

_NAME = msgspec.msgpack.encode("mutations")
_EMPTY = msgspec.msgpack.encode([])
_MUTATION: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(LayoutMutation)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A rules file whose mutations are still bytes."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    mutations: Annotated[list[Raw], Meta(max_length=limits.ENTRIES_MAX)] = []
    experiments: Annotated[list[Experiment], Meta(max_length=limits.ENTRIES_MAX)] = []
    modules: Annotated[list[Module], Meta(max_length=limits.ENTRIES_MAX)] = []
    segments: Annotated[list[Segment], Meta(max_length=limits.ENTRIES_MAX)] = []
    attributes: Annotated[list[DeclaredAttribute], Meta(max_length=limits.ATTRIBUTES_DECLARED_MAX)] = []
    saved_groups: Annotated[list[SavedGroup], Meta(max_length=limits.ENTRIES_MAX)] = []
    toggles: Annotated[list[Toggle], Meta(max_length=limits.ENTRIES_MAX)] = []

    def others(self) -> RulesFile:
        """All but the mutations."""
        fields = {name: getattr(self, name) for name in RulesFile.__struct_fields__ if name != "mutations"}
        return RulesFile(**fields)


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

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, place: Any) -> Any:
        """The bytes of the mutation at a place from 0."""
        return bytes(self._mutations[self._starts[place] : self._starts[place + 1]])

    def stretch(self, first: int, end: int) -> tuple[Sequence[int], bytes]:
        """The mutations from one place to before another: equal for equal ones."""
        end = min(end, len(self._lengths))
        return self._lengths[first:end], bytes(self._mutations[self._starts[first] : self._starts[end]])

    def rest(self) -> RulesFile:
        """What mutations may refer to, and what switches them off. Raises msgspec.MsgspecError and ValueError."""
        if self._rest is None:
            self._rest = msgspec.msgpack.decode(self.others, type=_File).others()
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


def walked(rules: Raw) -> Pieces:
    """The same of a file whose lengths nobody has written down. Raises msgspec.MsgspecError."""
    file = msgspec.msgpack.decode(rules, type=_File)
    mutations = [bytes(one) for one in file.mutations]
    others = msgspec.msgpack.encode(file.others())
    return Pieces(others, memoryview(b"".join(mutations)), [*map(len, mutations)])


def _header(count: int) -> bytes:
    """What a list of so many begins with."""
    whole = msgspec.msgpack.encode([0] * count)
    return whole[: len(whole) - count]

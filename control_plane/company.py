"""The documents of an installation as one rules file: all of them, those that visitors need, or one among the others.

Counterpart: `codec` reads each document, `rules.compiler` checks the file; whoever saves a document has it checked in this
company. Never: a document that is deleted.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from control_plane import codec
from control_plane.codec import AnyDocument
from control_plane.store import Kind, Reader, Stored
from rules.errors import RulesError
from rules.model import Experiment, LayoutMutation, Module, RulesFile, SavedGroup, Segment

T = TypeVar("T", bound=AnyDocument)

MEMBERS: dict[Kind, str] = {
    Kind.MUTATION: "mutations",
    Kind.EXPERIMENT: "experiments",
    Kind.MODULE: "modules",
    Kind.SEGMENT: "segments",
    Kind.ATTRIBUTE: "attributes",
    Kind.SAVED_GROUP: "saved_groups",
    Kind.TOGGLE: "toggles",
}
"""Kind -> the field of a rules file that has its documents."""
PATHS: dict[Kind, str] = {
    kind: dict(zip(RulesFile.__struct_fields__, RulesFile.__struct_encode_fields__, strict=True))[name]
    for kind, name in MEMBERS.items()
}
"""Kind -> what JSON calls that field, as in the path of an offence."""


async def everything(reader: Reader, *, but: Kind | None = None) -> RulesFile:
    """All documents, by id, except those of one kind; raises StoreError."""
    return await _read(reader, (kind for kind in Kind if kind is not but))


async def company(reader: Reader, *documents: AnyDocument) -> RulesFile:
    """All that these documents may refer to: everything but the mutations. Raises StoreError.

    A saved group that neither they nor the others name is there by its id alone: its members may be many.
    """
    return await _company(reader, lambda: _groups_of(documents))


async def _company(reader: Reader, named_too: Callable[[], set[str]]) -> RulesFile:
    found = await _read(reader, (kind for kind in Kind if kind not in (Kind.MUTATION, Kind.SAVED_GROUP)))
    groups = list[SavedGroup]()
    if ids := await reader.ids(Kind.SAVED_GROUP):
        named = _groups_of((*found.experiments, *found.segments, *found.attributes))
        named |= await asyncio.to_thread(named_too)
        for group_id in ids:
            stored = await reader.find(Kind.SAVED_GROUP, group_id) if group_id in named else None
            by_id_alone = SavedGroup(id=group_id, members=[])
            groups.append(by_id_alone if stored is None else codec.decode(Kind.SAVED_GROUP, stored.content))
    return msgspec.structs.replace(found, saved_groups=groups)


class Known:
    """Mutations as they were read last, so that those that did not change are not taken apart anew.

    An entry counts only for the very bytes that it came from: whatever became of the database, nothing else is served.
    """

    def __init__(self, mutations: Iterable[LayoutMutation] = ()) -> None:
        self._entries = {one.id: _Entry(b"", one) for one in mutations}

    def decoded(self, stored: Sequence[Stored]) -> list[LayoutMutation]:
        """The stored mutations in their order; forgets all others."""
        entries = {}
        for one in stored:
            entry = self._entries.get(one.id)
            if entry is None or entry.content != one.content:
                entry = _Entry(one.content, codec.decode(Kind.MUTATION, one.content))
            entries[one.id] = entry
        self._entries = entries
        return [entry.mutation for entry in entries.values()]

    def words(self) -> set[str]:
        """`codec.words_of` all of them."""
        return set().union(*(entry.words for entry in self._entries.values()))

    def groups(self) -> set[str]:
        """`codec.groups_of` all of them."""
        return set().union(*(entry.groups for entry in self._entries.values()))


class _Entry:
    """One mutation, and what is found out about it when that is asked for."""

    def __init__(self, content: bytes, mutation: LayoutMutation) -> None:
        self.content = content
        self.mutation = mutation

    @cached_property
    def words(self) -> set[str]:
        return codec.words_of(self.mutation)

    @cached_property
    def groups(self) -> set[str]:
        return codec.groups_of(self.mutation)


async def active(reader: Reader, known: Known | None = None) -> RulesFile:
    """What visitors need: `needed` of the mutations that are switched on; raises StoreError.

    `known` is that of the last call, so that only what changed since is taken apart.
    """
    known = known or Known()
    mutations = await asyncio.to_thread(known.decoded, await reader.served())
    others = await _company(reader, known.groups)
    return await asyncio.to_thread(needed, msgspec.structs.replace(others, mutations=mutations), known)


def needed(rules: RulesFile, known: Known | None = None) -> RulesFile:
    """The mutations with what they refer to, directly or through each other; the rest would only make tables larger.

    All attributes are among it, since visits remember them before rules read them, and all toggles that are on.
    `known`: the mutations, where they are.
    """
    known = known or Known(rules.mutations)
    candidates: list[Experiment | Module | Segment] = [*rules.experiments, *rules.modules, *rules.segments]
    found: set[int] = set()
    words = known.words() if candidates else set()
    while fresh := [one for one in candidates if one.id in words and id(one) not in found]:
        for one in fresh:
            found.add(id(one))
            words |= codec.words_of(one)
    rules = msgspec.structs.replace(
        rules,
        experiments=[one for one in rules.experiments if id(one) in found],
        modules=[one for one in rules.modules if id(one) in found],
        segments=[one for one in rules.segments if id(one) in found],
        toggles=[one for one in rules.toggles if one.is_active],
    )
    if not rules.saved_groups:
        return rules
    groups = known.groups() | _groups_of((*rules.experiments, *rules.segments, *rules.attributes))
    return msgspec.structs.replace(rules, saved_groups=[one for one in rules.saved_groups if one.id in groups])


def beside(given: RulesFile, stored: RulesFile) -> RulesFile:
    """What is given, and what is stored under other ids; what is given comes first, so that its places stay."""
    found: dict[str, Any] = {name: _beside(getattr(given, name), getattr(stored, name)) for name in MEMBERS.values()}
    return RulesFile(**found)


def among(kind: Kind, document: AnyDocument, stored: RulesFile) -> RulesFile:
    """A document, first of its kind, and the others that are stored."""
    alone: dict[str, Any] = {MEMBERS[kind]: [document]}
    return beside(RulesFile(**alone), stored)


def from_document(error: RulesError, kind: Kind, rules: RulesFile) -> RulesError:
    """An error of `among` with its path from the document; one in another document says which."""
    whole = f"$.{PATHS[kind]}"
    if error.path == whole:
        return RulesError(error.problem, "$")
    if error.path.startswith(f"{whole}[0]"):
        return RulesError(error.problem, error.path.replace(f"{whole}[0]", "$", 1))
    return _elsewhere(error, rules)


def from_mutation(error: RulesError, rules: RulesFile) -> RulesError:
    """An error of a mutation that was checked among `rules`; one in another document says which."""
    member = error.path.removeprefix("$.").partition("[")[0]
    return _elsewhere(error, rules) if member in PATHS.values() else error


def culprit(rules: RulesFile, path: str) -> str:
    """Which document a path such as `$.mutations[3].conditions` is about."""
    name, _, rest = path.removeprefix("$.").partition("[")
    index = rest.partition("]")[0]
    kind = next((kind for kind, path_name in PATHS.items() if path_name == name), None)
    documents = [] if kind is None else getattr(rules, MEMBERS[kind])
    if kind is None or not index.isdecimal() or int(index) >= len(documents):
        return "the active set"
    return f"the {kind.noun} {documents[int(index)].id}"


def _elsewhere(error: RulesError, rules: RulesFile) -> RulesError:
    return RulesError(f"{culprit(rules, error.path)}: {error.problem}", "$")


def _groups_of(documents: Iterable[AnyDocument]) -> set[str]:
    return set().union(*map(codec.groups_of, documents))


async def _read(reader: Reader, kinds: Iterable[Kind]) -> RulesFile:
    found: dict[str, Any] = {}
    for kind in kinds:
        found[MEMBERS[kind]] = codec.decode_all(kind, await reader.everything(kind))
    return RulesFile(**found)


def _beside(given: list[T], stored: list[T]) -> list[T]:
    ids = {one.id for one in given}
    return [*given, *(one for one in stored if one.id not in ids)]

"""The documents of an installation as one rules file: all of them, those that visitors need, or one among the others.

Counterpart: `codec` reads each document, `rules.compiler` checks the file; whoever saves a document has it checked in this
company. Never: a document that is deleted.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from control_plane import codec
from control_plane.codec import AnyDocument
from control_plane.store import Kind, Reader
from rules.errors import RulesError
from rules.model import Experiment, Module, RulesFile, SavedGroup, Segment

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


async def everything(reader: Reader) -> RulesFile:
    """All documents, by id; raises StoreError."""
    return await _read(reader, Kind)


async def company(reader: Reader, *documents: AnyDocument) -> RulesFile:
    """All that these documents may refer to: everything but the mutations. Raises StoreError.

    A saved group that neither they nor the others name is there by its id alone: its members may be many.
    """
    found = await _read(reader, (kind for kind in Kind if kind not in (Kind.MUTATION, Kind.SAVED_GROUP)))
    named = _groups_of((*documents, *found.experiments, *found.segments, *found.attributes))
    groups = []
    for group_id in await reader.ids(Kind.SAVED_GROUP):
        stored = await reader.find(Kind.SAVED_GROUP, group_id) if group_id in named else None
        by_id_alone = SavedGroup(id=group_id, members=[])
        groups.append(by_id_alone if stored is None else codec.decode(Kind.SAVED_GROUP, stored.content))
    return msgspec.structs.replace(found, saved_groups=groups)


async def active(reader: Reader) -> RulesFile:
    """What visitors need: `needed` of the mutations that are switched on; raises StoreError."""
    mutations = codec.decode_all(Kind.MUTATION, await reader.served())
    return needed(msgspec.structs.replace(await company(reader, *mutations), mutations=mutations))


def needed(rules: RulesFile) -> RulesFile:
    """The mutations with what they refer to, directly or through each other; the rest would only make tables larger.

    All attributes are among it, since visits remember them before rules read them, and all toggles that are on.
    """
    words: set[str] = set().union(*map(codec.words_of, rules.mutations))
    candidates: list[Experiment | Module | Segment] = [*rules.experiments, *rules.modules, *rules.segments]
    found: set[int] = set()
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
    groups = _groups_of((*rules.mutations, *rules.experiments, *rules.segments, *rules.attributes))
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

"""The migration checker: source and target side by side, and what is wrong with what the target holds.

Counterparts: `flaws.py` looks at documents, `conflicts.py` at both stores, `mending.py` saves what is certain. Never: a change.
"""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from control_plane import codec
from control_plane.company import MEMBERS, PATHS
from control_plane.moving.census import Census, census_of
from control_plane.moving.conflicts import conflicts
from control_plane.moving.flaws import Company, Examined, Flaw, FlawSort, examined
from control_plane.moving.module_links import found
from control_plane.moving.moves import Compared, Side, side_by_side, side_of
from control_plane.moving.places import Place
from control_plane.moving.standing import Standing, standing
from control_plane.store import Kind, Reader, Store, Stored, StoreError
from rules.errors import RulesError
from rules.model import LayoutMutation, Module, RulesFile, Status
from rules.rows import company_of, compile_row

FLAWS_TOLD_MAX = 500


class Report(Struct, frozen=True, rename="camel"):
    """What was found."""

    fine: bool
    """Nothing is wrong with the target, and nothing of the source is missing there."""
    target: Side
    source: Side | None
    """None where no other store is known."""
    standing: Standing | None
    """How the target stands to the source."""
    source_problem: str
    """Why the source could not be looked at; empty if it could, or there is none."""
    entities: Sequence[Compared]
    """Counts and checksums; both sides are the target's where there is no source."""
    flaws: Sequence[Flaw]
    """At most FLAWS_TOLD_MAX, the mechanical ones first."""
    more: int
    """How many flaws are not told."""


class Looked(Struct, frozen=True):
    """A target's documents, looked at."""

    flaws: tuple[Flaw, ...]
    mended: tuple[tuple[Kind, Stored, bytes], ...]
    """What may be saved in place of what is there."""


async def check(target: Store, to: Place, source: Store | None = None, from_: Place | None = None) -> Report:
    """Look at both, or at the target alone; raises StoreError where the target is away."""
    own = await census_of(target.records())
    side = side_of(to, await target.position())
    if source is None or from_ is None:
        return _report(side, own, (await looked(target, await modules_of(target))).flaws)
    try:
        how, other = await standing(source, target), await census_of(source.records())
        apart = [] if other == own else await conflicts(source, target)
        there, known = side_of(from_, await source.position()), await modules_of(source)
    except StoreError as error:
        report = _report(side, own, (await looked(target, {})).flaws)
        return msgspec.structs.replace(report, source_problem=str(error))
    flaws = (await looked(target, known)).flaws
    report = _report(side, own, [*apart, *flaws])
    return msgspec.structs.replace(report, source=there, standing=how, entities=side_by_side(other, own))


async def looked(target: Reader, known: dict[str, Module]) -> Looked:
    """Every document of the target, by itself and among the others. `known`: modules of the source; raises StoreError."""
    stored = {kind: await target.everything(kind) for kind in Kind}
    present = {one.id: module for one in stored[Kind.MODULE] if (module := _module(one.content)) is not None}
    gone = {name: module for name, module in known.items() if name not in present}
    for name in await asyncio.to_thread(_named, stored):
        if name not in present and name not in gone and (was := await _removed(target, name)) is not None:
            gone[name] = was
    return await asyncio.to_thread(_look, stored, Company(present, gone))


def _look(stored: dict[Kind, list[Stored]], company: Company) -> Looked:
    flaws, mended, readable = list[Flaw](), list[tuple[Kind, Stored, bytes]](), dict[str, list[object]]()
    for kind, documents in stored.items():
        for one in documents:
            found_ = examined(kind, one, company)
            flaws += found_.flaws
            if found_.mended is not None:
                mended.append((kind, one, found_.mended))
            _keep(readable, kind, found_)
    rules = RulesFile(**readable)  # type: ignore[arg-type]
    known = {(flaw.kind, flaw.id) for flaw in flaws if not flaw.mechanical}
    return Looked((*flaws, *(flaw for flaw in _uncompiled(rules) if (flaw.kind, flaw.id) not in known)), tuple(mended))


def _keep(readable: dict[str, list[object]], kind: Kind, one: Examined) -> None:
    kept = readable.setdefault(MEMBERS[kind], [])
    if one.document is not None:
        kept.append(one.document)


def _uncompiled(rules: RulesFile) -> Iterable[Flaw]:
    """What does not compile among the others, as it is when the mechanical flaws are mended."""
    try:
        company = company_of(rules)
    except RulesError as error:
        kind, document_id, path = _culprit(rules, error.path)
        return [_unusable(kind, document_id, path, error.problem)]
    return [flaw for one in rules.mutations if (flaw := _does_not_compile(one, company)) is not None]


def _does_not_compile(mutation: LayoutMutation, company: object) -> Flaw | None:
    if mutation.status is Status.ARCHIVED:
        return None
    try:
        compile_row(mutation, company, "$")  # type: ignore[arg-type]
    except RulesError as error:
        return _unusable(Kind.MUTATION, mutation.id, error.path, error.problem)
    return None


def _unusable(kind: Kind, document_id: str, path: str, problem: str) -> Flaw:
    advice = f"change the {kind.noun}, or what it names, so that it can be published"
    return Flaw(sort=FlawSort.UNUSABLE, kind=kind, id=document_id, path=path, problem=problem, advice=advice)


def _culprit(rules: RulesFile, path: str) -> tuple[Kind, str, str]:
    """Kind and id of the document that a path such as `$.modules[3].selector` is about, and the path in it."""
    name, _, rest = path.removeprefix("$.").partition("[")
    index, _, inside = rest.partition("]")
    kind = next((kind for kind, member in PATHS.items() if member == name), Kind.MUTATION)
    documents = getattr(rules, MEMBERS[kind])
    known = index.isdecimal() and int(index) < len(documents)
    return kind, documents[int(index)].id if known else "", f"${inside}"


def _named(stored: dict[Kind, list[Stored]]) -> set[str]:
    """Ids of all modules that documents name."""
    names = set[str]()
    for documents in stored.values():
        for one in documents:
            try:
                names.update(name for _, name in found(msgspec.json.decode(one.content, type=dict)))
            except msgspec.MsgspecError:
                continue
    return names


async def _removed(reader: Reader, module_id: str) -> Module | None:
    stored = await reader.find(Kind.MODULE, module_id)
    return None if stored is None else _module(stored.content)


async def modules_of(reader: Reader) -> dict[str, Module]:
    """The modules of a store by id, as far as they can be read; raises StoreError."""
    read = ((one.id, _module(one.content)) for one in await reader.everything(Kind.MODULE))
    return {name: module for name, module in read if module is not None}


def _module(content: bytes) -> Module | None:
    try:
        module: Module = codec.decode(Kind.MODULE, content)
    except StoreError:
        return None
    return module


def _report(target: Side, own: Census, flaws: Sequence[Flaw]) -> Report:
    told = sorted(flaws, key=lambda flaw: (not flaw.mechanical, flaw.sort, flaw.kind, flaw.id))
    return Report(
        fine=not flaws,
        target=target,
        source=None,
        standing=None,
        source_problem="",
        entities=side_by_side(own, own),
        flaws=told[:FLAWS_TOLD_MAX],
        more=max(0, len(told) - FLAWS_TOLD_MAX),
    )

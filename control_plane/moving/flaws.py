"""What is wrong with documents after a move or a repair by hand: one at a time, in the company of the others.

Each comes with the document as it should be, where that is certain. Counterparts: `checker.py` collects, `mending.py` saves what is
certain. Never: a guess about what an author meant.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from control_plane import codec
from control_plane.moving import module_links
from control_plane.store import Kind, Stored, StoreError
from rules.errors import RulesError
from rules.fingerprint import is_same_module
from rules.html.checks import check_selector
from rules.model import Module


class FlawSort(StrEnum):
    """What may be wrong."""

    UNREADABLE = "unreadable"
    """This program can't read the document."""
    OTHER_ID = "other_id"
    """The document calls itself otherwise than the store does."""
    OTHER_VERSION = "other_version"
    """It says another version than the store does."""
    OLD_FORM = "old_form"
    """Something is left out that has a default by now."""
    DANGLING_MODULE = "dangling_module"
    """It names a module that was removed."""
    UNUSABLE_SELECTOR = "unusable_selector"
    """No page can be asked for it."""
    UNUSABLE = "unusable"
    """It does not compile among the others."""
    ID_CONFLICT = "id_conflict"
    """One id and version means two different things in source and target."""
    MAPPING_CONFLICT = "mapping_conflict"
    """One thing has two ids in source and target."""
    MISSING = "missing"
    """The source has it, the target has not."""


class Flaw(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is wrong."""

    sort: FlawSort
    kind: Kind
    id: str
    problem: str
    advice: str
    """What a person does about it; what the program would do where it is mechanical."""
    mechanical: bool = False
    """What is right is certain, so that the program may save it."""
    path: str = "$"
    """JSON path in the document."""


class Company(Struct, frozen=True):
    """The modules that there are, and those that were."""

    present: Mapping[str, Module]
    gone: Mapping[str, Module]
    """Removed here, or known to the source only."""


class Examined(Struct, frozen=True):
    """What came of a look at one document."""

    flaws: tuple[Flaw, ...]
    document: Any
    """As this program reads it; None where it can't."""
    mended: bytes | None = None
    """As it should be, where that is something else and certain."""


def examined(kind: Kind, stored: Stored, company: Company) -> Examined:
    """Everything that is wrong with one document by itself or with the modules that it names."""
    try:
        document = codec.decode(kind, stored.content)
    except StoreError as error:
        return _unreadable(kind, stored, str(error))
    raw = msgspec.json.decode(stored.content, type=dict[str, Any])
    flaws = [*_form(kind, stored, raw, document), *_selectors(kind, stored.id, raw)]
    raw["id"] = stored.id
    if "version" in document.__struct_fields__:
        raw["version"] = stored.version
    links = dict[str, str]()
    for path, module_id in module_links.found(raw):
        flaw, link = _link(kind, stored.id, path, module_id, company)
        if flaw is not None:
            flaws.append(flaw)
        if link is not None:
            links[module_id] = link
    if not any(flaw.mechanical for flaw in flaws):
        return Examined(tuple(flaws), document)
    mended = msgspec.convert(module_links.replaced(raw, links), codec.TYPES[kind])
    return Examined(tuple(flaws), mended, codec.encode(mended))


def _unreadable(kind: Kind, stored: Stored, problem: str) -> Examined:
    flaw = Flaw(
        sort=FlawSort.UNREADABLE,
        kind=kind,
        id=stored.id,
        problem=problem,
        advice=f"save the {kind.noun} anew, or roll it back to an earlier version",
    )
    return Examined((flaw,), None)


def _form(kind: Kind, stored: Stored, raw: dict[str, Any], document: Any) -> Iterator[Flaw]:
    if raw.get("id") != stored.id:
        yield Flaw(
            sort=FlawSort.OTHER_ID,
            kind=kind,
            id=stored.id,
            path="$.id",
            problem=f"it calls itself {raw.get('id')!r}",
            advice="its id becomes that of the store",
            mechanical=True,
        )
    if "version" in document.__struct_fields__ and raw.get("version") != stored.version:
        yield Flaw(
            sort=FlawSort.OTHER_VERSION,
            kind=kind,
            id=stored.id,
            path="$.version",
            problem=f"it says version {raw.get('version')!r}, and is {stored.version}",
            advice="it is saved with the version that follows",
            mechanical=True,
        )
    left_out = sorted(msgspec.json.decode(codec.encode(document)).keys() - raw.keys() - {"id", "version"})
    if left_out:
        yield Flaw(
            sort=FlawSort.OLD_FORM,
            kind=kind,
            id=stored.id,
            path=f"$.{left_out[0]}",
            problem=f"an earlier version of the program wrote it, without {', '.join(left_out)}",
            advice="the defaults are written down, so that later ones change nothing",
            mechanical=True,
        )


def _selectors(kind: Kind, document_id: str, raw: dict[str, Any]) -> Iterator[Flaw]:
    for path, selector in _found(raw, "selector", "$"):
        try:
            if selector:
                check_selector(selector, path)
        except RulesError as error:
            yield Flaw(
                sort=FlawSort.UNUSABLE_SELECTOR,
                kind=kind,
                id=document_id,
                path=path,
                problem=error.problem,
                advice="write another selector, or name a module",
            )


def _link(kind: Kind, document_id: str, path: str, module_id: str, company: Company) -> tuple[Flaw | None, str | None]:
    """What is wrong with a link to a module, and the module that it should lead to. One that never was is found by its name."""
    gone = company.gone.get(module_id)
    if module_id in company.present or gone is None:
        return None, None
    alike = [one.id for one in company.present.values() if is_same_module(gone, one)]
    certain = len(alike) == 1
    told = f"the module {module_id} was removed"
    if certain:
        advice = f"it is linked to {alike[0]}, which is the same module by its fingerprint"
    elif alike:
        advice = f"name one of {', '.join(sorted(alike))}, which are the same by their fingerprint"
    else:
        advice = f"register the module {module_id} again, or name another one"
    flaw = Flaw(
        sort=FlawSort.DANGLING_MODULE,
        kind=kind,
        id=document_id,
        path=path,
        problem=told,
        advice=advice,
        mechanical=certain,
    )
    return flaw, alike[0] if certain else None


def _found(value: object, name: str, path: str) -> Iterator[tuple[str, str]]:
    """Every text that is called so, with its path."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key == name and isinstance(member, str):
                yield f"{path}.{key}", member
            elif key not in module_links.FREE_JSON:
                yield from _found(member, name, f"{path}.{key}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _found(member, name, f"{path}[{index}]")

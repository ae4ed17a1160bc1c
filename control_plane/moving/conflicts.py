"""What source and target say differently: one id for two things, two ids for one thing, and what never arrived.

Counterpart: `checker.py` asks only where the counts differ. Never: a judgement about which of the two is right.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from control_plane.moving.flaws import Flaw, FlawSort
from control_plane.store import DocumentRecord, Kind, Store
from rules.fingerprint import normal_selector
from rules.model import Module

OF_THE_SERVER = frozenset({"id", "version", "timestamp", "createdBy", "rollbackPointer"})
"""Members that say nothing of what a document means."""

_Key = tuple[Kind, str, int]


async def conflicts(source: Store, target: Store) -> list[Flaw]:
    """All of them, by kind and id; raises StoreError."""
    there, here = await _Documents.of(source), await _Documents.of(target)
    return [*_by_id(there, here), *_by_meaning(there, here)]


class _Documents:
    """The documents of a store: what each version is, and what each present one means."""

    def __init__(self) -> None:
        self.versions: dict[_Key, bytes] = {}
        self.meanings: dict[Kind, dict[bytes, str]] = {kind: {} for kind in Kind}
        self.ids: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        """Of the documents that are not deleted."""

    @classmethod
    async def of(cls, store: Store) -> "_Documents":
        documents = cls()
        async for record in store.records():
            if isinstance(record, DocumentRecord):
                documents._add(record)
        return documents

    def _add(self, record: DocumentRecord) -> None:
        content = record.version.content
        self.versions[record.kind, record.id, record.version.version] = sha256(content).digest()[:16]
        if record.change is not None and not record.deleted:
            self.ids[record.kind].add(record.id)
            self.meanings[record.kind][_meaning(record.kind, record.id, content)] = record.id


def _by_id(there: _Documents, here: _Documents) -> Iterator[Flaw]:
    conflicting: Mapping[tuple[Kind, str], int] = {
        (kind, document_id): version
        for (kind, document_id, version), digest in sorted(there.versions.items(), reverse=True)
        if here.versions.get((kind, document_id, version), digest) != digest
    }
    for (kind, document_id), version in sorted(conflicting.items()):
        yield Flaw(
            sort=FlawSort.ID_CONFLICT,
            kind=kind,
            id=document_id,
            problem=f"from version {version} on it is something else in the source than in the target",
            advice="look at both; save what is right as a new version, under another id if both are",
        )
    missing = {key[:2] for key in there.versions.keys() - here.versions.keys()} - conflicting.keys()
    for kind, document_id in sorted(missing):
        yield Flaw(
            sort=FlawSort.MISSING,
            kind=kind,
            id=document_id,
            problem="the source has versions of it that the target has not",
            advice="run `layout-mutation move` again; what is there already stays",
        )


def _by_meaning(there: _Documents, here: _Documents) -> Iterator[Flaw]:
    for kind in Kind:
        both = there.ids[kind] & here.ids[kind]
        for meaning, other in sorted(there.meanings[kind].items(), key=lambda pair: pair[1]):
            own = here.meanings[kind].get(meaning)
            if own is not None and own != other and own not in both and other not in both:
                yield Flaw(
                    sort=FlawSort.MAPPING_CONFLICT,
                    kind=kind,
                    id=own,
                    problem=f"the source calls the same {kind.noun} {other}",
                    advice=f"keep one of the two: what names {other} has to name {own}, or the other way round",
                )


def _meaning(kind: Kind, document_id: str, content: bytes) -> bytes:
    """A digest of what a document says, whatever it is called. Modules: where they are on a page, and their template."""
    try:
        if kind is Kind.MODULE:
            module = msgspec.json.decode(content, type=Module)
            told: Any = (normal_selector(module), module.template)
        else:
            members = msgspec.json.decode(content, type=dict[str, Any])
            told = {name: value for name, value in members.items() if name not in OF_THE_SERVER}
    except msgspec.MsgspecError:
        told = document_id
    return sha256(msgspec.json.encode((kind, told), order="deterministic")).digest()[:16]

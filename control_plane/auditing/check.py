"""The whole check: the chain, the anchors, and every version against the entry that sealed it.

Counterpart: `control_plane.app` checks the keys when the service starts; the API and the command `audit` ask for the rest;
`recent.py` looks at what is new alone.
It reads records, so that every kind of store is checked by the same code. Never: a change, or memory that grows with the store.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from control_plane.auditing.contents import Balance, Name, bucket_of, mark_of
from control_plane.auditing.following import Following
from control_plane.auditing.report import Anchor, AuditReport, Checkpoint, Faults, Known, What
from control_plane.store import AuditRecord, Chain, DocumentRecord, Kind, Position, Store, StoredAudit

END = 2**62
"""Beyond every number of a change, an entry or a table."""
HEADS_AT_A_TIME = 200
BREATH = 200
"""Records after which others get a turn."""
UNSEALED_MAX = 500_000
"""Versions without a sealed content that are remembered (by 64 bits each); beyond, contents from before the chain are not told apart."""

_KINDS = frozenset(kind.value for kind in Kind)


class AuditKeyError(Exception):
    """The audit's newest entry is sealed with a key that the settings do not name. The message says what to do."""


async def check_keys(store: Store, chain: Chain) -> None:
    """Raise AuditKeyError where the audit was sealed with a key that is not known here any more; StoreError."""
    newest = await store.audit_page(None, None, None, 1)
    if newest:
        check_key(newest[0].key_id, chain)


def check_key(key: str | None, chain: Chain) -> None:
    """Raise AuditKeyError where the newest entry of an audit is sealed with a key that is not known here."""
    if not chain.knows(key):
        raise AuditKeyError(
            f"the audit is sealed with the key {key}, which is not known here: the signing key was changed, or "
            "CONTROL_PLANE_AUDIT_KEYS was. Add the key to CONTROL_PLANE_AUDIT_KEYS, behind the new one; where it came from an "
            "earlier CONTROL_PLANE_SIGNING_KEY, `layout-mutation audit key` prints it while that variable has the earlier value. "
            f"If nobody has it any more, add lost:{key}"
        )


class Looked(NamedTuple):
    """What was found, and from where the next look may go on; None unless all is well and there is a chain."""

    report: AuditReport
    checkpoint: Checkpoint | None


async def verify(store: Store, chain: Chain, anchors: Sequence[Anchor] = (), away: Sequence[str] = ()) -> AuditReport:
    """Look at everything; raises StoreError. `anchors`: heads of the audit that are known outside this store; `away`: who was not asked."""
    return (await looked_at(store, chain, Known(tuple(anchors), tuple(away)), at=datetime.now(UTC))).report


async def looked_at(store: Store, chain: Chain, known: Known, *, at: datetime) -> Looked:
    """Look at everything; raises StoreError."""
    faults, contents = Faults(), _Contents(store)
    position = await store.position()
    following = Following(chain, (ledger(position), *known.anchors), faults)
    async for entry in entries(store):
        following.add(entry)
        contents.entry(entry)
    following.end()
    await contents.compare(faults)
    report = AuditReport(
        sound=not faults.total,
        entries=following.count,
        versions=contents.versions,
        chained_since=following.chained_since,
        given_up=following.given_up,
        contents_unsealed=contents.unsealed,
        anchors=len(known.anchors),
        anchors_superseded=following.superseded,
        anchors_away=known.away,
        faults=tuple(faults.kept),
        faults_total=faults.total,
    )
    return Looked(report, following.checkpoint(position, at=at, whole_at=at) if report.sound else None)


def ledger(position: Position) -> Anchor:
    """The head that the store itself names."""
    return Anchor("the ledger", position.audit_number, position.audit_hash)


class _Contents:
    """Versions, entries and heads against each other: once in buckets, then one by one where those differ."""

    def __init__(self, store: Store) -> None:
        self.versions = 0
        self.unsealed = 0
        self._store = store
        self._there, self._content, self._heads = Balance(), Balance(), Balance()
        self._legacy = set[int]()

    def entry(self, entry: StoredAudit) -> None:
        """What an entry says of a version."""
        name = name_of(entry)
        if name is None:
            return
        self._there.take(name)
        if entry.digest is not None:
            self._content.take(name, raw(entry.digest))
        elif len(self._legacy) < UNSEALED_MAX:
            self._legacy.add(mark_of(name))

    async def compare(self, faults: Faults) -> None:
        """Read the versions and the heads, then look closer where that does not add up."""
        async for record in _versions(self._store):
            self._version(record)
        async for name, digest in self._present():
            self._heads.take(name, digest)
        await self._search(self._there.differing() | self._content.differing(), faults)
        await self._search_heads(self._heads.differing(), faults)

    def _version(self, record: DocumentRecord) -> None:
        name, digest = _name(record), sha256(record.version.content).digest()
        self.versions += 1
        self._there.add(name)
        if mark_of(name) in self._legacy:
            self.unsealed += 1
        else:
            self._content.add(name, digest)
        if record.change is not None and not record.deleted:
            self._heads.add(name, digest)

    async def _search(self, buckets: frozenset[int], faults: Faults) -> None:
        """Name what is wrong in these buckets. Versions are read before entries: what is written meanwhile has both."""
        if not buckets:
            return
        versions = dict[Name, bytes]()
        async for record in _versions(self._store):
            if bucket_of(name := _name(record)) in buckets:
                versions[name] = sha256(record.version.content).digest()
        async for entry in entries(self._store):
            name_ = name_of(entry)
            if name_ is None or bucket_of(name_) not in buckets:
                continue
            digest = versions.pop(name_, None)
            if digest is None:
                if await self._store.version(*name_) is None:
                    faults.add(What.NO_VERSION, entry.number, f"{shown(name_)} is gone")
            elif entry.digest is not None and digest != raw(entry.digest):
                faults.add(What.CONTENT, entry.number, f"{shown(name_)} has another content than this entry sealed")
        for name in versions:
            faults.add(What.NO_ENTRY, None, f"{shown(name)} has no audit entry")

    async def _search_heads(self, buckets: frozenset[int], faults: Faults) -> None:
        if not buckets:
            return
        async for name, digest in self._present():
            if bucket_of(name) not in buckets:
                continue
            version = await self._store.version(*name)
            if version is None or sha256(version.content).digest() != digest:
                faults.add(What.HEAD, None, f"the present content of {shown(name)} is not that of this version")

    async def _present(self) -> AsyncIterator[tuple[Name, bytes]]:
        for kind in Kind:
            before: int | None = None
            while found := await self._store.page(kind, {}, before, HEADS_AT_A_TIME):
                for one in found:
                    yield (kind, one.id, one.version), sha256(one.content).digest()
                before = found[-1].change


async def entries(store: Store, after: int = 0) -> AsyncIterator[StoredAudit]:
    """All entries with numbers above `after` by ascending number, as of one moment."""
    async for record in _gently(store, Position(None, END, after, b"", END)):
        if isinstance(record, AuditRecord):
            yield record.entry


async def _versions(store: Store) -> AsyncIterator[DocumentRecord]:
    """All versions of all documents, as of one moment."""
    async for record in _gently(store, Position(None, -1, END, b"", END)):
        if isinstance(record, DocumentRecord):
            yield record


async def _gently(store: Store, since: Position) -> AsyncIterator[object]:
    count = 0
    async for record in store.records(since):
        count += 1
        if count % BREATH == 0:
            await asyncio.sleep(0)
        yield record


def _name(record: DocumentRecord) -> Name:
    return record.kind, record.id, record.version.version


def name_of(entry: StoredAudit) -> Name | None:
    """The version that an entry is about; None for what is no document."""
    if entry.kind not in _KINDS or entry.version_after is None:
        return None
    return Kind(entry.kind), entry.subject, entry.version_after


def raw(digest: str) -> bytes:
    """A digest's bytes; what is none fits nothing."""
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return digest.encode()


def shown(name: Name) -> str:
    """A version in words."""
    kind, document_id, version = name
    return f"version {version} of the {kind.noun} {document_id}"

"""What waits in the outbox goes to a database that has gone on meanwhile: each changeset whole, or it becomes a conflict.

A document fits where the database is at the version that the change was made from; then it keeps its version number.
Audit entries get new numbers and hashes and keep their changeset, by which a repetition is recognised; signed tables are
made anew. A changeset with an idempotency key that the database knows was done there: its answer got lost, not its work.
Counterpart: `recovery.py` asks for it. Never: a changeset that is dropped.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

import msgspec
import structlog
import uuid_utils
from msgspec import Struct

from control_plane.intent import Action
from control_plane.store.interface import Reader, Transaction
from control_plane.store.local import Provisional
from control_plane.store.mirror.conflicts import Conflict, ConflictDocument, ours, side
from control_plane.store.mirror.sides import Approve, Primary
from control_plane.store.records import (
    AnswerRecord,
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    KeptRecord,
    Kind,
    Record,
    Shelf,
    SignInRecord,
    StoredAudit,
    TableRecord,
)
from service.clock import now

ENTRIES_AT_ONCE = 200

log = structlog.get_logger("mirror")


class Replayed(Struct):
    """What came of it, counted in changesets."""

    applied: int = 0
    known: int = 0
    """The database had them already."""
    conflicts: int = 0


class Replay:
    """One run over an outbox."""

    def __init__(self, primary: Primary, mirror: Reader, approve: Approve, clock: Callable[[], datetime]) -> None:
        """`mirror` has what the changes were made from; `approve` says what is wrong with a document."""
        self._primary = primary
        self._mirror = mirror
        self._approve = approve
        self._clock = clock
        self._accepted: set[tuple[Kind, str, int]] = set()
        self.replayed = Replayed()

    async def run(self, waiting: Sequence[Provisional]) -> Replayed:
        """Bring all of them over, in order. Raises StoreError; a second run goes on where the first one ended."""
        for one in waiting:
            await self._changeset(one)
        newest = max((record.table_version for record in _tables(waiting)), default=0)
        if newest > await self._primary.table_version():
            async with self._primary.transaction() as transaction:
                await transaction.raise_table_version(newest)
        return self.replayed

    async def _changeset(self, one: Provisional) -> None:
        documents = [record for record in one.records if isinstance(record, DocumentRecord)]
        entries = await self._primary.entries_of(one.changeset)
        if entries:
            self.replayed.known += 1
            self._accept(documents if any(entry.action != Action.CONFLICT_KEPT for entry in entries) else ())
            return
        try:
            async with self._primary.transaction(one.changeset) as transaction:
                if await _was_done(transaction, one.records):
                    self.replayed.known += 1
                    self._accept(documents)
                    return
                await self._check_unmoved(transaction, documents)
                await _apply(transaction, one.records)
                await self._check_fits(transaction, documents)
        except _UnfitError as error:
            await self._keep_conflict(one, documents, str(error))
            return
        for record in one.records:
            if isinstance(record, SignInRecord):
                await self._primary.use_sign_in(record.id, record.expires_at)
        self.replayed.applied += 1
        self._accept(documents)

    def _accept(self, documents: Sequence[DocumentRecord]) -> None:
        self._accepted.update((one.kind, one.id, one.version.version) for one in documents)

    async def _check_unmoved(self, transaction: Transaction, documents: Sequence[DocumentRecord]) -> None:
        """Raises _UnfitError where a document is no longer what the change was made from."""
        seen = set[tuple[Kind, str]]()
        for one in documents:
            if (one.kind, one.id) not in seen and (problem := await self._moved(transaction, one)):
                raise _UnfitError(problem)
            seen.add((one.kind, one.id))

    async def _check_fits(self, transaction: Transaction, documents: Sequence[DocumentRecord]) -> None:
        """Raises _UnfitError where what the changeset left does not fit all others; its documents may need each other."""
        left = {(one.kind, one.id): one for one in documents}
        for one in left.values():
            problem = await self._approve(transaction, one.kind, one.id, one.version.content, one.deleted)
            if problem:
                raise _UnfitError(f"the {one.kind.noun} {one.id} no longer fits the others: {problem}")

    async def _moved(self, transaction: Transaction, one: DocumentRecord) -> str:
        """How the database's document differs from what the change was made from; empty if it does not."""
        before, there = one.version.version - 1, await transaction.find(one.kind, one.id)
        name = f"the {one.kind.noun} {one.id}"
        if there is None:
            return (
                "" if before == 0 else f"{name} is not in the database, and the change was made from version {before}"
            )
        if there.version != before:
            return (
                f"{name} is at version {there.version} in the database, and the change was made from version {before}"
            )
        if (one.kind, one.id, before) in self._accepted:
            return ""
        known = await self._mirror.version(one.kind, one.id, before)
        if known is None or known.content != there.content:
            return f"version {before} of {name} is another one in the database"
        return ""

    async def _keep_conflict(self, one: Provisional, documents: Sequence[DocumentRecord], problem: str) -> None:
        async with self._primary.transaction(one.changeset) as transaction:
            sides = [await _sides(transaction, record) for record in documents]
            said = next((record.entry for record in one.records if isinstance(record, AuditRecord)), None)
            found_at = self._clock()
            conflict = Conflict(
                id=one.changeset,
                at=one.at,
                found_at=found_at,
                actor="" if said is None else said.actor,
                reason="" if said is None else said.reason,
                problem=problem,
                documents=tuple(sides),
                records=one.records,
            )
            await transaction.keep(Shelf.CONFLICT, one.changeset, msgspec.json.encode(conflict), found_at)
            entry = system_entry(Action.CONFLICT_KEPT, "conflict", one.changeset, problem, found_at)
            await transaction.add_audit(entry)
        self.replayed.conflicts += 1
        log.warning("conflict_kept", changeset=one.changeset, problem=problem)


class _UnfitError(Exception):
    """The changeset does not fit, for this reason; nothing of it was saved."""


async def _sides(reader: Reader, record: DocumentRecord) -> ConflictDocument:
    there = await reader.find(record.kind, record.id)
    version = None if there is None else await reader.version(record.kind, record.id, there.version)
    theirs = None if there is None or version is None else side(version, deleted=there.deleted)
    return ConflictDocument(kind=record.kind, id=record.id, ours=ours(record), theirs=theirs)


def system_entry(action: Action, kind: str, subject: str, reason: str, at: datetime) -> StoredAudit:
    """An audit entry of what the service did by itself."""
    return StoredAudit(
        at=at, actor="control-plane", role="admin", action=action, kind=kind, subject=subject, reason=reason
    )


async def since(mirror: Reader, number: int, records: AsyncIterator[Record]) -> list[Provisional]:
    """The changesets of the mirror after an audit entry, made again out of its audit; `records`: all that it holds.

    What has no audit comes last: things on shelves, answers and used sign-ins; those that the other store has are left.
    """
    position = await mirror.position()
    entries, before = list[StoredAudit](), position.audit_number + 1
    while page := await mirror.audit_page(None, None, before, ENTRIES_AT_ONCE):
        entries += [entry for entry in page if entry.number > number]
        before = page[-1].number
        if before <= number:
            break
    groups: dict[str, list[StoredAudit]] = {}
    for entry in reversed(entries):
        groups.setdefault(entry.changeset or f"entry {entry.number}", []).append(entry)
    changes = [await _again(mirror, changeset, group) for changeset, group in groups.items() if group[0].changeset]
    others = [one async for one in records if isinstance(one, KeptRecord | AnswerRecord | SignInRecord | CounterRecord)]
    first = entries[-1].at if entries else None
    answers = [one for one in others if not isinstance(one, AnswerRecord) or (first is not None and one.at >= first)]
    rest = Provisional(changeset=str(uuid_utils.uuid7()), base=position, records=tuple(answers), at=now())
    return [*changes, rest]


async def _again(mirror: Reader, changeset: str, entries: Sequence[StoredAudit]) -> Provisional:
    records = list[Record]()
    for entry in entries:
        if entry.kind in set(Kind) and entry.version_after is not None:
            kind = Kind(entry.kind)
            version = await mirror.version(kind, entry.subject, entry.version_after)
            if version is not None:
                gone = version.action == Action.DELETED  # the entry of an undo says that it was one
                records.append(DocumentRecord(kind=kind, id=entry.subject, version=version, change=0, deleted=gone))
    records += [AuditRecord(entry) for entry in entries]
    return Provisional(changeset=changeset, base=await mirror.position(), records=tuple(records), at=entries[0].at)


async def _was_done(transaction: Transaction, records: Sequence[Record]) -> bool:
    """Whether the database knows a request of the changeset: its answer was lost, and it was repeated here."""
    for record in records:
        if isinstance(record, AnswerRecord) and any(isinstance(one, DocumentRecord) for one in records):
            there = await transaction.answer(record.actor, record.key)
            if there is not None and there.fingerprint == record.answer.fingerprint:
                return True
    return False


async def _apply(transaction: Transaction, records: Sequence[Record]) -> None:
    for record in records:
        if isinstance(record, DocumentRecord):
            await transaction.put(record.kind, record.id, record.version, deleted=record.deleted)
        elif isinstance(record, AuditRecord):
            await transaction.add_audit(record.entry)
        elif isinstance(record, AnswerRecord):
            if await transaction.answer(record.actor, record.key) is None:
                await transaction.remember(record.actor, record.key, record.answer)
        elif isinstance(record, KeptRecord):
            await _place(transaction, record)


async def _place(transaction: Transaction, record: KeptRecord) -> None:
    """Of two writings of a thing the later one counts."""
    there = await transaction.kept(record.shelf, record.id)
    if there is not None and there.at >= record.at:
        return
    if record.deleted:
        await transaction.discard(record.shelf, record.id, record.at)
    else:
        await transaction.keep(record.shelf, record.id, record.content, record.at)


def _tables(waiting: Sequence[Provisional]) -> list[CounterRecord]:
    counted = [record for one in waiting for record in one.records]
    published = [CounterRecord(one.table.version) for one in counted if isinstance(one, TableRecord)]
    return [*published, *(one for one in counted if isinstance(one, CounterRecord))]

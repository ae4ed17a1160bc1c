"""The audit: who did what, when and why. Append-only.

Counterpart: `publishing.py` writes an entry for every change in the transaction of the change itself; the admin pages
write those of signing in and out here. Never: an entry that changes.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.auditing import AuditReport, check_keys, verify
from control_plane.differences import FieldDifference, compact
from control_plane.documents import PAGE_LIMIT, checked_limit, decode_cursor, encode_cursor
from control_plane.intent import Action, Page
from control_plane.refusals import Refusal, Refused
from control_plane.store import Chain, Kind, Store, StoredAudit
from control_plane.tokens import Actor

AUDIT_KEY_UNKNOWN = "audit_key_unknown"
AUDIT_TAMPERED = "audit_tampered"
KINDS = frozenset(kind.value for kind in Kind)
FAULTS_TOLD = 5  # in an alert; the report has more


class AuditEntry(Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that was done."""

    number: int
    """1 for the first, without gaps."""
    at: datetime
    actor: str
    role: str
    action: str
    kind: str
    """A kind of document such as `mutation` or `saved_group`, `table` or `session`."""
    subject: str
    """Id of what it was done to."""
    reason: str
    version_before: int | None
    version_after: int | None
    table_version: int | None
    """The decision table that carries the change to visitors; null if it changed nothing there."""
    origin: str = ""
    """The way it came in, and the network it came from."""
    changeset: str | None = None
    """What was done together has the same."""
    before: str | None = None
    """Where the version before is, below the API's prefix; null for what is no document, and where there was none."""
    after: str | None = None


class AuditDetail(AuditEntry, frozen=True, kw_only=True, rename="camel"):
    """One thing that was done, and what it changed."""

    differences: tuple[FieldDifference, ...] = ()


class Audit:
    """The entries of this installation."""

    def __init__(self, store: Store, chain: Chain, alerts: Alerts, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._chain = chain
        self._alerts = alerts
        self._clock = clock
        self._verifying = asyncio.Lock()
        self.verified: tuple[datetime, AuditReport] | None = None
        """When the chain was looked at last, by this process, and what was found."""

    async def verify(self) -> AuditReport:
        """Look at the whole chain and at all that it sealed, one look at a time; raises StoreError."""
        async with self._verifying:
            at = self._clock()
            report = await verify(self._store, self._chain)
            self.verified = (at, report)
        if report.sound:
            self._alerts.settle(AUDIT_TAMPERED)
        else:
            told = "; ".join(
                f"entry {one.number or '-'}: {one.what} ({one.detail})" for one in report.faults[:FAULTS_TOLD]
            )
            summary = f"The audit is not what it was: {report.faults_total} faults."
            advice = (
                "Compare with a backup, find out who has the database's password, and change it. Nothing was mended."
            )
            self._alerts.report(AUDIT_TAMPERED, Severity.CRITICAL, summary, advice, told)
        return report

    async def check_keys(self) -> None:
        """Raise AuditKeyError where the newest entry is sealed with a key that is not known here; StoreError."""
        await check_keys(self._store, self._chain)

    async def page(
        self, *, kind: str | None = None, subject: str | None = None, cursor: str | None = None, limit: int = PAGE_LIMIT
    ) -> Page[AuditEntry]:
        """A part of the entries, newest first; raises Refused (`bad_cursor`, `bad_parameter`)."""
        limit = checked_limit(limit)
        if "\0" in f"{kind}{subject}":
            return Page(())
        found = await self._store.audit_page(kind, subject, decode_cursor(cursor), limit + 1)
        items = tuple(_entry(one) for one in found[:limit])
        return Page(items, encode_cursor(items[-1].number) if len(found) > limit else None)

    async def entry(self, number: int) -> AuditDetail:
        """One entry with what it changed; raises Refused (`not_found`), StoreError."""
        found = await self._store.audit_page(None, None, number + 1, 1) if number > 0 else []
        if not found or found[0].number != number:
            raise Refused(Refusal.NOT_FOUND, f"there is no audit entry {number}")
        stored = found[0]
        before = await self._content(stored, stored.version_before)
        after = await self._content(stored, stored.version_after)
        return AuditDetail(**msgspec.structs.asdict(_entry(stored)), differences=compact(before, after))

    async def _content(self, entry: StoredAudit, version: int | None) -> Any:
        """What a version says; None for what is no document, and for a version that deleted one."""
        if version is None or entry.kind not in KINDS:
            return None
        found = await self._store.version(Kind(entry.kind), entry.subject, version)
        return None if found is None or found.action == Action.DELETED else msgspec.json.decode(found.content)

    async def record(self, actor: Actor, action: Action, subject: str, reason: str = "", origin: str = "") -> None:
        """Note something that changed no document, such as signing in."""
        entry = StoredAudit(
            at=self._clock(),
            actor=actor.subject,
            role=actor.role,
            action=action,
            kind="session",
            subject=subject,
            reason=reason,
            origin=origin,
        )
        async with self._store.transaction() as transaction:
            await transaction.add_audit(entry)


def _entry(stored: StoredAudit) -> AuditEntry:
    return AuditEntry(
        number=stored.number,
        at=stored.at,
        actor=stored.actor,
        role=stored.role,
        action=stored.action,
        kind=stored.kind,
        subject=stored.subject,
        reason=stored.reason,
        version_before=stored.version_before,
        version_after=stored.version_after,
        table_version=stored.table_version,
        origin=stored.origin,
        changeset=stored.changeset,
        before=_place(stored, stored.version_before),
        after=_place(stored, stored.version_after),
    )


def _place(entry: StoredAudit, version: int | None) -> str | None:
    """Where a version is, below the API's prefix."""
    if version is None or entry.kind not in KINDS:
        return None
    return f"{entry.kind.replace('_', '-')}s/{entry.subject}/versions/{version}"

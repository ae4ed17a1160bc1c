"""The audit: who did what, when and why. Append-only.

Counterpart: `publishing.py` writes an entry for every change in the transaction of the change itself; the admin pages
write those of signing in and out here. Never: an entry that changes.
"""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from control_plane.documents import PAGE_LIMIT, checked_limit, decode_cursor, encode_cursor
from control_plane.intent import Action, Page
from control_plane.store import Store, StoredAudit
from control_plane.tokens import Actor


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


class Audit:
    """The entries of this installation."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

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

    async def record(self, actor: Actor, action: Action, subject: str, reason: str = "") -> None:
        """Note something that changed no document, such as signing in."""
        entry = StoredAudit(
            at=self._clock(),
            actor=actor.subject,
            role=actor.role,
            action=action,
            kind="session",
            subject=subject,
            reason=reason,
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
    )

"""The audit: who did what, when and why. Append-only.

Counterpart: `publishing.py` writes an entry for every change in the transaction of the change itself; the admin pages
write those of signing in and out here. Whether it is what it was, `auditing` finds out. Never: an entry that changes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.auditing import AuditReport, check_keys
from control_plane.auditing.check import Looked, looked_at
from control_plane.auditing.checkpoints import Checkpoints
from control_plane.auditing.recent import fits, looked_at_recent, of_checkpoint
from control_plane.auditing.report import Checkpoint, Known
from control_plane.differences import FieldDifference, compact
from control_plane.documents import PAGE_LIMIT, checked_limit, decode_cursor, encode_cursor
from control_plane.intent import Action, Page
from control_plane.refusals import Refusal, Refused
from control_plane.store import AwayError, Chain, Kind, Position, Store, StoredAudit, StoreError
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import standing_of
from control_plane.telemetry import Telemetry
from control_plane.tokens import Actor

AUDIT_KEY_UNKNOWN = "audit_key_unknown"
AUDIT_CHAIN_BROKEN = "audit_chain_broken"
ANCHORS_AWAY = "audit_anchors_away"
KINDS = frozenset(kind.value for kind in Kind)
FAULTS_TOLD = 5  # in an alert; the report has more
SMALL = 20_000  # so many entries are looked at whole each time: it takes a second or two
WHOLE_EVERY = timedelta(days=7)
FIRST_AFTER_S = 60.0  # after the start: what was done while no service ran is what no mirror has put back
AGAIN_EVERY_S = 900.0  # how soon an instance that found faults sees that somebody mended them

log = structlog.get_logger("audit")


async def _nothing_known() -> Known:
    return Known()


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

    def __init__(
        self,
        store: Store,
        chain: Chain,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        anchors: Callable[[], Awaitable[Known]] = _nothing_known,
        checkpoints: Checkpoints | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """`anchors`: what is known of the audit outside the store; `checkpoints`: where this machine remembers sound looks."""
        self._store = store
        self._chain = chain
        self._alerts = alerts
        self._clock = clock
        self._anchors = anchors
        self._checkpoints = checkpoints
        self._telemetry = telemetry
        self._verifying = asyncio.Lock()
        self._is_due = True
        """This process has not looked yet, or a look was put off."""
        self.verified: tuple[datetime, AuditReport] | None = None
        """When the chain was looked at last, by this process, and what was found."""

    async def verify(self) -> AuditReport:
        """Look at the whole chain, at all that it sealed and at all that is known of it, one look at a time; raises StoreError."""
        return await self._look(whole=True)

    async def verify_regularly(self) -> None:
        """What is done by a schedule: what is new since the last look, and everything now and then or where that finds a fault.

        While the mirror answers it is put off until the database does: what it has is provisional. Raises StoreError.
        """
        self._is_due = standing_of(self._store).state is not State.PRIMARY
        if not self._is_due:
            await self._look(whole=False)

    async def keep(self) -> None:
        """Until cancelled: look soon after the start, and again where a look was put off or found faults, so that the alert can end."""
        pause = FIRST_AFTER_S
        while True:
            await asyncio.sleep(pause)
            pause = AGAIN_EVERY_S
            try:
                if self._is_due or self._is_broken():
                    await self.verify_regularly()
            except StoreError:
                pass  # `conditions.py` says that the store is away
            except Exception as error:  # a loop that an unforeseen error can end would keep the alert for ever
                log.exception("audit_not_verified", error=type(error).__name__)

    async def _look(self, *, whole: bool) -> AuditReport:
        async with self._verifying:
            at, state = self._clock(), standing_of(self._store).state
            # A mirror that answers may be behind what others know, and what it adds is provisional.
            looked = await (self._compared(at, whole=whole) if state is State.PRIMARY else self._alone(at))
            if standing_of(self._store).state is not state:
                raise AwayError("the database went away or came back while the audit was looked at; look again")
            if looked.checkpoint is not None and self._checkpoints is not None and state is State.PRIMARY:
                await asyncio.to_thread(self._checkpoints.write, looked.checkpoint)
            self.verified = (at, looked.report)
        self._tell(looked.report, at)
        return looked.report

    async def _alone(self, at: datetime) -> Looked:
        return await looked_at(self._store, self._chain, Known(), at=at)

    async def _compared(self, at: datetime, *, whole: bool) -> Looked:
        """With all that is known of it elsewhere; what is new alone where that is enough and sound."""
        known = await self._anchors()
        last = None if self._checkpoints is None else await asyncio.to_thread(self._checkpoints.read)
        position = await self._store.position()
        since = last if last is not None and fits(last, position) else None
        if since is not None:
            known = Known((*known.anchors, of_checkpoint(since)), known.away)
            if not whole and self._is_enough(since, position, at):
                looked = await looked_at_recent(self._store, self._chain, known, since, at=at)
                if looked.report.sound:
                    return looked
        return await looked_at(self._store, self._chain, known, at=at)

    def _is_enough(self, since: Checkpoint, position: Position, at: datetime) -> bool:
        """Whether what is new may be looked at alone."""
        fresh = timedelta(0) <= at - since.whole_at < WHOLE_EVERY
        return position.audit_number > SMALL and fresh and not self._is_broken()

    def _is_broken(self) -> bool:
        return any(alert.id == AUDIT_CHAIN_BROKEN for alert in self._alerts.open())

    def _tell(self, report: AuditReport, at: datetime) -> None:
        if self._telemetry is not None:
            self._telemetry.verified(report.faults_total, at.timestamp())
        if report.anchors_away:
            self._alerts.report(
                ANCHORS_AWAY,
                Severity.WARNING,
                "The audit could not be compared with everything that knows it.",
                "See whether the place in the detail can be reached. The next look asks again.",
                "; ".join(report.anchors_away),
            )
        else:
            self._alerts.settle(ANCHORS_AWAY)
        if report.sound:
            self._alerts.settle(AUDIT_CHAIN_BROKEN)
            return
        told = "; ".join(f"entry {one.number or '-'}: {one.what} ({one.detail})" for one in report.faults[:FAULTS_TOLD])
        self._alerts.report(
            AUDIT_CHAIN_BROKEN,
            Severity.CRITICAL,
            f"The audit is not what it was: {report.faults_total} faults.",
            "Keep the database as it is, and a backup from before. Find out who has the database's password, and change it. "
            "`layout-mutation audit verify` names each fault; docs/operating.md, The audit chain, says what to do about each. "
            "Nothing was mended.",
            told,
        )

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

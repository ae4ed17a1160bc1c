"""Alerts of all instances, kept on a shelf: what is open anywhere, and what was.

Each instance writes down what it has found, and says every few minutes that it is still so; what an instance that is gone
had found ends by itself after a while. While the store is away everything waits in memory.
Counterpart: `alerts.py` is what this process has found. Never: a change of somebody else's alert, but to end or acknowledge it.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from control_plane.alerts import Alert, Alerts, Severity, worst_first
from control_plane.documents import PAGE_LIMIT, checked_limit, decode_cursor, encode_cursor
from control_plane.intent import Action, Intent, Page
from control_plane.refusals import Refusal, Refused
from control_plane.store import Installation, Shelf, Store, StoredAudit, StoreError, Transaction

INTERVAL_S = 1.0
RENEWED_EVERY = timedelta(minutes=5)
GONE_AFTER = timedelta(minutes=15)
NOTICE_ENDS_AFTER = timedelta(days=7)
HISTORY = timedelta(days=90)
HISTORY_MAX = 2_000  # a condition that comes and goes all day must not fill the store

log = structlog.get_logger("alerts")


class KeptAlerts:
    """The alerts of the installation."""

    def __init__(
        self,
        store: Store,
        alerts: Alerts,
        *,
        clock: Callable[[], datetime],
        history: Callable[[], timedelta] = lambda: HISTORY,
    ) -> None:
        """`history`: how long an alert that is over is kept."""
        self._store = store
        self._alerts = alerts
        self._clock = clock
        self._history = history
        self._shelf: dict[str, Alert] = {}
        self._seen: tuple[Installation | None, int] | None = None
        """Whose shelf was read, and after which change."""

    def open(self) -> tuple[Alert, ...]:
        """What is so anywhere, the worst first; out of memory, so that it works while the store is away."""
        found = {alert.opening: alert for alert in self._shelf.values() if alert.is_open and not self._is_mine(alert)}
        for alert in self._alerts.open():
            found[alert.opening] = _joined(alert, self._shelf.get(alert.opening))
        return worst_first(alert for alert in found.values() if alert.is_open)

    async def page(self, *, cursor: str | None = None, limit: int = PAGE_LIMIT) -> Page[Alert]:
        """A part of all alerts, over or not, the newest first; raises Refused (`bad_cursor`, `bad_parameter`), StoreError."""
        before, limit = decode_cursor(cursor), checked_limit(limit)
        await self._read()
        mine = {alert.opening: alert for alert in (*self._alerts.over(), *self._alerts.open())}
        known = self._shelf | {opening: _joined(alert, self._shelf.get(opening)) for opening, alert in mine.items()}
        ordered = sorted(known.values(), key=_place, reverse=True)
        found = [alert for alert in ordered if before is None or _place(alert) < before]
        items = tuple(found[:limit])
        return Page(items, encode_cursor(_place(items[-1])) if len(found) > limit else None)

    async def acknowledge(self, alert_id: str, intent: Intent) -> tuple[Alert, ...]:
        """Note that a person knows of it, wherever it is open; a notice is over with that.

        Raises Refused (`reason_required`, `not_found`), StoreError.
        """
        if not intent.reason:
            raise Refused(Refusal.REASON_REQUIRED, "say in `reason` what you know or do about it")
        await self.keep_up()
        now, done = self._clock(), list[Alert]()
        async with self._store.transaction() as transaction:
            there = [alert for alert in await _read(transaction) if alert.id == alert_id and alert.is_open]
            if not there:
                raise Refused(Refusal.NOT_FOUND, f"no alert {alert_id[:80]} is open")
            for alert in there:
                known = _acknowledged(alert, intent, now) if alert.acknowledged_at is None else alert
                done.append(known)
                await _keep(transaction, known, now)
            if any(alert.acknowledged_at is None for alert in there):
                await transaction.add_audit(_audit(alert_id, intent, now))
        self._shelf.update({alert.opening: alert for alert in done})
        self._let_go_of_notices()
        return tuple(done)

    async def keep(self) -> None:
        """Until cancelled: write down what there is to write, and see what others wrote."""
        while True:
            try:
                await self.keep_up()
            except StoreError:
                pass  # `conditions.py` says that the store is away; what is open waits in memory
            except Exception as error:  # a loop that an unforeseen error can end would keep alerts from everybody
                log.exception("alerts_not_kept", error=type(error).__name__)
            await asyncio.sleep(INTERVAL_S)

    async def keep_up(self) -> None:
        """One round; raises StoreError."""
        await self._read()
        self._let_go_of_notices()
        now = self._clock()
        changed = [*self._own(now), *self._ended(now)]
        outdated = self._outdated(now)
        if not changed and not outdated:
            return
        async with self._store.transaction() as transaction:
            for alert in changed:
                there = await transaction.kept(Shelf.ALERT, alert.opening)
                await _keep(transaction, _joined(alert, None if there is None else _decoded(there.content)), now)
            for opening in outdated:
                await transaction.discard(Shelf.ALERT, opening, now)
        self._alerts.forget({alert.opening for alert in changed if not alert.is_open})
        await self._read()

    async def _read(self) -> None:
        position = await self._store.position()
        if self._seen != (position.installation, position.change):
            self._shelf = {alert.opening: alert for alert in await _read(self._store)}
            self._seen = (position.installation, position.change)

    def _is_mine(self, alert: Alert) -> bool:
        """Whether this process, or one before it in its place, has found it: then memory knows better."""
        return alert.instance == self._alerts.instance and (
            self._alerts.was_settled(alert.id) or any(own.id == alert.id for own in self._alerts.open())
        )

    def _own(self, now: datetime) -> list[Alert]:
        """What this process knows and the shelf doesn't."""
        found = list(self._alerts.over())
        for alert in self._alerts.open():
            there = self._shelf.get(alert.opening)
            if (
                there is None
                or not there.is_open
                or alert.severity is not there.severity
                or now - there.seen_at >= RENEWED_EVERY
            ):
                found.append(msgspec.structs.replace(alert, seen_at=now))
        return found

    def _ended(self, now: datetime) -> list[Alert]:
        """What the shelf says is open, and is not: of an earlier life of this instance, or of one that is gone."""
        mine = {alert.opening for alert in (*self._alerts.open(), *self._alerts.over())}
        return [
            msgspec.structs.replace(alert, settled_at=now)
            for alert in self._shelf.values()
            if alert.is_open and alert.opening not in mine and (self._is_mine(alert) or _is_stale(alert, now))
        ]

    def _outdated(self, now: datetime) -> list[str]:
        """Openings that have been over for long enough."""
        over = sorted((alert for alert in self._shelf.values() if not alert.is_open), key=_place)
        surplus = over[: max(0, len(over) - HISTORY_MAX)]
        oldest = now - self._history()
        old = [alert for alert in over if alert.settled_at is not None and alert.settled_at < oldest]
        return sorted({alert.opening for alert in (*surplus, *old)})

    def _let_go_of_notices(self) -> None:
        for alert in self._alerts.open():
            there = self._shelf.get(alert.opening)
            if alert.severity is Severity.INFO and there is not None and not there.is_open:
                self._alerts.end(alert.opening)


def _is_stale(alert: Alert, now: datetime) -> bool:
    """Whether nobody says any more that it is so. A notice needs nobody to say so: it waits for a person, but not for ever."""
    return now - alert.seen_at > (NOTICE_ENDS_AFTER if alert.severity is Severity.INFO else GONE_AFTER)


def _joined(alert: Alert, there: Alert | None) -> Alert:
    """An alert as its instance says, acknowledged as the shelf says, unless it has become worse since."""
    if there is None or there.acknowledged_at is None or alert.severity.rank > there.severity.rank:
        return alert
    return msgspec.structs.replace(
        alert,
        settled_at=alert.settled_at or (there.settled_at if alert.severity is Severity.INFO else None),
        acknowledged_at=there.acknowledged_at,
        acknowledged_by=there.acknowledged_by,
        reason=there.reason,
    )


def _acknowledged(alert: Alert, intent: Intent, now: datetime) -> Alert:
    return msgspec.structs.replace(
        alert,
        acknowledged_at=now,
        acknowledged_by=intent.actor.subject,
        reason=intent.reason,
        settled_at=now if alert.severity is Severity.INFO else None,
    )


def _audit(alert_id: str, intent: Intent, now: datetime) -> StoredAudit:
    return StoredAudit(
        at=now,
        actor=intent.actor.subject,
        role=intent.actor.role,
        action=Action.ACKNOWLEDGED,
        kind="alert",
        subject=alert_id,
        reason=intent.reason,
    )


async def _read(reader: Store | Transaction) -> list[Alert]:
    """What lies on the shelf; what no version of this program wrote is left out, as it would hide all others."""
    found = (_decoded(thing.content) for thing in await reader.shelf(Shelf.ALERT))
    return [alert for alert in found if alert is not None]


async def _keep(transaction: Transaction, alert: Alert, now: datetime) -> None:
    await transaction.keep(Shelf.ALERT, alert.opening, msgspec.json.encode(alert), now)


def _decoded(content: bytes) -> Alert | None:
    try:
        return msgspec.json.decode(content, type=Alert)
    except msgspec.MsgspecError:
        return None


def _place(alert: Alert) -> int:
    """Microseconds since 1970, which fit a cursor; two that began in the same one would be told apart by nobody."""
    return (alert.opened_at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)

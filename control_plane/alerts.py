"""What a person should know of, now: conditions that began and are not over, with what to do.

Whoever finds a condition reports it under a stable word, as often as it likes, and settles it when it is over. Both only
touch memory, so that they work while everything else is away.
Counterpart: `kept_alerts.py` writes them down when the store allows, and shows those of all instances.
Never: I/O beyond a log line, an exception, or a secret: callers' texts go to people as they are.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum

import msgspec
import structlog
import uuid_utils
from msgspec import Struct

from service.clock import now

ID_CHARACTERS_MAX = 100
SUMMARY_CHARACTERS_MAX = 300
ADVICE_CHARACTERS_MAX = 2_000
DETAIL_CHARACTERS_MAX = 4_000
OVER_MAX = 1_000  # openings that are over and wait to be written down; more than that is one story told often

log = structlog.get_logger("alerts")


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    """Something was done that a person should have seen; it stays until somebody acknowledges it."""
    WARNING = "warning"
    """Nobody is harmed yet; it may mend itself, and a person should look today."""
    CRITICAL = "critical"
    """A person must act now."""

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Severity).index(self)


class Alert(Struct, frozen=True, kw_only=True, rename="camel"):
    """One opening: from when a condition was reported first until it was settled."""

    id: str
    """What it is: a stable word such as `database_away`."""
    opening: str
    """Which opening of it: a UUID."""
    severity: Severity
    summary: str
    """What is the matter, one sentence."""
    advice: str
    """What to do."""
    detail: str = ""
    """What was found, such as an error's text or a statement to run."""
    instance: str
    """Who reports it: host and port of a control plane."""
    opened_at: datetime
    seen_at: datetime
    """When its instance last said that it is so."""
    settled_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    reason: str = ""
    """Why it was acknowledged, in that person's words."""

    @property
    def is_open(self) -> bool:
        """Whether it is still so."""
        return self.settled_at is None


class Alerts:
    """The conditions that this process has found. Safe from any thread."""

    def __init__(self, *, instance: str = "", clock: Callable[[], datetime] = now) -> None:
        self.instance = instance
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, Alert] = {}
        self._over: dict[str, Alert] = {}
        self._settled: set[str] = set()

    def report(self, alert_id: str, severity: Severity, summary: str, advice: str, detail: str = "") -> None:
        """Say that something is so. Repeated, it only brings the texts up to date; never raises."""
        alert_id, at = _cut(alert_id, ID_CHARACTERS_MAX), self._clock()
        with self._lock:
            before = self._open.get(alert_id)
            alert = Alert(
                id=alert_id,
                opening=str(uuid_utils.uuid7()) if before is None else before.opening,
                severity=severity,
                summary=_cut(summary, SUMMARY_CHARACTERS_MAX),
                advice=_cut(advice, ADVICE_CHARACTERS_MAX),
                detail=_cut(detail, DETAIL_CHARACTERS_MAX),
                instance=self.instance,
                opened_at=at if before is None else before.opened_at,
                seen_at=at,
            )
            self._open[alert_id] = alert
            self._settled.discard(alert_id)
            news = before is None or severity.rank > before.severity.rank
        if news:
            _say(alert)

    def settle(self, alert_id: str) -> None:
        """Say that something is no longer so; nothing happens where it was not. Never raises."""
        alert_id = _cut(alert_id, ID_CHARACTERS_MAX)
        with self._lock:
            alert = self._open.pop(alert_id, None)
            if alert is not None:
                self._over[alert.opening] = msgspec.structs.replace(alert, settled_at=self._clock())
                while len(self._over) > OVER_MAX:
                    del self._over[next(iter(self._over))]
            self._settled.add(alert_id)
        if alert is not None:
            log.info("alert_settled", alert=alert.id)

    def open(self) -> tuple[Alert, ...]:
        """What is so, the worst first, then the oldest."""
        with self._lock:
            return worst_first(self._open.values())

    def over(self) -> tuple[Alert, ...]:
        """What was settled and has not been written down yet, in that order."""
        with self._lock:
            return tuple(self._over.values())

    def was_settled(self, alert_id: str) -> bool:
        """Whether this process knows that it is not so; False for what it never heard of."""
        with self._lock:
            return alert_id in self._settled

    def forget(self, openings: set[str]) -> None:
        """Let go of openings that are over and written down."""
        with self._lock:
            self._over = {opening: alert for opening, alert in self._over.items() if opening not in openings}

    def end(self, opening: str) -> None:
        """Let go of a notice that a person has acknowledged: there is nothing that would settle it."""
        with self._lock:
            self._open = {name: alert for name, alert in self._open.items() if alert.opening != opening}


def worst_first(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Alerts as people should read them."""
    return tuple(sorted(alerts, key=lambda alert: (-alert.severity.rank, alert.opened_at, alert.id)))


def _say(alert: Alert) -> None:
    """One line for each opening, named by what it is; ERROR only where a person must act now."""
    write = {Severity.INFO: log.info, Severity.WARNING: log.warning, Severity.CRITICAL: log.error}[alert.severity]
    write(alert.id, alert=alert.severity.value, summary=alert.summary, advice=alert.advice, detail=alert.detail)


def _cut(text: str, characters: int) -> str:
    """Text that every store and every page can hold."""
    text = str(text).encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= characters else text[: characters - 1] + "…"

"""Looks at what the service needs, and reports what is missing as alerts.

Counterpart: `health.py` looks, `alerts.py` is told. Never: a repair, or an alert for what mends itself within a moment.
"""

import asyncio

import structlog

from control_plane.alerts import Alerts, Severity
from control_plane.health import Health, HealthReport

INTERVAL_S = 1.0
LOOKS = 5  # something is missing when it was missing so often in a row: a restart is no alert

DATABASE_AWAY = "database_away"
REDIS_AWAY = "redis_away"
NOT_PUBLISHED = "not_published"
SCHEMA_NEEDS_A_PERSON = "schema_needs_a_person"
MOVE_NEEDS_A_PERSON = "move_needs_a_person"

log = structlog.get_logger("conditions")


class Conditions:
    """What is missing right now."""

    def __init__(self, health: Health, alerts: Alerts) -> None:
        self._health = health
        self._alerts = alerts
        self._missing: dict[str, int] = {}

    async def watch(self) -> None:
        """Until cancelled: look, and tell."""
        while True:
            try:
                self.look(await self._health.report())
            except Exception as error:  # a loop that an unforeseen error can end would see nothing any more
                log.exception("conditions_not_seen", error=type(error).__name__)
            await asyncio.sleep(INTERVAL_S)

    def look(self, report: HealthReport) -> None:
        """Compare what is up with what was; `LOOKS` times in a row make an alert, the first that is well settles it."""
        waits_for_a_person = any(
            alert.id in (SCHEMA_NEEDS_A_PERSON, MOVE_NEEDS_A_PERSON) for alert in self._alerts.open()
        )
        if self._holds(DATABASE_AWAY, not report.database.up and not waits_for_a_person):
            self._alerts.report(
                DATABASE_AWAY,
                Severity.CRITICAL,
                "The database can't be used.",
                "See whether PostgreSQL runs and DATABASE_URL leads to it. Visitors are not affected: every sidecar keeps "
                "the table that it has.",
                report.database.detail,
            )
        if self._holds(REDIS_AWAY, not report.redis.up):
            self._alerts.report(
                REDIS_AWAY,
                Severity.CRITICAL,
                "Redis can't be used, so changes don't reach visitors.",
                "See whether Redis runs and REDIS_URL leads to it. Visitors get the last table meanwhile; changes that are "
                "saved now are published by themselves when Redis is back.",
                report.redis.detail,
            )
        publication = report.publication
        behind = publication.reason.startswith("database_behind")  # publishing says so itself, and what to do
        stuck = report.database.up and report.redis.up and not publication.published and not behind
        if self._holds(NOT_PUBLISHED, stuck):
            self._alerts.report(
                NOT_PUBLISHED,
                Severity.WARNING,
                "The newest rules have not reached Redis.",
                "It is tried again by itself. If it goes on for minutes, see whether Redis has room and takes writes.",
                publication.reason,
            )

    def _holds(self, condition: str, missing: bool) -> bool:
        """Whether it has been so often enough; settles it where it isn't so."""
        if missing:
            self._missing[condition] = self._missing.get(condition, 0) + 1
            return self._missing[condition] >= LOOKS
        if self._missing.pop(condition, 0) >= LOOKS:
            self._alerts.settle(condition)
        return False

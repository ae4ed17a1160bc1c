"""What visitors get right now: the newest table, since when, and how many sidecars run it.

Counterpart: `control_plane.publishing` and the fleet's own reports in Redis. Never: a failure of its own; a list of
mutations is worth showing without this.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from msgspec import Struct

from control_plane.admin.held import Held, held_at, switched_off_at
from control_plane.exchange import ExchangeError
from control_plane.services import Services

log = structlog.get_logger("control_plane.admin")

SILENT_AFTER = timedelta(seconds=60)
"""A sidecar that has said nothing for so long is gone, not refusing."""

REASON_CHARACTERS_MAX = 200


class Published(Struct, frozen=True, kw_only=True):
    """The state of publishing, for a strip above the list. Counts are sidecars that reported lately."""

    table_version: int
    """0 before the first table."""
    at: datetime | None
    waiting: str
    """Why the newest change isn't with the sidecars yet; empty when it is."""
    known: bool
    """Whether the fleet could be asked."""
    accepted: int = 0
    behind: int = 0
    refusals: tuple[tuple[str, str], ...] = ()
    """(instance, reason) of each sidecar that refuses the newest table."""
    held: Mapping[str, Held] = {}
    """Mutations that sidecars skip for a while, by id."""
    off: Mapping[str, str] = {}
    """Sidecars at which everything is switched off, with by what, in words."""

    @property
    def refused(self) -> int:
        """Sidecars that refuse the newest table."""
        return len(self.refusals)

    @property
    def sidecars(self) -> int:
        """All that reported."""
        return self.accepted + self.behind + self.refused


async def published(services: Services) -> Published:
    """The state now; raises StoreError, as the list itself would."""
    table = await services.publishing.current()
    state = services.publishing.state()
    version = state.table_version if table is None else table.version
    try:
        reports = await services.exchange.fleet()
    except ExchangeError as error:
        log.info("admin_fleet_unknown", detail=str(error))
        reports = None
    now = datetime.now(UTC)
    recent = [report for report in reports or () if _is_recent(report.get("seenAt"), now)]
    accepted, behind, refusals = counted(reports or [], version, now)
    return Published(
        table_version=version,
        at=None if table is None else table.created_at,
        waiting="" if state.published or version == 0 else state.reason,
        known=reports is not None,
        accepted=accepted,
        behind=behind,
        refusals=refusals,
        held=held_at(recent, now),
        off=switched_off_at(recent),
    )


def counted(reports: list[dict[str, Any]], version: int, now: datetime) -> tuple[int, int, tuple[tuple[str, str], ...]]:
    """(run it, run an older one, refuse it) among the sidecars that were heard of lately. Reports are other programs'
    words: whatever doesn't read as one is left out."""
    accepted = behind = 0
    refusals = []
    for report in reports:
        if not _is_recent(report.get("seenAt"), now):
            continue
        if report.get("state") == "NACK":
            reason = str(report.get("reason") or "no reason given")[:REASON_CHARACTERS_MAX]
            refusals.append((str(report.get("instance", "unnamed"))[:REASON_CHARACTERS_MAX], reason))
        elif report.get("version") == version:
            accepted += 1
        else:
            behind += 1
    return accepted, behind, tuple(refusals)


def _is_recent(seen_at: object, now: datetime) -> bool:
    try:
        seen = datetime.fromisoformat(str(seen_at))
    except ValueError:
        return False
    return seen.tzinfo is not None and now - seen < SILENT_AFTER

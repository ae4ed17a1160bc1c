"""The page of what was applied lately: for each mutation how often, and what came in between.

Counterpart: `control_plane.store.events` counts by the hour. Never: a visit; the page has counts only.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from aiohttp import web
from msgspec import Struct

from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.services import SERVICES
from control_plane.store.events import Rollup
from control_plane.tokens import Permission
from service.clock import now

HOURS = 24
NAMES_MAX = 200


class Applied(Struct, frozen=True):
    """One mutation in the last hours. `others`: outcome -> how often."""

    id: str
    name: str
    applied: int
    others: tuple[tuple[str, int], ...]
    last: datetime | None
    """The last hour in which it was applied."""


async def show(request: web.Request) -> web.Response:
    """Counts of the last day, the most applied first."""
    require(request, Permission.READ)
    services, until = request.app[SERVICES], now()
    counts = await services.events.counts(until - timedelta(hours=HOURS), until, kind="mutation")
    names = dict(await services.mutations.names(limit=NAMES_MAX))
    return page(request, "activity.html", rows=applied(counts, names), hours=HOURS)


def applied(counts: Iterable[Rollup], names: dict[str, str]) -> tuple[Applied, ...]:
    """Counts by mutation; a name for those that have one."""
    found: dict[str, list[Rollup]] = {}
    for one in counts:
        found.setdefault(one.subject, []).append(one)
    rows = [
        Applied(
            id=mutation_id,
            name=names.get(mutation_id, ""),
            applied=round(sum(one.estimate for one in same if one.outcome == "applied")),
            others=tuple((one.outcome, round(one.estimate)) for one in same if one.outcome != "applied"),
            last=max((one.last for one in same if one.outcome == "applied"), default=None),
        )
        for mutation_id, same in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.applied, row.id)))

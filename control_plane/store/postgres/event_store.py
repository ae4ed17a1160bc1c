"""Events in PostgreSQL: added once however often they come, and counted by the hour in the same transaction.

Counterpart: the migration that makes the tables and their partitions. Never: the ledger's lock; events wait for no change of rules.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from control_plane.store.events import Rollup, Told
from control_plane.store.postgres.connections import Connect, store_errors
from service.events import AnyEvent, Conversion, Execution, Exposure

Row = tuple[datetime, str, str, str, str]
"""Hour, kind, site, subject, outcome."""

_ADD_EVENTS = (
    "INSERT INTO layout_mutation.events (id, at, kind, site, subjects, content) "
    "SELECT id, at, kind, site, ARRAY(SELECT json_array_elements_text(subjects)), content FROM "
    "unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::json[], $6::json[]) "
    "AS told (id, at, kind, site, subjects, content) ON CONFLICT DO NOTHING RETURNING id, at"
)
_ADD_EXPOSURES = (
    "INSERT INTO layout_mutation.exposures (id, at, site, table_version, experiment, variation, attribute, unit, shown) "
    "SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], "
    "$8::text[], $9::boolean[]) ON CONFLICT DO NOTHING RETURNING id, at"
)
# In their order, so that two instances that count at the same time wait for each other and never for ever.
_COUNT = (
    "INSERT INTO layout_mutation.rollups AS r (hour, kind, site, subject, outcome, events, estimate) "
    "SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], "
    "$7::double precision[]) ON CONFLICT (hour, kind, site, subject, outcome) "
    "DO UPDATE SET events = r.events + excluded.events, estimate = r.estimate + excluded.estimate"
)
_TOLD = (
    "SELECT id, at, content::text AS content FROM layout_mutation.events WHERE kind = $1 AND at < $2 AND at >= $3 "
    "AND ($4::text IS NULL OR $4 = ANY (subjects)) AND ($5::text IS NULL OR site = $5) ORDER BY at DESC LIMIT $6"
)
_COUNTS = (
    "SELECT kind, subject, outcome, sum(events)::bigint AS events, sum(estimate) AS estimate, max(hour) AS last "
    "FROM layout_mutation.rollups WHERE hour >= date_trunc('hour', $1::timestamptz) AND hour < $2 "
    "AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR subject = $4) "
    "GROUP BY kind, subject, outcome ORDER BY estimate DESC, kind, subject, outcome"
)
_FORGET = (
    "SELECT layout_mutation.drop_event_partitions(least($3::timestamptz, now()) - $1::interval, "
    "least($3::timestamptz, now()) - $2::interval)"
)


class PostgresEvents:
    """Events, over connections from `connect`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def add(self, events: Sequence[AnyEvent]) -> int:
        """Keep and count those that were not there, all or nothing; how many that were."""
        exposures = [event for event in events if isinstance(event, Exposure)]
        others = [event for event in events if not isinstance(event, Exposure)]
        with store_errors():
            async with self._connect() as connection, connection.transaction():
                new = {(row["id"], row["at"]) for row in await connection.fetch(_ADD_EVENTS, *_columns(others))}
                rows = await connection.fetch(_ADD_EXPOSURES, *_exposure_columns(exposures))
                new |= {(row["id"], row["at"]) for row in rows}
                counts, estimates = _counted(event for event in _once(events) if (event.id, event.at) in new)
                if counts:
                    keys = sorted(counts)
                    columns = [list(column) for column in zip(*keys, strict=True)]
                    await connection.execute(
                        _COUNT, *columns, [counts[key] for key in keys], [estimates[key] for key in keys]
                    )
        return len(new)

    async def make_room(self, days_ahead: int) -> int:
        """Prepare partitions; how many were made."""
        return await self._number("SELECT layout_mutation.make_event_partitions($1)", days_ahead)

    async def forget(self, events_kept: timedelta, rollups_kept: timedelta, at: datetime) -> int:
        """Drop what is older at that moment, or by the server's clock where that is behind; how many partitions."""
        return await self._number(_FORGET, events_kept, rollups_kept, at)

    async def told(
        self, kind: str, *, subject: str | None, site: str | None, before: datetime, since: datetime, limit: int
    ) -> list[Told]:
        """Single events between two moments, the newest first."""
        with store_errors():
            async with self._connect() as connection:
                rows = await connection.fetch(_TOLD, kind, before, since, subject, site, limit)
        return [Told(row["id"], row["at"], row["content"].encode()) for row in rows]

    async def counts(
        self, since: datetime, until: datetime, *, kind: str | None = None, subject: str | None = None
    ) -> list[Rollup]:
        """Counts of whole hours from `since` until before `until`, the most first."""
        with store_errors():
            async with self._connect() as connection:
                rows = await connection.fetch(_COUNTS, since, until, kind, subject)
        return [Rollup(**dict(row)) for row in rows]

    async def _number(self, query: str, *values: object) -> int:
        with store_errors():
            async with self._connect() as connection:
                return int(await connection.fetchval(query, *values))


def _once(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    return list({(event.id, event.at): event for event in events}.values())


def _columns(events: Sequence[Execution | Conversion]) -> list[list[Any]]:
    return [
        [event.id for event in events],
        [event.at for event in events],
        [event.__struct_config__.tag for event in events],
        [event.site for event in events],
        [msgspec.json.encode(_subjects(event)).decode() for event in events],
        [msgspec.json.encode(event).decode() for event in events],
    ]


def _exposure_columns(events: Sequence[Exposure]) -> list[list[Any]]:
    names = ("id", "at", "site", "table", "experiment", "variation", "attribute", "unit", "shown")
    return [[getattr(event, name) for event in events] for name in names]


def _subjects(event: Execution | Conversion) -> list[str]:
    if isinstance(event, Conversion):
        return [event.name]
    return [*event.applied, *event.failed, *event.shadowed]


def _counted(events: Any) -> tuple[Counter[Row], dict[Row, float]]:
    """How many events, and of how many visits, in each row."""
    counts: Counter[Row] = Counter()
    estimates: dict[Row, float] = {}
    for event in events:
        weight = 1 / event.share if isinstance(event, Execution) and event.share > 0 else 1.0
        hour = event.at.replace(minute=0, second=0, microsecond=0)
        for kind, subject, outcome in _outcomes(event):
            row = (hour, kind, event.site, subject, outcome)
            counts[row] += 1
            estimates[row] = estimates.get(row, 0.0) + weight
    return counts, estimates


def _outcomes(event: AnyEvent) -> list[tuple[str, str, str]]:
    """Kind, subject and outcome of what an event counts for."""
    if isinstance(event, Exposure):
        return [("experiment", event.experiment, event.variation)]
    if isinstance(event, Conversion):
        return [("conversion", event.name, "")]
    return [
        ("page", "", event.reason),
        *(("mutation", one, "applied") for one in event.applied),
        *(("mutation", one, reason) for one, reason in event.failed.items()),
        *(("mutation", one, "shadowed") for one in event.shadowed),
    ]

"""What is kept of visits, apart from what a store holds: told by sidecars, counted, and forgotten after a while.

These are no records: there are a thousand times more of them than of rules, they come again from nowhere, and nothing that
visitors get depends on them. So they are in no mirror, export or backup of records; who wants to keep them backs the database up.
Counterpart: `postgres.event_store` has the SQL. Never: a rule, or a unit as it is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from service.events import AnyEvent


class Rollup(Struct, frozen=True, rename="camel"):
    """Events counted: `kind` is page, mutation, experiment or conversion."""

    kind: str
    subject: str
    """Id of the mutation or experiment, or name of the conversion; empty for pages."""
    outcome: str
    """A reason, `shadowed`, or the key of a variation; empty for conversions."""
    events: int
    estimate: float
    """How many there were, where sidecars tell of a share only."""
    last: datetime
    """Beginning of the last hour in which there was one, UTC."""


class Told(Struct, frozen=True):
    """One execution or conversion. `content`: JSON, as `service.events` has it."""

    id: str
    at: datetime
    content: bytes


class EventStore(Protocol):
    """Every method raises StoreError while the store is away."""

    async def add(self, events: Sequence[AnyEvent]) -> int:
        """Keep and count those that were not there, all or nothing; how many that were."""

    async def make_room(self, days_ahead: int) -> int:
        """Prepare partitions; how many were made."""

    async def forget(self, events_kept: timedelta, rollups_kept: timedelta, at: datetime) -> int:
        """Drop what is older at that moment; how many partitions. Of two clocks, the caller's and the store's, the later is not
        believed: what is dropped does not come back."""

    async def told(
        self, kind: str, *, subject: str | None, site: str | None, before: datetime, since: datetime, limit: int
    ) -> list[Told]:
        """Single events between two moments, the newest first."""

    async def counts(
        self, since: datetime, until: datetime, *, kind: str | None = None, subject: str | None = None
    ) -> list[Rollup]:
        """Counts of whole hours from `since` until before `until`, the most first."""


class NoEvents:
    """For stores that keep none, such as SQLite: nothing is there, and the streams in Redis keep the newest."""

    async def add(self, events: Sequence[AnyEvent]) -> int:
        """None is kept."""
        return 0

    async def make_room(self, days_ahead: int) -> int:
        """There is nothing to prepare."""
        return 0

    async def forget(self, events_kept: timedelta, rollups_kept: timedelta, at: datetime) -> int:
        """There is nothing to drop."""
        return 0

    async def told(
        self, kind: str, *, subject: str | None, site: str | None, before: datetime, since: datetime, limit: int
    ) -> list[Told]:
        """None."""
        return []

    async def counts(
        self, since: datetime, until: datetime, *, kind: str | None = None, subject: str | None = None
    ) -> list[Rollup]:
        """None."""
        return []

"""What is up and what is not.

Counterpart: `/readyz` for load balancers, `/api/layout-mutation/health` and the admin for people. Never: a repair; `healer.py` does those.
"""

import asyncio

from msgspec import Struct

from control_plane.exchange import Exchange, ExchangeError
from control_plane.healer import Findings, Healer
from control_plane.intent import Publication
from control_plane.publishing import Publishing
from control_plane.store import Store, StoreError
from control_plane.store.mirror.standing import LEVEL, Standing, State
from control_plane.store.mirrored import standing_of

TIMEOUT_S = 3.0


class Part(Struct, frozen=True, rename="camel"):
    """One thing that the service needs. `detail`: empty while it is up."""

    up: bool
    detail: str = ""


class HealthReport(Struct, frozen=True, rename="camel"):
    """All of it. Ready: the database or its mirror answers; without Redis changes wait to be published."""

    ready: bool
    database: Part
    redis: Part
    publication: Publication
    database_schema: Findings = Findings()
    mirror: Standing = LEVEL
    """Who answers, the database or its mirror, and what waits for the database."""


class Health:
    """Looks when asked. `starting` is why the service has not begun yet; empty once it has."""

    def __init__(self, store: Store, exchange: Exchange, publishing: Publishing, healer: Healer) -> None:
        self._store = store
        self._exchange = exchange
        self._publishing = publishing
        self._healer = healer
        self.starting = "connecting to the database"

    async def report(self) -> HealthReport:
        """What is up right now; never raises."""
        database, redis = await asyncio.gather(self._database(), self._redis())
        standing = standing_of(self._store)
        ready = not self.starting and standing.state is not State.STARTING
        return HealthReport(ready, database, redis, self._publishing.state(), self._healer.findings(), standing)

    async def _database(self) -> Part:
        standing = standing_of(self._store)
        if self.starting:
            return Part(up=False, detail=standing.problem if standing.state is State.STARTING else self.starting)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._store.ping()
        except (StoreError, TimeoutError) as error:
            return Part(up=False, detail=str(error) or "no answer in time")
        return Part(up=True)

    async def _redis(self) -> Part:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._exchange.ping()
        except (ExchangeError, TimeoutError) as error:
            return Part(up=False, detail=str(error) or "no answer in time")
        return Part(up=True)

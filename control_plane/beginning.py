"""What is done before a store is used, and each time that it is there again.

Counterpart: `app.py` says when. Never: a store that needs a person is used; what it needs is an alert.
"""

import asyncio
import random

import structlog
import uuid_utils

from control_plane import stores
from control_plane.alerts import Severity
from control_plane.audit import AUDIT_KEY_UNKNOWN
from control_plane.auditing import AuditKeyError, check_keys
from control_plane.conditions import MOVE_NEEDS_A_PERSON, SCHEMA_NEEDS_A_PERSON
from control_plane.moving.moves import MoveError
from control_plane.moving.settling import Settling
from control_plane.schema.runner import SchemaError
from control_plane.services import Services
from control_plane.store import Chain, Installation, ReadOnlyError, StoreError
from control_plane.store.mirrored import MirroredStore

MUTATIONS_TWICE = "mutations_twice"
BACKOFF_S = (0.2, 10.0)  # first and longest pause between tries to open a store that has no mirror

log = structlog.get_logger("app")


class Beginning:
    """The steps, for one process."""

    def __init__(self, services: Services, chain: Chain, settling: Settling) -> None:
        self._services = services
        self._chain = chain
        self._settling = settling

    async def prepare(self) -> None:
        """Bring the store up to date and open it; what needs a person is told.

        Raises:
            ReadOnlyError: nothing may be written, because the audit can't go on.
            StoreError: it can't be used now.
        """
        services = self._services
        store = services.store.primary if isinstance(services.store, MirroredStore) else services.store
        try:
            for step in await stores.prepare(services.settings, services.before_migration):
                log.info("migration_applied", number=step.number, name=step.name)
            await self._settling.settle()
            await store.open()
            await services.healer.repair()
            await check_keys(store, self._chain)
        except (SchemaError, MoveError, AuditKeyError) as error:
            self._tell(error)
            raise (ReadOnlyError if isinstance(error, AuditKeyError) else StoreError)(str(error)) from error
        for word in (SCHEMA_NEEDS_A_PERSON, MOVE_NEEDS_A_PERSON, AUDIT_KEY_UNKNOWN):
            services.alerts.settle(word)

    async def recovered(self) -> None:
        """What follows once the store can be written; raises StoreError."""
        services = self._services
        services.rescue.close()
        await services.healer.write_down()
        await self._settling.remember(services.store)
        self._tell_copies(await services.store.identify())
        await services.adjustable.seed()
        await services.note_peers()
        await services.publishing.ensure_table()

    async def alone(self) -> None:
        """For a store without a mirror: all of it, until it is done."""
        services, (pause, longest) = self._services, BACKOFF_S
        while True:
            try:
                await self.prepare()
                await services.rescue.fill(services.store)
                await services.store.found(Installation(str(uuid_utils.uuid4()), 1, services.publishing.now()))
                await self.recovered()
            except StoreError as error:
                if services.health.starting != str(error):
                    log.warning("waiting_for_database", problem=str(error))
                services.health.starting = str(error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads services apart
                pause = min(pause * 2, longest)
            else:
                return

    def _tell(self, error: SchemaError | MoveError | AuditKeyError) -> None:
        if isinstance(error, MoveError):
            word, summary = MOVE_NEEDS_A_PERSON, "The data could not be moved to the store that is configured now."
            advice = "Do what the detail says; where the data was, it still is. docs/moving.md has the scenarios."
        elif isinstance(error, AuditKeyError):
            word, summary = AUDIT_KEY_UNKNOWN, "The audit is sealed with a key that is not known here."
            advice = "Name the key as the detail says, and start again. Nothing was changed."
        else:
            word, summary = (
                SCHEMA_NEEDS_A_PERSON,
                "The database's schema needs a person. A mirror answers meanwhile, if there is one.",
            )
            advice = "Do what the detail says; `layout-mutation migrate --check` shows the rest. Nothing was changed."
        self._services.alerts.report(word, Severity.CRITICAL, summary, advice, str(error))

    def _tell_copies(self, copies: list[tuple[str, str]]) -> None:
        """Say which mutations are there twice, from before there was one of each."""
        if not copies:
            self._services.alerts.settle(MUTATIONS_TWICE)
            return
        told = "; ".join(f"{copy} does the same as {other}" for copy, other in copies)
        summary = f"{len(copies)} mutations are equal to another one."
        advice = "Archive those that are not needed. They are left as they are; new copies are not made."
        self._services.alerts.report(MUTATIONS_TWICE, Severity.WARNING, summary, advice, told)

"""Looks after the database's schema: at the start, every minute, and when somebody asks.

What it repaired goes into the audit, the log, an alert and a metric; what is for a person is an alert with the statement that
would put it right. Counterpart: `control_plane.schema.healing` compares and repairs; `health.py` shows the findings.
Never: an exception out of the loop, or a repair that could lose something.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from msgspec import UNSET, Struct, UnsetType

from control_plane.alerts import Alerts, Severity
from control_plane.intent import Action
from control_plane.schema import catalogue, healing, runner
from control_plane.schema.address import Address
from control_plane.schema.drift import Drift, Remedy
from control_plane.schema.healing import CopyOf, Outcome
from control_plane.store import Store, StoredAudit, StoreError
from control_plane.store.postgres.connections import store_errors
from control_plane.telemetry import Telemetry
from control_plane.tokens import Actor, Role

INTERVAL_S = 60.0
LOOK_TIMEOUT_S = 30.0  # who waits longer may wait on a server that is gone, and keep all others waiting
SCHEMA_DRIFT = "schema_drift"
SCHEMA_REPAIRED = "schema_repaired"
SCHEMA_MADE_ANEW = "schema_made_anew"
ROWS_LOST = "rows_lost"
SYSTEM = Actor("control-plane", Role.ADMIN)
REASON_CHARACTERS_MAX = 1_000
SHOWN_MAX = 20
STATEMENT_SHOWN_MAX = 300  # a whole table's is longer; the API has all of it

log = structlog.get_logger("healer")


class Findings(Struct, frozen=True, rename="camel"):
    """What the last look at the schema found."""

    looked_at: datetime | None = None
    """When that was; null before the first."""
    fine: bool = True
    """Nothing differs from what the migrations make."""
    items: tuple[Drift, ...] | UnsetType = UNSET
    """What differs, with what would put it right; only for people."""


class Healer:
    """The keeper of one database's schema."""

    def __init__(
        self,
        address: Address | None,
        store: Store,
        alerts: Alerts,
        telemetry: Telemetry,
        *,
        clock: Callable[[], datetime],
        copy_of: CopyOf | None = None,
        foreign: Callable[[], bool] = lambda: False,
    ) -> None:
        """`address`: None for a store that looks after its own schema. `copy_of` gives rows that were lost with their table: what a
        mirror is for. `foreign`: whether the database is another installation's, whose schema is none of our business."""
        self._address = address
        self._store = store
        self._alerts = alerts
        self._telemetry = telemetry
        self._clock = clock
        self._copy_of = copy_of
        self._foreign = foreign
        self._expected = catalogue.committed()
        self._healing = asyncio.Lock()
        self._findings = Findings(items=())
        self._untold: list[Drift] = []
        """Repairs that are not in the audit yet."""

    def findings(self) -> Findings:
        """What the last look found; no I/O."""
        return self._findings

    async def heal(self, actor: Actor = SYSTEM) -> Outcome:
        """Look, repair what may be repaired, and tell. Raises StoreError (away) or SchemaError (a newer or a foreign schema)."""
        outcome = await self.repair()
        await self.write_down(actor)
        return outcome

    async def repair(self) -> Outcome:
        """As `heal`, without the audit, for a start whose audit can't be used yet."""
        async with self._healing:
            outcome = await self._outcome()
            if outcome.repaired:
                self._tell_repaired(outcome.repaired)
            if outcome.emptied:
                self._tell_emptied(outcome.emptied)
            self._tell_left(outcome.left)
            return outcome

    async def write_down(self, actor: Actor = SYSTEM) -> None:
        """Put what was repaired into the audit; raises StoreError, and keeps it for the next time."""
        if not self._untold:
            return
        telling = tuple(self._untold)
        async with self._store.transaction() as transaction:
            for drift in telling:
                await transaction.add_audit(
                    StoredAudit(
                        at=self._clock(),
                        actor=actor.subject,
                        role=actor.role,
                        action=Action.HEALED,
                        kind="schema",
                        subject=drift.subject,
                        reason=f"{drift.kind}: {drift.statement}"[:REASON_CHARACTERS_MAX],
                    )
                )
        del self._untold[: len(telling)]

    async def keep(self) -> None:
        """Until cancelled: once a minute."""
        while True:
            await asyncio.sleep(INTERVAL_S * random.uniform(0.8, 1.2))  # noqa: S311 - spreads services apart
            await self.look_after()

    async def look_after(self) -> None:
        """One turn of `keep`; never raises."""
        try:
            await self.heal()
        except StoreError:
            pass  # whoever looks at the database tells of it
        except runner.SchemaError as error:
            advice = "Do what the detail says. Nothing was changed."
            summary = "The database's schema is none that this program may repair."
            self._alerts.report(SCHEMA_DRIFT, Severity.CRITICAL, summary, advice, str(error))
        except Exception as error:  # a loop that an unforeseen error can end would look after nothing any more
            log.exception("healing_failed", error=type(error).__name__)

    async def _outcome(self) -> Outcome:
        if self._address is None:
            return Outcome()
        if self._foreign():
            raise StoreError("the database belongs to another installation; its schema is left as it is")
        with store_errors():
            async with runner.connected(self._address) as connection:
                try:
                    drifts = await self._look(connection)
                except runner.SchemaError:
                    await self._make_anew()
                    drifts = await self._look(connection)
                if not any(drift.remedy is Remedy.REPAIR for drift in drifts):
                    return Outcome(left=drifts)
                return await healing.heal(connection, self._expected, self._copy_of)

    async def _look(self, connection: "healing.Connection") -> tuple[Drift, ...]:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return await healing.look(connection, self._expected)

    async def _make_anew(self) -> None:
        """The schema is gone, or an older one: brought up to date. Where there is a mirror, whoever keeps it finds a database of
        nobody's and restores it whole. Raises SchemaError."""
        assert self._address is not None, "there is a schema to look at"
        applied = await runner.migrate_there(self._address)
        if not applied or applied[0].number > 1:
            return
        log.warning("schema_made_anew", mirrored=self._copy_of is not None)
        if self._copy_of is not None:
            return
        summary = "The database's schema was gone and was made again, without its rows."
        advice = "Restore the newest backup; visitors keep the table that sidecars have."
        self._alerts.report(SCHEMA_MADE_ANEW, Severity.CRITICAL, summary, advice)

    def _tell_repaired(self, repaired: Sequence[Drift]) -> None:
        self._untold += repaired
        for drift in repaired:
            statement = _shortened(drift.statement)
            log.warning("schema_repaired", drift=drift.kind, subject=drift.subject, statement=statement)
            self._telemetry.repaired(drift.kind)
        summary = f"The database's schema was damaged in {len(repaired)} place(s), and was repaired."
        advice = "Find out who changed it: nothing but migrations should. What was replaced or put aside is in layout_mutation.quarantines."
        self._alerts.report(SCHEMA_REPAIRED, Severity.INFO, summary, advice, _listed(repaired))

    def _tell_emptied(self, tables: Sequence[str]) -> None:
        summary = "Tables of the database were gone and were made again without their rows."
        advice = "Restore the newest backup, unless another instance has put its mirror's copy back by now: this one's has none."
        self._alerts.report(ROWS_LOST, Severity.CRITICAL, summary, advice, ", ".join(tables))

    def _tell_left(self, left: tuple[Drift, ...]) -> None:
        self._findings = Findings(self._clock(), not left, left)
        self._telemetry.drifted(len(left))
        if not left:
            self._alerts.settle(SCHEMA_DRIFT)
            return
        severity = Severity.CRITICAL if any(drift.kind == "column_lost" for drift in left) else Severity.WARNING
        summary = f"The database's schema differs from this program's in {len(left)} place(s) that are for a person."
        advice = "Run the statements of the detail as the schema's owner, or keep what somebody added there on purpose elsewhere."
        self._alerts.report(SCHEMA_DRIFT, severity, summary, advice, _listed(left))


def _shortened(statement: str) -> str:
    return statement if len(statement) <= STATEMENT_SHOWN_MAX else statement[:STATEMENT_SHOWN_MAX] + "…"


def _listed(drifts: Sequence[Drift]) -> str:
    lines = [
        f"{drift.kind} {drift.subject}: {_shortened(drift.statement)}"
        + (f" ({drift.problem})" if drift.problem else "")
        for drift in drifts[:SHOWN_MAX]
    ]
    more = len(drifts) - SHOWN_MAX
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])

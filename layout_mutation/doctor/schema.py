"""Whether the database's schema is what the migrations make, and repairs where they are asked for.

Counterpart: `control_plane.healer` repairs, and writes it into the audit. Never: a repair that could lose something.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout

from control_plane.alerts import Alerts
from control_plane.healer import Healer
from control_plane.schema import address, catalogue, healing, runner
from control_plane.schema.healing import Outcome
from control_plane.store import StoreError
from control_plane.store.postgres import PostgresStore
from control_plane.store.postgres.connections import store_errors
from control_plane.telemetry import Telemetry
from control_plane.tokens import Actor, Role
from layout_mutation.doctor.checks import Asked, Check, is_fine
from layout_mutation.stores import chain_of
from service.clock import now

DOCTOR = Actor("doctor", Role.ADMIN)
STATEMENTS_TOLD_MAX = 20


def schema(asked: Asked, found: Sequence[Check]) -> list[Check]:
    """How the schema differs from what the migrations make; looked at only where all of them are applied."""
    if not is_fine("database", found):
        return []
    if asked.heal and not asked.environ.get("CONTROL_PLANE_SIGNING_KEY"):
        return [Check("schema", False, "--heal needs CONTROL_PLANE_SIGNING_KEY: repairs are sealed in the audit")]
    try:
        outcome = asyncio.run(_healed(asked.environ) if asked.heal else _looked(asked.environ["DATABASE_URL"]))
    except (StoreError, runner.SchemaError, ValueError) as error:
        return [Check("schema", False, str(error))]
    return [Check("schema", not outcome.left, _told(outcome))]


def _told(outcome: Outcome) -> str:
    words = [f"repaired {drift.kind} {drift.subject}" for drift in outcome.repaired]
    for drift in outcome.left[:STATEMENTS_TOLD_MAX]:
        why = f" ({drift.problem})" if drift.problem else ""
        words.append(f"{drift.kind} {drift.subject}{why}: {drift.statement}")
    if len(outcome.left) > STATEMENTS_TOLD_MAX:
        words.append(f"and {len(outcome.left) - STATEMENTS_TOLD_MAX} more")
    return "; ".join(words) or "what the migrations make"


async def _looked(url: str) -> Outcome:
    with store_errors():
        async with runner.connected(address.parse(url)) as connection:
            return Outcome(left=await healing.look(connection, catalogue.committed()))


async def _healed(environ: Mapping[str, str]) -> Outcome:
    place = address.parse(environ["DATABASE_URL"])
    store = PostgresStore(place, connections_max=2, chain=chain_of(dict(environ)))
    await store.open()
    try:
        with redirect_stdout(sys.stderr):  # what is logged meanwhile is no finding
            return await Healer(place, store, Alerts(), Telemetry(), clock=now).heal(DOCTOR)
    finally:
        await store.close()

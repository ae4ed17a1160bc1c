"""While the mirror answers in the database's place: what every page says of that, and what of it is provisional.

Counterpart: `control_plane.store.mirrored` says who answers; `guard` looks once for each request, `templates/frame.html` shows it.
Never: a reason for a page to fail or to wait long; without an answer there is only less to say.
"""

import asyncio
from datetime import datetime, timedelta

import structlog
from aiohttp import web
from msgspec import Struct

from control_plane.services import SERVICES
from control_plane.store import AuditRecord, DocumentRecord, StoreError
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import MirroredStore, standing_of

PATIENCE_S = 1.0

log = structlog.get_logger("control_plane.admin")


class Waits(Struct, frozen=True):
    """What is known of the outbox. `refusal`: why nothing can be changed here, as the end of a sentence; empty where it can."""

    refusal: str = ""
    versions: frozenset[tuple[str, str, int]] = frozenset()
    """Kind, id and version of documents that the database has not got yet."""
    entries: frozenset[int] = frozenset()
    """Numbers of such audit entries."""


class Away(Struct, frozen=True):
    """The database is away."""

    level_at: datetime
    """As of when everything is known."""
    changes: int
    """How many wait."""
    problem: str
    waits: Waits
    known: bool = True
    """Whether there was time to find out who takes changes: not where the database went away within this request."""

    @property
    def refusal(self) -> str:
        """Why nothing can be changed here; empty where it can."""
        return self.waits.refusal

    def has(self, kind: str, document_id: str, version: int) -> bool:
        """Whether this version of a document is provisional."""
        return (kind, document_id, version) in self.waits.versions

    def has_entry(self, number: int) -> bool:
        """Whether this audit entry is provisional: it may get another number."""
        return number in self.waits.entries


WAITS = web.RequestKey("what waits for the database", Waits)


async def look(request: web.Request) -> None:
    """Find out what the page will have to say, where the mirror answers; never raises."""
    store = request.app[SERVICES].store
    if not isinstance(store, MirroredStore) or store.standing().state is not State.MIRROR:
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            refusal = await store.refusal()
    except TimeoutError:
        refusal = "which instance takes changes can't be found out right now"
    try:
        records = [record for change in await store.waiting() for record in change.records]
    except StoreError as error:
        log.warning("outbox_unread", problem=str(error))
        records = []
    request[WAITS] = Waits(
        refusal=refusal,
        versions=frozenset(
            (one.kind.value, one.id, one.version.version) for one in records if isinstance(one, DocumentRecord)
        ),
        entries=frozenset(one.entry.number for one in records if isinstance(one, AuditRecord)),
    )


def away(request: web.Request) -> Away | None:
    """What there is to say now; None while the database answers, or nobody."""
    services = request.app[SERVICES]
    standing = standing_of(services.store)
    if standing.state is not State.MIRROR:
        return None
    level_at = services.publishing.now() - timedelta(seconds=standing.mirror_age_s)
    waits = request.get(WAITS)
    return Away(level_at, standing.outbox, standing.problem, waits or Waits(), known=waits is not None)

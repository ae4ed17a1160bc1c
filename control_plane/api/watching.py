"""Handlers for those who watch: audit, alerts, fleet, health, metrics.

Counterpart: `control_plane.health`, `telemetry`, `audit`. Never: a change of rules.
"""

from typing import Any, Literal

import msgspec
from aiohttp import web

from control_plane.alerts import Alert
from control_plane.api.answers import json_answer, with_publication
from control_plane.api.requests import intent_of, query, read_json
from control_plane.documents import PAGE_LIMIT
from control_plane.intent import Page
from control_plane.services import Services
from control_plane.store.mirrored import standing_of
from control_plane.tokens import Actor, Role
from rules.diagnosis import decode


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which entries, and which part of their list."""

    kind: str | None = None
    subject: str | None = None
    cursor: str | None = None
    limit: int = PAGE_LIMIT


class AlertsQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which alerts, and which part of their list."""

    state: Literal["open", "all"] = "open"
    """`open` is never parted; `all` has those that are over too, the newest first."""
    cursor: str | None = None
    limit: int = PAGE_LIMIT


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person says to an alert."""

    reason: str
    """What is known or done about it."""


class AlertsAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """Alerts of all instances."""

    items: tuple[Alert, ...]


class FleetAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What each sidecar said last about itself."""

    table_version: int
    """The version that each should run."""
    items: list[dict[str, Any]]


async def audit(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Who did what, newest first."""
    asked = query(request, AuditQuery)
    return json_answer(await services.audit.page(**msgspec.structs.asdict(asked)))


async def alerts(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What a person should know of; `open` answers out of memory while the store is away."""
    asked = query(request, AlertsQuery)
    if asked.state == "open":
        return json_answer(Page(services.kept_alerts.open()))
    return json_answer(await services.kept_alerts.page(cursor=asked.cursor, limit=asked.limit))


async def acknowledge(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """A person knows of it."""
    body = await read_json(request)
    intent = intent_of(request, actor, body, reason=decode(body, Acknowledgement).reason)
    return json_answer(AlertsAnswer(await services.kept_alerts.acknowledge(request.match_info["id"], intent)))


class Undo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `undo`."""

    reason: str = ""
    """Required, here or as `X-Reason`."""
    changeset: bool = False
    """Undo all that was done together with the entry, such as a whole import."""


async def audit_entry(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """One entry with what it changed."""
    return json_answer(await services.audit.entry(_number(request)))


class OutlookQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much an undo would take back."""

    changeset: bool = False
    """All that was done together with the entry."""


async def outlook(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What undoing would do, and what stands in the way."""
    asked = query(request, OutlookQuery)
    return json_answer(await services.undoing.outlook(_number(request), whole=asked.changeset))


async def undo(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Take back what an entry says was done."""
    body = await read_json(request)
    asked: Undo = decode(body, Undo)
    intent = intent_of(request, actor, body, reason=asked.reason)
    undone, publication = await services.undoing.undo(_number(request), intent, whole=asked.changeset)
    return json_answer(with_publication(undone, publication))


def _number(request: web.Request) -> int:
    digits = request.match_info["number"]
    return int(digits) if len(digits) < 19 else 0


async def verify(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Whether the audit and the history are what they were; 200 with whatever was found."""
    return json_answer(await services.audit.verify())


async def fleet(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What the sidecars run."""
    entries = await services.exchange.fleet()
    return json_answer(FleetAnswer(services.publishing.state().table_version, entries))


async def health(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What is up and what is not; 200 as long as the service can say so."""
    report = await services.health.report()
    if actor.role in (Role.SIDECAR, Role.PEER):
        closed = msgspec.structs.replace(report.database_schema, items=msgspec.UNSET)
        report = msgspec.structs.replace(report, database_schema=closed)
    return json_answer(report)


async def migration(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Source and target of a move side by side, and what is wrong with the documents."""
    return json_answer(await services.migration.report())


async def mend(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Save what the migration checker is certain of."""
    mended, publication = await services.migration.mend(intent_of(request, actor, b""))
    return json_answer(with_publication(mended, publication))


async def heal(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Repair what may be repaired of the database's schema, now."""
    return json_answer(await services.healer.heal(actor))


async def healthz(request: web.Request, services: Services) -> web.Response:
    """The process lives."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request, services: Services) -> web.Response:
    """Whether anything can be answered, and which parts are up; without details, which are for those with a token."""
    report = await services.health.report()
    parts = {"database": report.database.up, "redis": report.redis.up, "published": report.publication.published}
    # Ready and degraded: the mirror answers. A balancer that took every instance out would leave nobody to answer.
    answer = {"ready": report.ready, "degraded": not all(parts.values()), "parts": parts}
    return json_answer(answer, status=200 if report.ready else 503)


async def metrics(request: web.Request, services: Services) -> web.Response:
    """Counts for Prometheus."""
    standing = standing_of(services.store)
    services.telemetry.stands(standing.state, outbox=standing.outbox, mirror_age_s=standing.mirror_age_s)
    body = services.telemetry.exposition(services.publishing.state(), services.alerts.open())
    return web.Response(body=body, headers={"Content-Type": services.telemetry.content_type})

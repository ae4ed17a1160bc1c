"""The history: all that was done, by whom, why and from where; and whether it is what it was.

Counterpart: `entry` has one of them; `control_plane.audit` keeps and verifies them. Never: an entry that changes.
"""

from aiohttp import web
from msgspec import Struct

from control_plane.admin import addresses
from control_plane.admin.deeds import Deed, deed_of
from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.audit import KINDS, AuditEntry
from control_plane.services import SERVICES, Services
from control_plane.store import StoreError
from control_plane.tokens import Permission

ROWS = 25
ERRAND = "audit"
ASKED_CHARACTERS_MAX = 200
NAMES_MAX = 200
"""Mutations that are called by their names, the last changed ones; others by their ids."""
FILTERED = (*sorted(KINDS), "table", "session", "alert", "setting", "conflict", "backup", "installation")
"""Kinds that the list can be narrowed to."""


class Row(Struct, frozen=True):
    """An entry as the list shows it."""

    entry: AuditEntry
    deed: Deed


async def show(request: web.Request) -> web.Response:
    """A part of the entries, newest first: `kind`, `subject`, `cursor`."""
    require(request, Permission.READ)
    return await _page(request)


async def verify(request: web.Request) -> web.StreamResponse:
    """Look at the whole chain, and at all that it sealed."""
    actor = require(request, Permission.ADMINISTER)
    services = request.app[SERVICES]

    async def work() -> str:
        report = await services.audit.verify()
        if report.sound:
            return f"All {report.entries:,} entries and {report.versions:,} versions are what was sealed."
        return f"{report.faults_total:,} faults were found."

    if not services.errands.begin(ERRAND, work, actor=actor.subject, expected=(StoreError,)):
        return await _page(request, "It is being looked at just now.", status=409)
    raise web.HTTPSeeOther(addresses.HISTORY)


async def _page(request: web.Request, problem: str = "", *, status: int = 200) -> web.Response:
    services = request.app[SERVICES]
    asked = {name: _asked(request, name) for name in ("kind", "subject")}
    cursor = request.query.get("cursor") or None
    found = await services.audit.page(
        kind=asked["kind"] or None, subject=asked["subject"] or None, cursor=cursor, limit=ROWS
    )
    errand = services.errands.of(ERRAND)
    return page(
        request,
        "audit.html",
        status=status,
        rows=[Row(entry, deed_of(entry)) for entry in found.items],
        names=dict(await services.mutations.names(limit=NAMES_MAX)),
        asked=asked,
        kinds=FILTERED,
        cursor=cursor,
        next_cursor=found.next_cursor,
        errand=errand,
        waits=errand is not None and errand.ended_at is None,
        problem=problem,
        done=request.query.get("done", ""),
        **_chain(services),
    )


def _chain(services: Services) -> dict[str, object]:
    """When the chain was looked at last by this instance, and what was found."""
    at, report = services.audit.verified or (None, None)
    upto = 0 if report is None else report.since + report.entries
    return {"verified_at": at, "report": report, "upto": upto}


def _asked(request: web.Request, name: str) -> str:
    return request.query.get(name, "").replace("\0", "").strip()[:ASKED_CHARACTERS_MAX]

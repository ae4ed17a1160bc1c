"""The page of alerts: what is open with what to do, to be acknowledged, and what was.

Counterpart: `banner` has the open ones on every other page. Never: an alert made to go away; what is so stays until it is not.
"""

# ruff: noqa: RUF001 - sentences for people have real apostrophes

from aiohttp import web

from control_plane.admin import addresses
from control_plane.admin.banner import WORDS, shown
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.alerts import Alert
from control_plane.intent import Intent, Page
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES
from control_plane.store import StoreError
from control_plane.tokens import Permission

ROWS = 25


async def show(request: web.Request) -> web.Response:
    """What is open, and a part of the history; of the latter nothing while the store is away."""
    require(request, Permission.READ)
    return await _page(request)


async def acknowledge(request: web.Request) -> web.StreamResponse:
    """A person knows of it."""
    actor = require(request, Permission.WRITE)
    reason = str((await request.post()).get("reason", "")).strip()
    try:
        await request.app[SERVICES].kept_alerts.acknowledge(
            request.match_info["id"], Intent(actor=actor, origin=origin(request), reason=reason)
        )
    except Refused as refused:
        status = 422 if refused.refusal is Refusal.REASON_REQUIRED else 404
        return await _page(request, problem=refused.detail, status=status)
    raise web.HTTPSeeOther(f"{addresses.ALERTS}?done=acknowledged")


async def _page(request: web.Request, *, problem: str = "", status: int = 200) -> web.Response:
    kept = request.app[SERVICES].kept_alerts
    cursor = request.query.get("cursor") or None
    unread, found = "", Page[Alert](())
    try:
        found = await kept.page(cursor=cursor, limit=ROWS)
    except StoreError:
        unread = "The history can’t be read while the database is away."
    return page(
        request,
        "alerts.html",
        status=status,
        open=shown(kept.open()),
        history=found.items,
        severities=WORDS,
        cursor=cursor,
        next_cursor=found.next_cursor,
        unread=unread,
        problem=problem,
        done=request.query.get("done", ""),
    )

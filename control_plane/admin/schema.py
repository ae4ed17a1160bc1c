"""The page of the database's schema: what differs from what the migrations make, with what would put it right, and a button to look now.

Counterpart: `control_plane.healer` looks and repairs. Never: a statement run that could lose something.
"""

from aiohttp import web

from control_plane.admin import addresses
from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.services import SERVICES
from control_plane.tokens import Permission


async def show(request: web.Request) -> web.Response:
    """What the last look found."""
    require(request, Permission.PUBLISH)
    findings = request.app[SERVICES].healer.findings()
    return page(request, "schema.html", findings=findings, done=request.query.get("done", ""))


async def heal(request: web.Request) -> web.StreamResponse:
    """Look now, and repair what may be repaired."""
    actor = require(request, Permission.ADMINISTER)
    await request.app[SERVICES].healer.heal(actor)
    raise web.HTTPSeeOther(f"{addresses.SCHEMA}?done=healed")

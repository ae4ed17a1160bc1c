"""The page of the migration checker: where the data came from and where it is, what is wrong, and a button for what is certain.

Counterpart: `control_plane.moving.mending` looks and saves. Never: a change that an admin did not ask for.
"""

from aiohttp import web

from control_plane.admin import addresses
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.intent import Intent
from control_plane.refusals import Refused
from control_plane.services import SERVICES
from control_plane.tokens import Permission


async def show(request: web.Request) -> web.Response:
    """What the checker finds right now."""
    require(request, Permission.PUBLISH)
    return await _page(request)


async def mend(request: web.Request) -> web.StreamResponse:
    """Save what is certain."""
    actor = require(request, Permission.ADMINISTER)
    posted = await request.post()
    intent = Intent(actor=actor, origin=origin(request), reason=str(posted.get("reason", "")).strip())
    try:
        await request.app[SERVICES].migration.mend(intent)
    except Refused as refused:
        return await _page(request, refused.detail, status=409)
    raise web.HTTPSeeOther(f"{addresses.MIGRATION}?done=mended")


async def _page(request: web.Request, problem: str = "", *, status: int = 200) -> web.Response:
    report = await request.app[SERVICES].migration.report()
    return page(
        request,
        "migration.html",
        status=status,
        report=report,
        rows=[row for row in report.entities if row.source.count or row.target.count],
        mechanical=sum(flaw.mechanical for flaw in report.flaws),
        problem=problem,
        done=request.query.get("done", ""),
    )

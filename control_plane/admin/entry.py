"""One entry of the audit: before and after field by field, and the button that takes it back, with what that would do.

Counterpart: `control_plane.undoing` does it. Never: a later change lost without a word; where one stands in the way it is named.
"""

import msgspec
from aiohttp import web

from control_plane.admin import addresses
from control_plane.admin.deeds import address_of, deed_of, is_document
from control_plane.admin.differences import Difference, differences
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.audit import AuditEntry
from control_plane.intent import Action, Intent
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES, Services
from control_plane.store import Kind
from control_plane.tokens import Permission
from rules.errors import RulesError

Content = dict[str, object]


async def show(request: web.Request) -> web.Response:
    """The entry of the number in the address; `together` in the query: undo is about all that was done with it."""
    require(request, Permission.READ)
    return await _page(request, whole="together" in request.query)


async def undo(request: web.Request) -> web.StreamResponse:
    """Take it back, alone or with all that was done together."""
    actor = require(request, Permission.PUBLISH)
    posted = await request.post()
    whole, reason = posted.get("do") == "together", str(posted.get("reason", "")).strip()
    intent = Intent(actor=actor, origin=origin(request), reason=reason)
    try:
        await request.app[SERVICES].undoing.undo(_number(request), intent, whole=whole)
    except Refused as refused:
        if refused.refusal is Refusal.NOT_FOUND:
            raise
        status = 422 if refused.refusal is Refusal.REASON_REQUIRED else 409
        return await _page(request, refused.detail, reason, whole=whole, status=status)
    except RulesError as error:
        problem = f"What would come back no longer fits the others: {error.path}: {error.problem}"
        return await _page(request, problem, reason, whole=whole, status=422)
    raise web.HTTPSeeOther(f"{addresses.HISTORY}?done=undone")


async def _page(
    request: web.Request, problem: str = "", reason: str = "", *, whole: bool, status: int = 200
) -> web.Response:
    services, number = request.app[SERVICES], _number(request)
    entry = await services.audit.entry(number)
    outlook = await services.undoing.outlook(number, whole=whole)
    before, after = await _sides(services, entry)
    return page(
        request,
        "entry.html",
        status=status,
        entry=entry,
        deed=deed_of(entry),
        name=(after or before or {}).get("name") or entry.subject,
        changes=_changes(before, after),
        before=before,
        after=after,
        outlook=outlook,
        in_the_way=any(one.problem for one in outlook.documents),
        address_of=address_of,
        whole=whole,
        problem=problem,
        reason=reason,
    )


async def _sides(services: Services, entry: AuditEntry) -> tuple[Content | None, Content | None]:
    """What the document said before and after; None where it was not there."""
    if not is_document(entry):
        return None, None
    return (
        await _content(services, entry, entry.version_before),
        await _content(services, entry, entry.version_after),
    )


async def _content(services: Services, entry: AuditEntry, version: int | None) -> Content | None:
    if version is None:
        return None
    found = await services.store.version(Kind(entry.kind), entry.subject, version)
    if found is None or found.action == Action.DELETED:
        return None
    return msgspec.json.decode(found.content, type=Content)


def _changes(before: Content | None, after: Content | None) -> list[Difference]:
    return differences(before or {}, after or {})


def _number(request: web.Request) -> int:
    digits = request.match_info["number"]
    return int(digits) if len(digits) < 19 else 0

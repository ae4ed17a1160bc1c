"""The page of what was deleted: by whom, when and why, to be brought back as it was.

Counterpart: `control_plane.documents` lists and restores; archived mutations are in their own list. Never: anything gone for good.
"""

from typing import Any

from aiohttp import web
from msgspec import Struct

from control_plane.admin import addresses
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.switching import whole
from control_plane.admin.visitor import require
from control_plane.documents import Documents
from control_plane.intent import Intent, Version
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES, Services
from control_plane.store import Kind
from control_plane.tokens import Permission
from rules.errors import RulesError

ROWS_OF_ONE = 25
ROWS_OF_EACH = 8


class Shelf(Struct, frozen=True):
    """The deleted ones of a kind, or the first of them."""

    kind: Kind
    items: tuple[Version[Any], ...]
    next_cursor: str | None


async def show(request: web.Request) -> web.Response:
    """Of each kind the last deleted ones; `kind` in the query: all of one, in pages."""
    require(request, Permission.READ)
    return await _page(request)


async def restore(request: web.Request) -> web.StreamResponse:
    """Bring one back as it was."""
    actor = require(request, Permission.PUBLISH)
    documents = _of(request.app[SERVICES]).get(request.match_info["kind"])
    if documents is None:
        raise web.HTTPNotFound
    posted = await request.post()
    reason = str(posted.get("reason", "")).strip()
    intent = Intent(actor=actor, origin=origin(request), reason=reason, expected_version=whole(posted.get("version")))
    try:
        await documents.restore(request.match_info["id"], intent)
    except Refused as refused:
        if refused.refusal is Refusal.NOT_FOUND:
            raise
        return await _page(request, refused.detail, reason, status=409)
    except RulesError as error:
        problem = f"As it was it no longer fits the others: {error.path}: {error.problem}"
        return await _page(request, problem, reason, status=422)
    raise web.HTTPSeeOther(f"{addresses.DELETED}?done=brought_back")


async def _page(request: web.Request, problem: str = "", reason: str = "", *, status: int = 200) -> web.Response:
    kinds = _of(request.app[SERVICES])
    asked = request.query.get("kind", "")
    cursor = request.query.get("cursor") or None
    chosen = {asked: kinds[asked]} if asked in kinds else kinds
    shelves = []
    for documents in chosen.values():
        one = await documents.deleted(
            cursor=cursor if asked in kinds else None, limit=ROWS_OF_ONE if asked in kinds else ROWS_OF_EACH
        )
        shelves.append(Shelf(documents.kind, one.items, one.next_cursor))
    return page(
        request,
        "deleted.html",
        status=status,
        shelves=[one for one in shelves if one.items],
        asked=asked if asked in kinds else "",
        cursor=cursor,
        problem=problem,
        reason=reason,
        done=request.query.get("done", ""),
    )


def _of(services: Services) -> dict[str, Documents[Any]]:
    """The kinds whose documents are deleted, by their names."""
    kinds: tuple[Documents[Any], ...] = (
        services.toggles,
        services.experiments,
        services.modules,
        services.segments,
        services.attributes,
        services.saved_groups,
    )
    return {documents.kind.value: documents for documents in kinds}

"""On, off, archived, rolled back: what a button does to a mutation, each with a reason and the version that was seen.

Counterpart: the forms in `templates/parts.html` and the page of one mutation (`history`).
Never: a change of what a mutation says; that is `mutation_form`.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from control_plane.admin import addresses, history
from control_plane.admin.origins import origin
from control_plane.admin.visitor import require
from control_plane.intent import Intent, Saved
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES
from control_plane.tokens import Permission
from rules.errors import RulesError
from rules.model import LayoutMutation

Change = Callable[[str, Intent], Awaitable[Saved[LayoutMutation]]]


async def activate(request: web.Request) -> web.StreamResponse:
    """Show it to visitors."""
    return await _change(request, request.app[SERVICES].mutations.activate, "activated")


async def deactivate(request: web.Request) -> web.StreamResponse:
    """Take it from visitors."""
    return await _change(request, request.app[SERVICES].mutations.deactivate, "deactivated")


async def archive(request: web.Request) -> web.StreamResponse:
    """Put it away; its history stays."""
    return await _change(request, request.app[SERVICES].mutations.archive, "archived")


async def restore(request: web.Request) -> web.StreamResponse:
    """Bring an archived one back, switched off."""
    return await _change(request, request.app[SERVICES].mutations.restore, "restored")


async def roll_back(request: web.Request) -> web.StreamResponse:
    """Save an older version's content as the newest."""
    to_version = whole((await request.post()).get("to"))
    if to_version is None:
        raise web.HTTPBadRequest
    mutations = request.app[SERVICES].mutations

    async def change(mutation_id: str, intent: Intent) -> Saved[LayoutMutation]:
        return await mutations.rollback(mutation_id, to_version, intent)

    return await _change(request, change, "rolled_back")


async def _change(request: web.Request, change: Change, done: str) -> web.StreamResponse:
    """Do it and show the mutation; a refusal is shown on the mutation's page, beside what it refers to."""
    actor = require(request, Permission.WRITE)
    posted = await request.post()
    mutation_id = request.match_info["id"]
    reason = str(posted.get("reason", "")).strip()
    intent = Intent(actor=actor, origin=origin(request), reason=reason, expected_version=whole(posted.get("version")))
    try:
        await change(mutation_id, intent)
    except Refused as refused:
        if refused.refusal is Refusal.NOT_FOUND:
            raise
        return await history.render(request, mutation_id, problem=refused.detail, reason=reason, status=409)
    except RulesError as error:
        return await history.render(
            request, mutation_id, problem=f"{error.path}: {error.problem}", reason=reason, status=422
        )
    raise web.HTTPSeeOther(f"{addresses.mutation(mutation_id)}?done={done}")


def whole(text: object) -> int | None:
    """A whole number that a form sent; None for anything else."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 10 else None

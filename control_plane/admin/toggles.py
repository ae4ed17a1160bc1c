"""The page of toggles: what is off, since when and why; with a form for another one.

Counterpart: `control_plane.attributes` keeps them, `rules.model.Toggle` says what one may switch off.
Never: a change without the version that was seen. A toggle is not rewritten: what else is off is another toggle.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from control_plane.admin import addresses
from control_plane.admin.form_fields import FormField, fields_of
from control_plane.admin.form_values import Problems, Typed, defaults, mutation_json, problem_at, typed_from
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.suggestions import Suggestions, suggestions
from control_plane.admin.switching import whole
from control_plane.admin.visitor import require
from control_plane.intent import Intent, Version
from control_plane.mutations import new_id
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES
from control_plane.tokens import Permission
from rules.diagnosis import decode
from rules.errors import RulesError
from rules.model import Toggle

ROWS = 25
BELOW = "toggle"
"""The fields' names begin with it, so that they have labels of their own."""


class Row(Struct, frozen=True):
    """A toggle, and its last change."""

    toggle: Toggle
    change: Version[Toggle]


def fields() -> tuple[FormField, ...]:
    """What is typed for a toggle: all but its id."""
    return tuple(field for field in fields_of(Toggle, BELOW) if field.key != "id")


async def show(request: web.Request) -> web.Response:
    """The list, the last changed first, with an empty form."""
    require(request, Permission.READ)
    return await _page(request, defaults(fields()))


async def post_new(request: web.Request) -> web.StreamResponse:
    """Save a new toggle, or show what is wrong with it."""
    actor = require(request, Permission.WRITE)
    posted = await request.post()
    typed, reason = typed_from(posted, fields()), str(posted.get("reason", ""))
    found, problems = mutation_json(typed, fields())
    if not problems:
        try:
            toggle = _toggle(found.get(BELOW, {}))
            await request.app[SERVICES].toggles.create(
                toggle, Intent(actor=actor, origin=origin(request), reason=reason.strip())
            )
        except RulesError as error:
            path = error.path if error.path == "$" else error.path.replace("$", f"$.{BELOW}", 1)
            problems = problem_at(path, error.problem, fields())
        except Refused as refused:
            return await _page(request, typed, {"": refused.detail}, reason, status=_status(refused))
    if problems:
        return await _page(request, typed, problems, reason, status=422)
    raise web.HTTPSeeOther(f"{addresses.TOGGLES}?done=toggle_created")


async def put_in_force(request: web.Request) -> web.StreamResponse:
    """Switch off what it says."""
    return await _set(request, is_active=True)


async def lift(request: web.Request) -> web.StreamResponse:
    """Let all of it be again; the toggle stays for the next time."""
    return await _set(request, is_active=False)


async def remove(request: web.Request) -> web.StreamResponse:
    """Delete it; its history stays."""
    toggles = request.app[SERVICES].toggles
    return await _changed(request, toggles.delete, "toggle_deleted")


async def _set(request: web.Request, *, is_active: bool) -> web.StreamResponse:
    toggles = request.app[SERVICES].toggles

    def edited(toggle: Toggle) -> Toggle:
        return msgspec.structs.replace(toggle, is_active=is_active)

    async def change(toggle_id: str, intent: Intent) -> object:
        return await toggles.edit(toggle_id, edited, intent)

    return await _changed(request, change, "toggle_on" if is_active else "toggle_off")


async def _changed(
    request: web.Request, change: Callable[[str, Intent], Awaitable[object]], done: str
) -> web.StreamResponse:
    actor = require(request, Permission.WRITE)
    posted = await request.post()
    intent = Intent(
        actor=actor,
        origin=origin(request),
        reason=str(posted.get("reason", "")).strip(),
        expected_version=whole(posted.get("version")),
    )
    try:
        await change(request.match_info["id"], intent)
    except Refused as refused:
        if refused.refusal is Refusal.NOT_FOUND:
            raise
        return await _page(request, defaults(fields()), {"": refused.detail}, status=_status(refused))
    except RulesError as error:
        return await _page(request, defaults(fields()), {"": f"{error.path}: {error.problem}"}, status=422)
    raise web.HTTPSeeOther(f"{addresses.TOGGLES}?done={done}")


async def _page(
    request: web.Request, typed: Typed, problems: Problems | None = None, reason: str = "", *, status: int = 200
) -> web.Response:
    services = request.app[SERVICES]
    cursor = request.query.get("cursor") or None
    found = await services.toggles.page(cursor=cursor, limit=ROWS)
    rows = [Row(one, (await services.toggles.versions(one.id))[0]) for one in found.items]
    offered: Suggestions = await suggestions(services)
    return page(
        request,
        "toggles.html",
        status=status,
        rows=rows,
        cursor=cursor,
        next_cursor=found.next_cursor,
        fields=fields(),
        typed=typed,
        problems=problems or {},
        reason=reason,
        suggestions=offered,
        done=request.query.get("done", ""),
    )


def _toggle(members: dict[str, Any]) -> Toggle:
    toggle: Toggle = decode(msgspec.json.encode({"id": new_id(), **members}), Toggle)
    return toggle


def _status(refused: Refused) -> int:
    return 403 if refused.refusal is Refusal.MAY_NOT_PUBLISH else 409

"""The page of conflicts: changes made while the database was away that met others, with both sides, for a person to choose.

Counterpart: `control_plane.conflicts` lists and settles them. Never: a choice that nobody made, or one between sides that nobody saw.
"""

import msgspec
from aiohttp import web
from msgspec import Struct

from control_plane.admin import addresses
from control_plane.admin.differences import Difference, differences
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.switching import whole
from control_plane.admin.visitor import require
from control_plane.conflicts import Choice, ConflictView
from control_plane.intent import Intent
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES
from control_plane.store import Kind
from control_plane.store.mirror.conflicts import Met, Side
from control_plane.tokens import Permission
from rules.errors import RulesError


class Compared(Struct, frozen=True):
    """A document of a conflict: what stands, what waits, and how they differ."""

    met: Met
    name: str
    address: str
    """Of its own page; empty for kinds that have none."""
    changes: list[Difference]
    moved: bool
    """It was changed once more since the conflict was found."""


class Shown(Struct, frozen=True):
    """A conflict as the page shows it. `seen`: what its form sends back, so that nobody chooses between what they did not see."""

    conflict: ConflictView
    documents: tuple[Compared, ...]
    seen: str


async def show(request: web.Request) -> web.Response:
    """All that wait for a person."""
    require(request, Permission.READ)
    return await _page(request)


async def settle(request: web.Request) -> web.StreamResponse:
    """A person chose a side."""
    actor = require(request, Permission.PUBLISH)
    posted = await request.post()
    conflict_id, chosen, reason = request.match_info["id"], posted.get("do"), str(posted.get("reason", "")).strip()
    if chosen not in set(Choice):
        raise web.HTTPBadRequest
    choice = Choice(str(chosen))
    seen = [whole(part) or 0 for part in str(posted.get("seen", "")).split(",")]
    try:
        await request.app[SERVICES].conflicts.settle(
            conflict_id, choice, Intent(actor=actor, origin=origin(request), reason=reason), seen=seen
        )
    except Refused as refused:
        status = {Refusal.REASON_REQUIRED: 422, Refusal.NOT_FOUND: 404}.get(refused.refusal, 409)
        return await _page(request, conflict_id, refused.detail, reason, status=status)
    except RulesError as error:
        problem = f"The change that waits does not fit the others as they are now: {error.path}: {error.problem}"
        return await _page(request, conflict_id, problem, reason, status=422)
    raise web.HTTPSeeOther(f"{addresses.CONFLICTS}?done=settled_{choice}")


async def _page(
    request: web.Request, refused: str = "", problem: str = "", reason: str = "", *, status: int = 200
) -> web.Response:
    """`refused`: id of the conflict that the problem and the reason are of."""
    found = await request.app[SERVICES].conflicts.list()
    return page(
        request,
        "conflicts.html",
        status=status,
        conflicts=[_shown(one) for one in found],
        refused=refused,
        problem=problem,
        reason=reason,
        done=request.query.get("done", ""),
    )


def _shown(conflict: ConflictView) -> Shown:
    documents = tuple(_compared(one) for one in conflict.documents)
    versions = (0 if one.present is None else one.present.version for one in conflict.documents)
    return Shown(conflict, documents, ",".join(map(str, versions)))


def _compared(met: Met) -> Compared:
    """What taking the waiting side would change of what stands."""
    waits, stands = _content(met.ours), _content(met.present)
    named = waits or stands
    return Compared(
        met=met,
        name=str(named.get("name") or met.id),
        address=addresses.mutation(met.id) if met.kind is Kind.MUTATION and met.present is not None else "",
        changes=[] if met.ours.deleted else differences(stands, waits),
        moved=_version(met.present) != _version(met.theirs),
    )


def _content(side: Side | None) -> dict[str, object]:
    """The members of a document; none where it is not there, or deleted."""
    return {} if side is None or side.deleted else msgspec.json.decode(side.content, type=dict[str, object])


def _version(side: Side | None) -> int:
    return 0 if side is None else side.version

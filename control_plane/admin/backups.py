"""The page of backups: which there are and whether they were proven, one more now, one tried, and the commands of the way back.

Counterpart: `control_plane.backups` makes and tries them, `control_plane.errands` meanwhile. Never: a restore; that takes a
person at a command line, who sees which database it goes into.
"""

from datetime import timedelta

from aiohttp import web
from msgspec import Struct

from control_plane.admin import addresses
from control_plane.admin.rendering import page
from control_plane.admin.visitor import require
from control_plane.backups.backups import Backup
from control_plane.backups.lines import BackupError
from control_plane.backups.occasions import BY_HAND
from control_plane.backups.rotation import Keep
from control_plane.errands import Errand
from control_plane.services import SERVICES, Services
from control_plane.store import StoreError
from control_plane.tokens import Actor, Permission

ERRAND = "backup"
"""One name for making and trying: both read everything."""
EXPECTED = (BackupError, StoreError)


class Plan(Struct, frozen=True):
    """What the settings say, in words."""

    every: str
    """Empty for never."""
    keep: str
    apart: int
    """How many of each occasion."""
    folder: str
    remote: str
    """Empty where there is no second place."""
    encrypted: bool
    readable: bool
    """Whether this instance can read what it makes, so that it can be tried here."""


async def show(request: web.Request) -> web.Response:
    """What there is; `restore` in the query names the backup that the commands are written for."""
    require(request, Permission.ADMINISTER)
    return await _page(request)


async def make(request: web.Request) -> web.StreamResponse:
    """One more, now."""
    actor = require(request, Permission.ADMINISTER)
    services = request.app[SERVICES]

    async def work() -> str:
        made = await services.backups.make(BY_HAND)
        return f"{made.name} was made and read back: {made.records:,} records."

    return await _begun(
        request, actor, "", services.errands.begin(ERRAND, work, actor=actor.subject, expected=EXPECTED)
    )


async def verify(request: web.Request) -> web.StreamResponse:
    """Try one: restore it into a throw-away place."""
    actor = require(request, Permission.ADMINISTER)
    services, name = request.app[SERVICES], request.match_info["name"]

    async def work() -> str:
        tried = await services.try_backup(name)
        if not tried.ok:
            raise BackupError(f"{tried.name} can't be relied on: {tried.problem}")
        place = "a throw-away database" if tried.where == "database" else "a throw-away file"
        audit = ", and its audit is sound" if tried.audit_sound else ""
        return f"{tried.name} holds: {tried.records:,} records came back in {place}{audit}. {tried.remark}".strip()

    begun = services.errands.begin(ERRAND, work, subject=name, actor=actor.subject, expected=EXPECTED)
    return await _begun(request, actor, name, begun)


async def _begun(request: web.Request, actor: Actor, name: str, begun: bool) -> web.StreamResponse:
    if not begun:
        problem = "Another backup is being made or tried just now. Look again when it is done."
        return await _page(request, problem, status=409)
    raise web.HTTPSeeOther(addresses.BACKUPS)


async def _page(request: web.Request, problem: str = "", *, status: int = 200) -> web.Response:
    services = request.app[SERVICES]
    unread, found = "", list[Backup]()
    try:
        found = await services.backups.all()
    except BackupError as error:
        unread = str(error)
    asked = request.query.get("restore", "")
    chosen = next((one for one in found if one.name == asked), found[0] if found else None)
    return page(
        request,
        "backups.html",
        status=status,
        backups=found,
        unread=unread,
        plan=_plan(services),
        errand=services.errands.of(ERRAND),
        waits=_under_way(services.errands.of(ERRAND)),
        chosen=chosen,
        asked=bool(asked),
        problem=problem,
    )


def _under_way(errand: Errand | None) -> bool:
    return errand is not None and errand.ended_at is None


def _plan(services: Services) -> Plan:
    kept = services.backups.kept
    encrypted = bool(kept.keys.recipients)
    return Plan(
        every="" if kept.every is None else _interval(kept.every),
        keep=_kept(kept.keep),
        apart=kept.keep.apart,
        folder=str(kept.folder.path),
        remote="" if kept.remote is None else kept.remote.url,
        encrypted=encrypted,
        readable=bool(kept.keys.identities) or not encrypted,
    )


def _interval(every: timedelta) -> str:
    minutes = round(every.total_seconds() / 60)
    for length, unit in ((1_440, "day"), (60, "hour"), (1, "minute")):
        if minutes % length == 0:
            count = minutes // length
            return f"every {unit}" if count == 1 else f"every {count} {unit}s"
    return f"every {minutes} minutes"


def _kept(keep: Keep) -> str:
    counts = ((keep.daily, "daily"), (keep.weekly, "weekly"), (keep.monthly, "monthly"))
    return ", ".join(f"{count} {word}" for count, word in counts if count)

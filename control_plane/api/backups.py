"""Handlers for backups: what there is, one more, and whether one can be restored.

Counterpart: `control_plane.backups.backups`. Never: a restore; that takes a person at a command line.
"""

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer
from control_plane.backups.backups import Backup
from control_plane.backups.lines import BackupError
from control_plane.refusals import Refusal, Refused
from control_plane.services import Services
from control_plane.tokens import Actor

BY_HAND = "by hand"


class BackupsAnswer(msgspec.Struct, frozen=True):
    """All that are known, the newest first."""

    items: tuple[Backup, ...]


async def backups(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What there is, here and remote."""
    try:
        return json_answer(BackupsAnswer(tuple(await services.backups.all())))
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error


async def make(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """One more, now."""
    try:
        made = await services.backups.make(BY_HAND)
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error
    return json_answer(made, status=201)


async def verify(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Restore one into a throw-away place, and say what came of it."""
    try:
        return json_answer(await services.try_backup(request.match_info["name"]))
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error

"""Handlers for backups: what there is, one more, and whether one can be restored.

Counterpart: `control_plane.backups.backups`. Never: a restore; that takes a person at a command line.
"""

import asyncio
import os
from typing import IO, Literal

import msgspec
import structlog
from aiohttp import web

from control_plane.api.answers import json_answer
from control_plane.api.problems import RequestError
from control_plane.api.requests import query
from control_plane.backups.backups import Backup, NoBackupError
from control_plane.backups.lines import BackupError
from control_plane.backups.occasions import BY_HAND
from control_plane.refusals import Refusal, Refused
from control_plane.services import Services
from control_plane.tokens import Actor, Role

PIECE_BYTES = 1024 * 1024

log = structlog.get_logger("backups")


class BackupsAnswer(msgspec.Struct, frozen=True):
    """All that are known, the newest first."""

    items: tuple[Backup, ...]


class MakeQuery(msgspec.Struct, frozen=True):
    """Why one is made. What else stands in the query is ignored, as it always was."""

    occasion: Literal["by_hand", "scheduled"] = BY_HAND
    """`scheduled` is for a timer: it rotates with those that the service makes."""


async def backups(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What there is, here and remote."""
    try:
        return json_answer(BackupsAnswer(tuple(await services.backups.all())))
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error


async def make(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """One more, now."""
    try:
        made = await services.backups.make(query(request, MakeQuery).occasion)
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error
    return json_answer(made, status=201)


async def newest(request: web.Request, services: Services, actor: Actor) -> web.StreamResponse:
    """The newest one as it is, to an admin, or to a peer whom the settings name."""
    readers = {word.strip() for word in services.settings.backup_readers.split(",")}
    if actor.role is Role.PEER and actor.subject not in readers:
        detail = "this peer may fetch no backup; whoever runs this service can name it in CONTROL_PLANE_BACKUP_READERS"
        raise RequestError(403, "role", detail)
    try:
        async with services.backups.newest() as file:
            with file.open("rb") as opened:
                return await _sent(request, opened, actor)
    except NoBackupError as error:
        raise Refused(Refusal.NOT_FOUND, str(error)) from error
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error


async def _sent(request: web.Request, file: IO[bytes], actor: Actor) -> web.StreamResponse:
    """The file while it is here, in pieces; its size alone to a HEAD."""
    size = os.fstat(file.fileno()).st_size
    headers = {"Content-Type": "application/octet-stream", "Cache-Control": "no-store", "Content-Length": str(size)}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if request.method != "HEAD":
        log.info("backup_given", size=size, subject=actor.subject, role=actor.role)
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            await response.write(piece)
    await response.write_eof()
    return response


async def verify(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Restore one into a throw-away place, and say what came of it."""
    try:
        return json_answer(await services.try_backup(request.match_info["name"]))
    except BackupError as error:
        raise Refused(Refusal.BACKUP_FAILED, str(error)) from error

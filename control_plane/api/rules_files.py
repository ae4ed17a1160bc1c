"""Handlers for a whole rules file.

Counterpart: `control_plane.rules_files`. Never: half an import.
"""

from aiohttp import web

from control_plane.api.answers import json_answer, with_publication
from control_plane.api.requests import intent_of, read_json
from control_plane.services import Services
from control_plane.tokens import Actor
from rules.limits import RULES_FILE_BYTES_MAX
from rules.model import decode_rules_file


async def load(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Import: create and replace by id, all or nothing."""
    body = await read_json(request, RULES_FILE_BYTES_MAX)
    imported, publication = await services.rules_files.load(decode_rules_file(body), intent_of(request, actor, body))
    return json_answer(with_publication(imported, publication))


async def export(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Everything, as a rules file."""
    headers = {"Content-Disposition": 'attachment; filename="rules.json"'}
    return json_answer(await services.rules_files.export(), headers=headers)

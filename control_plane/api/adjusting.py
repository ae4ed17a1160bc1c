"""Handlers for the installation's settings.

Counterpart: `control_plane.installation_settings`. Never: a setting of the environment.
"""

from aiohttp import web

from control_plane.api.answers import versioned
from control_plane.api.requests import intent_of, read_json
from control_plane.installation_settings import InstallationSettings
from control_plane.services import Services
from control_plane.tokens import Actor
from rules.diagnosis import decode


async def show(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """What holds now; the ETag is the change that made it so."""
    at = await services.adjustable.read()
    return versioned(request, at.settings, at.change)


async def put(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Replace all of them; what is left out has its default."""
    body = await read_json(request)
    settings: InstallationSettings = decode(body, InstallationSettings)
    at = await services.adjustable.put(settings, intent_of(request, actor, body))
    return versioned(request, at.settings, at.change)

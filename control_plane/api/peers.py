"""Handler for the peers: who they are, and where the token for each is, never what it is.

Counterpart: `control_plane.backups.peers` notes them from the environment. Never: a change; that is the environment's.
"""

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer
from control_plane.backups.peers import NotedPeer
from control_plane.services import Services
from control_plane.store import Shelf
from control_plane.tokens import Actor


class PeersAnswer(msgspec.Struct, frozen=True):
    """All that are known, the last changed first."""

    items: tuple[NotedPeer, ...]


async def peers(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Who they are."""
    things = await services.store.shelf(Shelf.PEER)
    return json_answer(PeersAnswer(tuple(msgspec.json.decode(thing.content, type=NotedPeer) for thing in things)))

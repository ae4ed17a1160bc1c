"""Handlers for conflicts: what was changed while the database was away and met other changes.

Counterpart: `control_plane.conflicts`. Never: a choice of its own.
"""

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer
from control_plane.api.requests import intent_of, read_json
from control_plane.conflicts import Choice, ConflictView
from control_plane.services import Services
from control_plane.tokens import Actor
from rules.diagnosis import decode


class ConflictChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which side counts, and why."""

    choice: Choice
    """`ours`: what was written while the database was away, as a new version. `theirs`: what the database has."""
    reason: str
    seen: tuple[int, ...] | None = None
    """Present versions of its documents, in their order and 0 for none, as you saw them; 412 where one is another by now."""


class ConflictsAnswer(msgspec.Struct, frozen=True):
    """Conflicts that nobody has settled, in the order in which the changes were made."""

    items: tuple[ConflictView, ...]


async def conflicts(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """Those that wait for a person."""
    return json_answer(ConflictsAnswer(await services.conflicts.list()))


async def settle(request: web.Request, services: Services, actor: Actor) -> web.Response:
    """A person chose."""
    body = await read_json(request)
    asked = decode(body, ConflictChoice)
    intent = intent_of(request, actor, body, reason=asked.reason)
    settled = await services.conflicts.settle(request.match_info["id"], asked.choice, intent, seen=asked.seen)
    return json_answer(settled)

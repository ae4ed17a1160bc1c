"""Handlers that only mutations have: filters, the switch, versions and rollback.

Counterpart: `documents.py` has what all kinds share. Never: a decision; `control_plane.mutations` makes it.
"""

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer, saved
from control_plane.api.documents import DocumentHandlers
from control_plane.api.problems import RequestError
from control_plane.api.requests import intent_of, query, read_body, read_json
from control_plane.documents import PAGE_LIMIT
from control_plane.intent import Page
from control_plane.mutations import Filters, new_id
from control_plane.services import Services
from control_plane.tokens import Actor
from rules.diagnosis import decode
from rules.model import LayoutMutation, Status

OWNED = frozenset({"version", "createdBy", "timestamp", "rollbackPointer"})


class MutationQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which mutations, and which part of their list."""

    active: bool | None = None
    status: Status | None = None
    include_archived: bool = False
    site: str | None = None
    layout_id: str | None = None
    page_slug: str | None = None
    module_id: str | None = None
    mutation_type: str | None = None
    text: str | None = None
    similar: str | None = None
    """What they should say, in other words too: nearest first, without a cursor. Goes with `includeArchived` and `limit` only."""
    cursor: str | None = None
    limit: int = PAGE_LIMIT


class Switching(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `activate` and `deactivate`; it may be left out."""

    reason: str = ""


class MutationHandlers(DocumentHandlers[LayoutMutation]):
    """The handlers of mutations."""

    def __init__(self) -> None:
        super().__init__(lambda services: services.mutations, LayoutMutation, owned=OWNED, new_id=new_id)

    async def page(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """A part of the list, filtered."""
        asked = query(request, MutationQuery)
        if "\0" in request.query_string or "%00" in request.query_string:
            raise RequestError(400, "bad_parameter", "text may not contain the character U+0000")
        members = msgspec.structs.asdict(asked)
        cursor, limit, similar = members.pop("cursor"), members.pop("limit"), members.pop("similar")
        if similar is not None:
            return json_answer(await self._similar(services, asked))
        return json_answer(await services.mutations.page(Filters(**members), cursor=cursor, limit=limit))

    async def _similar(self, services: Services, asked: MutationQuery) -> Page[LayoutMutation]:
        alone = MutationQuery(similar=asked.similar, include_archived=asked.include_archived, limit=asked.limit)
        if asked != alone:
            raise RequestError(400, "bad_parameter", "`similar` goes with `includeArchived` and `limit` only")
        return await services.mutations.similar(
            asked.similar or "", include_archived=asked.include_archived, limit=asked.limit
        )

    async def activate(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Switch on."""
        body, asked = await self._switching(request)
        intent = intent_of(request, actor, body, reason=asked.reason)
        return saved(await services.mutations.activate(request.match_info["id"], intent))

    async def deactivate(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Switch off."""
        body, asked = await self._switching(request)
        intent = intent_of(request, actor, body, reason=asked.reason)
        return saved(await services.mutations.deactivate(request.match_info["id"], intent))

    async def _switching(self, request: web.Request) -> tuple[bytes, Switching]:
        """The optional body of a switch."""
        if not request.body_exists:
            return b"", Switching()
        if request.content_type in ("application/octet-stream", "application/x-www-form-urlencoded"):
            # What clients send along with an empty body.
            if body := await read_body(request):
                raise RequestError(415, "unsupported_media_type", "send JSON with `Content-Type: application/json`")
            return body, Switching()
        body = await read_json(request)
        return body, decode(body, Switching)

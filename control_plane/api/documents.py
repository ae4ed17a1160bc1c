"""Handlers for documents: the same for every kind.

Counterpart: `control_plane.documents` does the work; `mutations.py` adds what only mutations have.
Never: a look into a document beyond its id.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from control_plane.api.answers import json_answer, saved, versioned
from control_plane.api.requests import BODY_BYTES_MAX, as_object, intent_of, query, read_body, read_json
from control_plane.documents import PAGE_LIMIT, Documents
from control_plane.services import Services
from control_plane.tokens import Actor
from rules.diagnosis import decode
from rules.errors import RulesError
from rules.model import DeclaredAttribute, Experiment, LayoutMutation, Module, SavedGroup, Segment, Toggle

T = TypeVar("T", LayoutMutation, Experiment, Module, Segment, DeclaredAttribute, SavedGroup, Toggle)

ANSWERED = frozenset({"publication", "existing", "secondOpinion", "caching"})
"""Members that answers carry beside the document; sent back, they are ignored."""


class PageQuery(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which part of a list."""

    cursor: str | None = None
    limit: int = PAGE_LIMIT


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `rollback`."""

    version: int
    """The version whose content comes back."""
    reason: str = ""
    """Required, here or as `X-Reason`."""


class Restoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `restore`."""

    reason: str = ""
    """Required, here or as `X-Reason`."""


class DocumentHandlers(Generic[T]):
    """The handlers of one kind."""

    def __init__(
        self,
        documents: Callable[[Services], Documents[T]],
        kind: Any,
        *,
        owned: frozenset[str] = frozenset(),
        new_id: Callable[[], str] | None = None,
        bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        """`owned`: members that belong to the server; `new_id`: for documents that are created without an id;
        `bytes_max`: how large one may be."""
        self._documents: Callable[[Services], Documents[T]] = documents
        self._kind = kind
        self._ignored = owned | ANSWERED
        self._new_id = new_id
        self._bytes_max = bytes_max

    async def page(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """A part of the list."""
        asked = query(request, PageQuery)
        return json_answer(await self._documents(services).page(cursor=asked.cursor, limit=asked.limit))

    async def create(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Save a new document; 200 with `existing` where an equal one was there, which is then the answer."""
        body = await read_json(request, self._bytes_max)
        document = self._decode(body, default_id=self._new_id() if self._new_id is not None else None)
        result = await self._documents(services).create(document, intent_of(request, actor, body))
        location = f"{request.rel_url.raw_path.rstrip('/')}/{result.document.id}"
        return saved(result, status=200 if result.existing else 201, location=location)

    async def get(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """The present version."""
        head = await self._documents(services).head(request.match_info["id"])
        return versioned(request, head.document, head.version)

    async def put(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Replace a document."""
        body = await read_json(request, self._bytes_max)
        document = self._decode_for(request, body)
        return saved(await self._documents(services).update(document, intent_of(request, actor, body)))

    async def patch(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Change some members (JSON merge patch, RFC 7396)."""
        body = await read_json(request, self._bytes_max)
        changes = as_object(body)
        if changes is None:
            raise RulesError("a merge patch is a JSON object", "$")

        def patched(document: T) -> T:
            merged = merge(msgspec.json.decode(msgspec.json.encode(document)), changes)
            return self._decode_for(request, msgspec.json.encode(merged))

        edited = self._documents(services).edit(request.match_info["id"], patched, intent_of(request, actor, body))
        return saved(await edited)

    async def delete(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Remove a document, or archive a mutation."""
        body = await read_body(request)
        deleted = self._documents(services).delete(request.match_info["id"], intent_of(request, actor, body))
        return saved(await deleted)

    async def versions(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """The history, newest first."""
        return json_answer({"items": await self._documents(services).versions(request.match_info["id"])})

    async def rollback(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Bring back the content of an older version."""
        body = await read_json(request)
        asked: Rollback = decode(body, Rollback)
        intent = intent_of(request, actor, body, reason=asked.reason)
        return saved(await self._documents(services).rollback(request.match_info["id"], asked.version, intent))

    async def version(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """One version of the history."""
        number = request.match_info["version"]
        found = await self._documents(services).version(
            request.match_info["id"], int(number) if len(number) < 10 else 0
        )
        return versioned(request, found, found.version)

    async def restore(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """Bring back what was deleted, or archived."""
        body = await read_json(request)
        intent = intent_of(request, actor, body, reason=decode(body, Restoring).reason)
        return saved(await self._documents(services).restore(request.match_info["id"], intent))

    async def deleted(self, request: web.Request, services: Services, actor: Actor) -> web.Response:
        """A part of the deleted ones."""
        asked = query(request, PageQuery)
        return json_answer(await self._documents(services).deleted(cursor=asked.cursor, limit=asked.limit))

    def _decode_for(self, request: web.Request, body: bytes) -> T:
        """The document of a body, whose id is that of the address."""
        document_id = request.match_info["id"]
        document = self._decode(body, default_id=document_id)
        if document.id != document_id:
            raise RulesError(f"the id is {document_id} in the address; an id never changes", "$.id")
        return document

    def _decode(self, body: bytes, *, default_id: str | None) -> T:
        """The document of a body; members that belong to the server are ignored, whatever they are."""
        members = as_object(body)
        if members is not None:
            members = {name: value for name, value in members.items() if name not in self._ignored}
            if default_id is not None:
                members.setdefault("id", default_id)
            body = msgspec.json.encode(members)
        document: T = decode(body, self._kind)
        return document


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged

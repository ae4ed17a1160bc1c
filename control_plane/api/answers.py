"""What the API answers: structs as JSON, versions as entity tags.

Counterpart: `routes.py` says which struct; `openapi.py` describes it. Never: an error; those are problem documents.
"""

from typing import Any

import msgspec
from aiohttp import web

from control_plane.intent import Publication, Saved


def json_answer(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Anything that msgspec can encode."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers or {}
    )


def versioned(request: web.Request, document: Any, version: int) -> web.Response:
    """A document with its version as the ETag; 304 if that is what the client has."""
    tag = f'"{version}"'
    if tag in {part.strip().removeprefix("W/") for part in request.headers.get("If-None-Match", "").split(",")}:
        return web.Response(status=304, headers={"ETag": tag})
    return json_answer(document, headers={"ETag": tag})


def saved(result: Saved[Any], *, status: int = 200, location: str = "") -> web.Response:
    """A document as it was saved, with what came of publishing it."""
    headers = {"ETag": f'"{result.version}"'}
    if location:
        headers["Location"] = location
    if result.replayed:
        headers["Idempotency-Replayed"] = "true"
    members = with_publication(result.document, result.publication)
    if result.existing:
        members["existing"] = True
    if result.second_opinion:
        members["secondOpinion"] = result.second_opinion
    if result.caching:
        members["caching"] = result.caching
    return json_answer(members, status=status, headers=headers)


def with_publication(document: Any, publication: Publication) -> dict[str, Any]:
    """The members of a document and one more, `publication`."""
    members: dict[str, Any] = msgspec.to_builtins(document)
    return {**members, "publication": publication}

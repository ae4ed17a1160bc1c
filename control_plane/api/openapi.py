"""The description of the API (OpenAPI 3.1), made from the table of routes and the structs that are decoded and encoded.

Counterpart: `routes.py` and `rules.model`; nothing is described twice. Never: a schema written by hand, beyond what
stands around a document.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from control_plane.api.errands import WAIT_S, WAIT_S_MAX
from control_plane.api.problems import CONTENT_TYPE, Problem
from control_plane.api.routes import Route
from control_plane.intent import Publication
from rules.model import DeclaredAttribute, LayoutMutation

REFERENCE = "#/components/schemas/{name}"
NAMED: dict[str, Any] = {"LayoutMutation": LayoutMutation, "DeclaredAttribute": DeclaredAttribute}
"""Unions of structs that have a name of their own."""

_PLACEHOLDER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_WRITE_HEADERS = (
    ("Idempotency-Key", "Repeating a request with the same key changes nothing and gives the same answer."),
    ("If-Match", "The ETag of the version you saw; 412 if somebody else saved one since."),
    ("X-Reason", "Why; kept in the history and the audit."),
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole description, ready to be encoded as JSON."""
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PLACEHOLDER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Layout mutation engine: control plane",
            "version": "1",
            "description": "Mutations are written, versioned, published and rolled back here. "
            "Fields that belong to the server (version, createdBy, timestamp, rollbackPointer, publication, existing, "
            "secondOpinion, caching) are ignored "
            "in requests, so that a document that was read can be sent back.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


SECOND_OPINION = {
    "type": "string",
    "description": "What came of trying a mutation on a sample page before it was switched on; absent where nothing was.",
}


EXISTING = {
    "type": "boolean",
    "description": "True, with status 200, where an equal mutation was there already: this is it, and nothing was saved. Else absent.",
}


CACHING = {
    "type": "string",
    "description": "What the mutation costs the site's shared caches (a CDN): the attributes of visitors that it reads, and the "
    "pages that none keeps because of it; absent where that is nothing, or where the mutation is not switched on.",
}


PREFER = (
    f"How long to wait for the answer (RFC 7240): `wait=N` seconds, {WAIT_S_MAX:.0f} at most, `respond-async` not at all; "
    f"{WAIT_S:.0f} seconds where nothing is said."
)


class _Schemas:
    """The structs of all routes as JSON Schema, and references to them."""

    def __init__(self, routes: Sequence[Route]) -> None:
        kinds: list[Any] = [Problem, Publication]
        for route in routes:
            kinds += [
                kind
                for kind in (route.body, route.query, route.answer, route.later)
                if kind is not None and kind not in kinds
            ]
        self._kinds = kinds
        described, self.components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
        self._described = list(described)
        for name, kind in NAMED.items():
            self.components[name] = self._described[kinds.index(kind)] if kind in kinds else {}

    def of(self, kind: Any) -> dict[str, Any]:
        """A reference to the schema of a kind, or the schema itself where it has no name."""
        name = next((name for name, union in NAMED.items() if union == kind), None)
        return self._described[self._kinds.index(kind)] if name is None else {"$ref": REFERENCE.format(name=name)}

    def saved(self, kind: Any) -> dict[str, Any]:
        """The schema of a document with `publication` beside it; a closed schema can't be extended, so it is copied."""
        names = [reference.rpartition("/")[2] for reference in _references(self._described[self._kinds.index(kind)])]
        for name in names:
            copy = dict(self.components[name])
            beside = {
                "publication": self.of(Publication),
                "existing": EXISTING,
                "secondOpinion": SECOND_OPINION,
                "caching": CACHING,
            }
            copy["properties"] = {**copy.get("properties", {}), **beside}
            copy["required"] = [*copy.get("required", []), "publication"]
            self.components[f"Saved{name}"] = copy
        options = [{"$ref": REFERENCE.format(name=f"Saved{name}")} for name in names]
        return options[0] if len(options) == 1 else {"anyOf": options}


def _references(schema: dict[str, Any]) -> list[str]:
    if "$ref" in schema:
        return [schema["$ref"]]
    return [option["$ref"] for option in schema.get("anyOf", [])]


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    roles = ", ".join(sorted(route.roles))
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z]+', '_', route.path.lower()).strip('_')}",
        "responses": {
            str(route.status): _answer(route, schemas),
            "default": {"description": "A problem", "content": {CONTENT_TYPE: {"schema": schemas.of(Problem)}}},
        },
    }
    if route.later is not None:
        operation["responses"]["202"] = _later(schemas.of(route.later))
    if parameters := _parameters(route, schemas):
        operation["parameters"] = parameters
    if route.roles:
        operation["description"] = f"Roles: {roles}."
        operation["security"] = [{"bearer": []}]
    if route.body is not None:
        content = {"application/json": {"schema": schemas.of(route.body)}}
        operation["requestBody"] = {"required": route.body_required, "content": content}
    return operation


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PLACEHOLDER.findall(route.path)
    ]
    if route.query is not None:
        described = schemas.components[_references(schemas.of(route.query))[0].rpartition("/")[2]]
        found += [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in described["properties"].items()
        ]
    if route.later is not None:
        found.append(
            {"name": "Prefer", "in": "header", "required": False, "description": PREFER, "schema": {"type": "string"}}
        )
    if route.writes:
        found += [
            {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in _WRITE_HEADERS
        ]
    return found


def _later(schema: dict[str, Any]) -> dict[str, Any]:
    """The answer where the work takes longer than it is waited for."""
    described = {
        "Location": "Where to ask how it stands, at this instance.",
        "Retry-After": "Seconds after which to ask.",
    }
    return {
        "description": "It is under way",
        "headers": {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()},
        "content": {"application/json": {"schema": schema}},
    }


def _answer(route: Route, schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    if route.answer is None:
        return answer
    schema = schemas.saved(route.answer) if route.form == "saved" else schemas.of(route.answer)
    if route.form == "page":
        schema = _object(items={"type": "array", "items": schema}, nextCursor={"type": ["string", "null"]})
    elif route.form == "history":
        entry = _object(
            document=schema,
            version={"type": "integer"},
            action={"type": "string"},
            actor={"type": "string"},
            reason={"type": "string"},
            at={"type": "string", "format": "date-time"},
        )
        schema = _object(items={"type": "array", "items": entry})
    answer["content"] = {"application/json": {"schema": schema}}
    return answer


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}

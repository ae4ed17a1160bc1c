"""The API's edges: who may do what, what errors look like, what happens twice."""

import asyncio
import gzip
from importlib import import_module
from typing import Any

import msgspec
import pytest

from control_plane.api import openapi
from control_plane.api.documents import merge
from control_plane.api.problems import STATUS
from control_plane.api.routes import ROUTES
from control_plane.refusals import Refusal
from control_plane.settings import ControlPlaneSettings
from control_plane.tokens import Role
from tests.control_plane.plane import API, Plane, headline, running
from tests.control_plane.test_documents import EXAMPLES

# ---------------------------------------------------------------- roles

V, E, P, A, S, R = "viewer", "editor", "publisher", "admin", "sidecar", "peer"
READ, WRITE, PUBLISH = {V, E, P, A}, {E, P, A}, {P, A}

DOCUMENTS: dict[tuple[str, str], set[str]] = {
    ("GET", ""): READ,
    ("POST", ""): WRITE,
    ("GET", "/{id}"): READ,
    ("PUT", "/{id}"): WRITE,
    ("PATCH", "/{id}"): WRITE,
    ("DELETE", "/{id}"): WRITE,
    ("GET", "/{id}/versions"): READ,
    ("GET", "/{id}/versions/{version:[0-9]+}"): READ,
    ("POST", "/{id}/rollback"): PUBLISH,
    ("POST", "/{id}/restore"): PUBLISH,
}
MATRIX: dict[tuple[str, str], set[str]] = {
    **{
        (method, f"{API}/{kind}{rest}"): roles
        for kind in ("mutations", "experiments", "modules", "segments", "attributes", "saved-groups", "toggles")
        for (method, rest), roles in DOCUMENTS.items()
    },
    ("POST", f"{API}/mutations/{{id}}/activate"): PUBLISH,
    ("POST", f"{API}/mutations/{{id}}/deactivate"): PUBLISH,
    ("POST", f"{API}/apply"): READ | {S},
    ("POST", f"{API}/import"): PUBLISH,
    ("GET", f"{API}/export"): READ | {R},
    ("GET", f"{API}/audit"): READ,
    **{
        ("GET", f"{API}/deleted/{kind}"): READ
        for kind in ("experiments", "modules", "segments", "attributes", "saved-groups", "toggles")
    },
    ("GET", f"{API}/audit/{{number:[0-9]+}}"): READ,
    ("GET", f"{API}/audit/{{number:[0-9]+}}/undo"): READ,
    ("POST", f"{API}/audit/{{number:[0-9]+}}/undo"): PUBLISH,
    ("GET", f"{API}/audit/verify"): {A},
    ("GET", f"{API}/executions"): READ,
    ("GET", f"{API}/report"): READ,
    ("GET", f"{API}/settings"): READ,
    ("PUT", f"{API}/settings"): {A},
    ("GET", f"{API}/alerts"): READ,
    ("POST", f"{API}/alerts/{{id}}"): WRITE,
    ("GET", f"{API}/fleet"): READ | {S},
    ("GET", f"{API}/health"): READ | {S, R},
    ("GET", f"{API}/health/migration"): PUBLISH,
    ("POST", f"{API}/health/migration"): {"admin"},
    ("POST", f"{API}/health/heal"): {A},
    ("GET", f"{API}/conflicts"): READ,
    ("POST", f"{API}/conflicts/{{id}}"): PUBLISH,
    ("GET", f"{API}/backups"): {A},
    ("POST", f"{API}/backups"): {A},
    ("HEAD", f"{API}/backups/newest/file"): {A, "peer"},
    ("GET", f"{API}/backups/newest/file"): {A, "peer"},
    ("POST", f"{API}/backups/{{name}}/verify"): {A},
    ("GET", f"{API}/errands/{{id}}"): {A},
    ("GET", f"{API}/peers"): {A},
    ("GET", "/healthz"): set(),
    ("GET", "/readyz"): set(),
    ("GET", "/metrics"): set(),
}


def test_the_matrix_below_is_the_table_of_the_api() -> None:
    assert {(route.method, route.path): {str(role) for role in route.roles} for route in ROUTES} == MATRIX


async def test_every_route_lets_in_the_roles_of_the_table_and_nobody_else(settings: ControlPlaneSettings) -> None:
    async with running(msgspec.structs.replace(settings, backup_readers="the peer")) as plane:
        await lets_in_the_roles(plane)


async def lets_in_the_roles(plane: Plane) -> None:
    for (method, pattern), roles in MATRIX.items():
        path = (
            pattern.replace("{id}", "none")
            .replace("{version:[0-9]+}", "1")
            .replace("{number:[0-9]+}", "1")
            .replace("{name}", "none")
        )
        for role in (*Role, None):
            answer = await plane.ask(method, path, role=role)
            let_in = not roles or role in roles
            expected_out = 401 if role is None else 403
            assert (answer.status != expected_out) is let_in, (method, pattern, role, answer.status)
            if role is None and roles:
                assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_of_another_purpose_or_secret_is_refused(plane: Plane) -> None:
    tokens = plane.services.tokens
    actor = tokens.verify(tokens.issue(Role.ADMIN, "me"))
    link = tokens.sign_in_link("http://x", subject="me", role=Role.ADMIN).partition("token=")[2]
    for wrong in ("Basic YTpi", "Bearer", "Bearer x.y.z", f"Bearer {link}", f"Bearer {tokens.issue_session(actor)}"):
        answer = await plane.ask("GET", "mutations", role=None, headers={"Authorization": wrong})
        assert answer.status == 401, wrong
        assert answer.json()["type"].endswith("token_invalid")


# ---------------------------------------------------------------- problems

DEEP = b"[" * 100_000 + b"]" * 100_000
SET = b'{"mutationType":"set","mutationPayload":{"operations":[%s]}}'

BODIES: list[tuple[bytes, int]] = [
    (b"", 400),
    (b" ", 400),
    (b"{", 400),
    (b"}", 400),
    (b'{"a":}', 400),
    (b"{'a': 1}", 400),
    (b'{"a": NaN}', 400),
    (b'{"a": 1,}', 400),
    (b"\xff\xfe{}", 400),
    (b'"\xc3("', 400),
    (b'{"a": "\\ud800"}', 400),
    (b"{} {}", 400),
    (b"\x00", 400),
    (DEEP, 400),
    (gzip.compress(b"{}", mtime=0), 400),
    (b"null", 422),
    (b"true", 422),
    (b"17", 422),
    (b'"text"', 422),
    (b"[]", 422),
    (b"[[{}]]", 422),
    (b"{}", 422),
    (b'{"mutationType": 3}', 422),
    (b'{"mutationType": "set"}', 422),
    (b'{"mutationType": "set", "mutationPayload": []}', 422),
    (SET % b"", 422),
    (SET % b"{}", 422),
    (SET % b'{"verb":"setText","target":{},"content":{"text":"x"}}', 422),
    (SET % b'{"verb":"setText","target":{"selector":"h1"},"content":{"html":"x"}}', 422),
    (SET % b'{"verb":"remove","target":{"selector":"h1","maxMatches":0}}', 422),
    (SET % b'{"verb":"remove","target":{"selector":"%s"}}' % (b"a" * 5000), 422),
    (b'{"id":"../x","mutationType":"hide","mutationPayload":{"target":{"selector":"p"}}}', 422),
    (b'{"priority":1e30,"mutationType":"hide","mutationPayload":{"target":{"selector":"p"}}}', 422),
    (b'{"conditions":{"n":%s},"mutationType":"hide","mutationPayload":{"target":{"selector":"p"}}}' % (b"9" * 40), 422),
    (b'{"conditions":{"n":"\\u0000"},"mutationType":"hide","mutationPayload":{"target":{"selector":"p"}}}', 422),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("body", "status"), BODIES, ids=[str(body[:40]) for body, _ in BODIES])
async def test_a_malformed_body_is_answered_by_a_problem_document(refusing: Plane, body: bytes, status: int) -> None:
    for path in ("mutations", "import") if status == 400 else ("mutations",):
        answer = await refusing.ask("POST", path, data=body)
        document = answer.json()
        assert (answer.status, document["status"]) == (status, status), document
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "detail", "instance"} <= set(document)
        assert document["instance"] == f"{API}/{path}"
        assert "Traceback" not in document["detail"]
        if status == 422:
            assert all(error["path"].startswith("$") and error["problem"] for error in document["errors"])
    assert (await refusing.ask("GET", "mutations")).json()["items"] == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "word"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", f"{API}/nowhere", {}, 404, "not_found"),
        ("GET", f"{API}/mutations/none", {}, 404, "not_found"),
        ("GET", f"{API}/mutations/%00", {}, 404, "not_found"),
        ("GET", f"{API}/mutations/%ff", {}, 404, "not_found"),
        ("GET", f"{API}/mutations/none/versions", {}, 404, "not_found"),
        ("GET", f"{API}/mutations/none/versions/99999999999999999999", {}, 404, "not_found"),
        ("DELETE", f"{API}/mutations", {}, 405, "method_not_allowed"),
        ("TRACE", f"{API}/mutations", {}, 405, "method_not_allowed"),
        ("POST", f"{API}/mutations", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (
            "POST",
            f"{API}/mutations",
            {"Content-Type": "application/json; charset=utf-16"},
            415,
            "unsupported_media_type",
        ),
        ("GET", f"{API}/mutations?cursor=abc", {}, 400, "bad_cursor"),
        ("GET", f"{API}/mutations?cursor=%F0%9F%98%80", {}, 400, "bad_cursor"),
        ("GET", f"{API}/mutations?limit=0", {}, 400, "bad_parameter"),
        ("GET", f"{API}/mutations?limit=x", {}, 400, "bad_parameter"),
        ("GET", f"{API}/mutations?limit=1&limit=2", {}, 400, "bad_parameter"),
        ("GET", f"{API}/mutations?colour=red", {}, 400, "bad_parameter"),
        ("GET", f"{API}/mutations?status=asleep", {}, 400, "bad_parameter"),
        ("GET", f"{API}/mutations?site=%00", {}, 400, "bad_parameter"),
        ("GET", f"{API}/audit?limit=1000", {}, 400, "bad_parameter"),
        ("DELETE", f"{API}/mutations/none", {"If-Match": "W/x"}, 400, "bad_if_match"),
        ("DELETE", f"{API}/mutations/none", {"Idempotency-Key": "a b"}, 400, "bad_idempotency_key"),
        ("DELETE", f"{API}/mutations/none?reason=%00", {}, 400, "bad_parameter"),
    ],
)
async def test_every_other_error_is_a_problem_document_too(
    refusing: Plane, method: str, path: str, headers: dict[str, str], status: int, word: str
) -> None:
    answer = await refusing.ask(method, path, headers=headers)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:layout-mutation:problem:{word}"
    if status == 405:
        assert "GET" in answer.headers["allow"]


async def test_a_body_beyond_the_bound_is_refused(plane: Plane) -> None:
    answer = await plane.ask("POST", "mutations", data=b'"' + b"x" * 3_000_000 + b'"')
    assert (answer.status, answer.json()["type"].rpartition(":")[2]) == (413, "request_entity_too_large")
    packed = gzip.compress(b" " * 50_000_000)
    bomb = await plane.ask("POST", "mutations", data=packed, headers={"Content-Encoding": "gzip"})
    assert bomb.status == 413


async def test_a_saved_group_may_be_larger_than_other_documents(plane: Plane) -> None:
    members = [f"{number:036}" for number in range(100_000)]
    made = await plane.ask("POST", "saved-groups", {"id": "accounts", "members": members})
    assert made.status == 201, made.body[:200]
    answer = await plane.ask("POST", "saved-groups", {"id": "more", "members": [*members, "one too many"]})
    assert (answer.status, answer.json()["errors"][0]["path"]) == (422, "$.members")


def test_every_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Refusal)


# ---------------------------------------------------------------- what happens twice


async def test_a_repeated_request_is_done_once_also_at_the_same_time(plane: Plane) -> None:
    headers = {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(*(plane.ask("POST", "mutations", headline(), headers=headers) for _ in range(12)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 11
    assert len((await plane.ask("GET", "mutations")).json()["items"]) == 1
    other = await plane.ask("POST", "mutations", headline("Else"), headers=headers)
    assert (other.status, other.json()["type"].rpartition(":")[2]) == (422, "idempotency_key_reused")
    somebody = await plane.ask("POST", "mutations", headline(), headers=headers, role="publisher")
    assert "idempotency-replayed" not in somebody.headers, "a key belongs to who used it"


async def test_a_refused_request_does_not_use_up_its_key(plane: Plane) -> None:
    headers = {"Idempotency-Key": "k-2"}
    assert (await plane.ask("DELETE", "mutations/a", headers=headers)).status == 404
    await plane.create(id="a")
    assert (await plane.ask("DELETE", "mutations/a", headers=headers)).status == 200
    again = await plane.ask("DELETE", "mutations/a", headers=headers)
    assert (again.status, again.json()["version"]) == (200, 2)


# ---------------------------------------------------------------- the description


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(member) for member in value.values()))
    if isinstance(value, list):
        return set().union(*(references(member) for member in value))
    return set()


async def test_the_description_names_every_route_and_every_reference_leads_somewhere(plane: Plane) -> None:
    answer = await plane.ask("GET", "/api/openapi.json", role=None)
    description = answer.json()
    described = {(method.upper(), path) for path, methods in description["paths"].items() for method in methods}
    assert described == {(m, p.replace(":[0-9]+", "")) for m, p in MATRIX}
    schemas = description["components"]["schemas"]
    assert {reference.rpartition("/")[2] for reference in references(description)} <= set(schemas)
    identifiers = [one["operationId"] for methods in description["paths"].values() for one in methods.values()]
    assert len(set(identifiers)) == len(identifiers)


async def test_requests_and_answers_are_as_described(plane: Plane) -> None:
    jsonschema: Any = import_module("jsonschema")

    description = openapi.document(ROUTES)

    def check(value: Any, path: str, method: str, part: str) -> None:
        operation = description["paths"][f"{API}/{path}"][method]
        holder = operation["requestBody"] if part == "body" else operation["responses"][part]
        schema = {**holder["content"]["application/json"]["schema"], "components": description["components"]}
        jsonschema.validate(value, schema)

    made = await plane.create(id="welcome")
    check(made, "mutations", "post", "201")
    read = (await plane.ask("GET", "mutations/welcome")).json()
    check(read, "mutations/{id}", "get", "200")
    check(read, "mutations/{id}", "put", "body")
    check((await plane.ask("GET", "mutations")).json(), "mutations", "get", "200")
    for kind, document in EXAMPLES.items():
        check((await plane.ask("POST", kind, document)).json(), kind, "post", "201")
        check((await plane.ask("GET", f"{kind}/one")).json(), f"{kind}/{{id}}", "get", "200")
        check((await plane.ask("GET", f"{kind}/one/versions")).json(), f"{kind}/{{id}}/versions", "get", "200")
    check((await plane.ask("GET", "mutations/welcome/versions")).json(), "mutations/{id}/versions", "get", "200")
    check((await plane.ask("GET", "export")).json(), "export", "get", "200")
    check((await plane.ask("GET", "audit")).json(), "audit", "get", "200")
    check((await plane.ask("GET", "health")).json(), "health", "get", "200")


# ---------------------------------------------------------------- merge patch


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # the cases of RFC 7396, appendix A, as far as objects go
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches(target: Any, patch: Any, merged: Any) -> None:
    assert merge(target, patch) == merged


# ---------------------------------------------------------------- watching


async def test_the_fleet_is_what_the_sidecars_said(plane: Plane, redis: Any, keys: Any) -> None:
    entry = {"instance": "a", "version": 1, "state": "ACK"}
    await redis.hset(keys.fleet, mapping={"a": msgspec.json.encode(entry), "b": b"broken"})
    assert (await plane.ask("GET", "fleet")).json() == {"tableVersion": 1, "items": [entry]}


async def test_metrics_count_answers_by_route(plane: Plane) -> None:
    await plane.ask("GET", "mutations/secret-name")
    text = (await plane.ask("GET", "/metrics", role=None)).body.decode()
    assert (
        'control_plane_answers_total{method="GET",route="/api/layout-mutation/mutations/{id}",status="404"} 1.0' in text
    )
    assert "secret-name" not in text

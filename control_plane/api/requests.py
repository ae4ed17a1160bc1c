"""What a request says, read and bounded: who asks, the body, and the headers that writes take.

Counterpart: `problems.py` answers what is refused here. Never: a service call.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from control_plane.api.problems import RequestError
from control_plane.intent import Intent
from control_plane.origin import Way, networks, origin_of
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES, Services
from control_plane.tokens import Actor, Role, TokenError, TokenReason

T = TypeVar("T")

BODY_BYTES_MAX = 2 * 1024 * 1024
GROUP_BYTES_MAX = 8 * 1024 * 1024  # 100,000 members, each as long as a UUID in quotes, with room
REASON_CHARACTERS_MAX = 1_000
JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})

_IDEMPOTENCY_KEY = re.compile(r"^[\x21-\x7e]{1,200}$")
_ETAG = re.compile(r'^"?(\d{1,9})"?$')


def authenticate(request: web.Request, services: Services, roles: frozenset[Role]) -> Actor:
    """Who asks; raises TokenError, or RequestError (403) for a role that may not do this."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise TokenError(TokenReason.MISSING, "send `Authorization: Bearer …`; `layout-mutation token` makes a token")
    if scheme.lower() != "bearer":
        raise TokenError(TokenReason.INVALID, "the scheme must be Bearer")
    actor = services.tokens.verify(token.strip())
    if actor.role not in roles:
        raise RequestError(403, "role", f"the role {actor.role} may not do this; it takes {', '.join(sorted(roles))}")
    return actor


async def read_body(request: web.Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The bytes of a body; raises RequestError (413)."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise RequestError(413, "request_entity_too_large", f"the body is larger than {bytes_max:,} bytes")
    return bytes(body)


async def read_json(request: web.Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """A body of JSON, checked only for being that; raises RequestError (400, 413, 415)."""
    if request.content_type not in JSON_TYPES or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        headers = {"Accept-Patch" if request.method == "PATCH" else "Accept-Post": ", ".join(sorted(JSON_TYPES))}
        raise RequestError(415, "unsupported_media_type", "send JSON with `Content-Type: application/json`", headers)
    body = await read_body(request, bytes_max)
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(400, "broken_json", f"the body is not JSON: {error}") from None
    except RecursionError:
        raise RequestError(400, "broken_json", "the body is nested too deeply") from None
    return body


def query(request: web.Request, kind: type[T]) -> T:
    """The query parameters as a struct; raises Refused (`bad_parameter`)."""
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise Refused(Refusal.BAD_PARAMETER, f"the parameter `{name[:80]}` is given more than once")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(Refusal.BAD_PARAMETER, f"query parameters: {error}") from None


def intent_of(request: web.Request, actor: Actor, body: bytes, *, reason: str = "") -> Intent:
    """The circumstances of a write, from its headers; raises RequestError, Refused. `reason`: as the body says it."""
    key = _idempotency_key(request.headers)
    expected = _expected_version(request.headers)
    given = reason or request.query.get("reason", "") or _text(request.headers.get("X-Reason", ""))
    if len(given) > REASON_CHARACTERS_MAX or "\0" in given:
        raise Refused(Refusal.BAD_PARAMETER, f"`reason` is text of at most {REASON_CHARACTERS_MAX} characters")
    asked = "\n".join((request.method, request.rel_url.raw_path_qs, str(expected))).encode("utf-8", "replace")
    return Intent(
        actor=actor,
        origin=origin(request, Way.API),
        reason=given.strip(),
        expected_version=expected,
        idempotency_key=key,
        fingerprint=sha256(asked + b"\n" + body).hexdigest() if key is not None else "",
    )


def origin(request: web.Request, way: Way) -> str:
    """From where a request comes, for the audit."""
    trusted = networks(request.config_dict[SERVICES].settings.trusted_proxies)
    return origin_of(way, request.remote, request.headers.getall("X-Forwarded-For", ()), trusted)


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.match(key):
        raise RequestError(400, "bad_idempotency_key", "Idempotency-Key is 1 to 200 visible ASCII characters")
    return key


def _expected_version(headers: Mapping[str, str]) -> int | None:
    given = headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    match = _ETAG.match(given.strip())
    if match is None:
        raise RequestError(400, "bad_if_match", 'If-Match is the ETag of the version you saw, for example "3"')
    return int(match[1])


def _text(header: str) -> str:
    """A header's text; bytes that are no UTF-8 become replacement characters."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def as_object(body: bytes) -> dict[str, Any] | None:
    """The members of a JSON object, None for any other JSON."""
    value = msgspec.json.decode(body)
    return value if isinstance(value, dict) else None

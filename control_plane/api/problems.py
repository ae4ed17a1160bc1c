"""Every error as a problem document (RFC 9457), and the one table of status codes.

Counterpart: services raise `Refused`, `RulesError`, `StoreError`; tokens raise `TokenError`; aiohttp its own.
Never: a traceback, a secret or an exception's text of an unforeseen error in an answer.
"""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from control_plane.exchange import ExchangeError
from control_plane.refusals import Refusal, Refused
from control_plane.services import SERVICES
from control_plane.store import OutcomeUnknownError, ReadOnlyError, StoreError
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import standing_of
from control_plane.tokens import TokenError, TokenReason
from rules.errors import RulesError

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:layout-mutation:problem:"
RETRY_AFTER_S = 2
PROVISIONAL = "X-Layout-Mutation-Provisional"
"""Says `1` while the mirror answers for the database: numbers may change when what was written is brought there."""
ADMIN = "/admin"

STATUS: dict[Refusal, int] = {
    Refusal.NOT_FOUND: 404,
    Refusal.ALREADY_EXISTS: 409,
    Refusal.EQUAL_EXISTS: 409,
    Refusal.VERSION_CONFLICT: 412,
    Refusal.ARCHIVED: 409,
    Refusal.IN_USE: 409,
    Refusal.NOT_DELETED: 409,
    Refusal.NOTHING_TO_UNDO: 422,
    Refusal.CHANGED_SINCE: 409,
    Refusal.REASON_REQUIRED: 422,
    Refusal.MAY_NOT_PUBLISH: 403,
    Refusal.IDEMPOTENCY_KEY_REUSED: 422,
    Refusal.BACKUP_FAILED: 503,
    Refusal.BAD_CURSOR: 400,
    Refusal.BAD_PARAMETER: 400,
    Refusal.PREVIEW_ADDRESS: 422,
    Refusal.PREVIEW_UNREACHABLE: 502,
    Refusal.PREVIEW_NOT_HTML: 422,
    Refusal.PREVIEW_TOO_LARGE: 422,
    Refusal.PREVIEW_TOO_SLOW: 504,
    Refusal.PREVIEW_REDIRECT: 422,
}

log = structlog.get_logger("api")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FieldProblem(Struct, frozen=True):
    """One thing that is wrong with a document. `path`: a JSON path such as `$.mutationPayload.target.selector`."""

    path: str
    problem: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 section 3, with `errors` where fields of a document are at fault."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[FieldProblem, ...] = ()


class RequestError(Exception):
    """The request itself can't be understood. `word` ends the problem's `type`."""

    def __init__(self, status: int, word: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.word = word
        self.detail = detail
        self.headers = headers or {}


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors outside the admin with problem documents; count every answer."""
    started = time.monotonic()
    try:
        answer = await handler(request) if request.path.startswith(ADMIN) else await answered(request, handler)
    except web.HTTPException as error:  # the admin's own redirects and refusals
        _count(request, error.status, started)
        raise
    _count(request, answer.status, started)
    return answer


async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the handler answers, a problem document where it raises."""
    try:
        answer = await handler(request)
    except web.HTTPException as error:
        answer = _of_http(request, error)
    except RequestError as error:
        answer = problem(request, error.status, error.word, error.detail, headers=error.headers)
    except RulesError as error:
        wrong = FieldProblem(error.path, error.problem)
        answer = problem(request, 422, "rules", str(error), errors=(wrong,))
    except Refused as error:
        missing = error.refusal is Refusal.REASON_REQUIRED
        errors = (FieldProblem("$.reason", error.detail),) if missing else ()
        answer = problem(request, STATUS[error.refusal], error.refusal, error.detail, errors=errors)
    except TokenError as error:
        answer = _of_token(request, error)
    except ReadOnlyError as error:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        answer = problem(request, 503, "writer_elsewhere", str(error), headers=headers)
    except OutcomeUnknownError as error:
        log.warning("outcome_unknown", problem=str(error), route=route_of(request))
        detail = f"{error}; send the request again with the same Idempotency-Key, and it is done once"
        answer = problem(request, 503, "outcome_unknown", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    except StoreError as error:
        log.warning("store_unavailable", problem=str(error), route=route_of(request))
        detail = "the database can't be used right now; nothing was saved"
        answer = problem(request, 503, "database_unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    except ExchangeError:
        detail = "Redis can't be used right now"
        answer = problem(request, 503, "redis_unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    except Exception as error:  # whoever asks gets an answer; what went wrong stands in the log
        log.exception("request_failed", error=type(error).__name__, route=route_of(request))
        answer = problem(request, 500, "internal", "this is our fault; it is in the log of the service")
    if standing_of(request.config_dict[SERVICES].store).state is State.MIRROR:
        answer.headers[PROVISIONAL] = "1"
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    return answer


def problem(
    request: web.Request,
    status: int,
    word: str,
    detail: str,
    *,
    errors: tuple[FieldProblem, ...] = (),
    headers: dict[str, str] | None = None,
) -> web.Response:
    """A problem document as an answer."""
    document = Problem(
        type=TYPE_PREFIX + word,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=_clean(detail),
        instance=_clean(request.rel_url.raw_path),
        errors=tuple(FieldProblem(_clean(one.path), _clean(one.problem)) for one in errors),
    )
    return web.Response(
        status=status, body=msgspec.json.encode(document), content_type=CONTENT_TYPE, headers=headers or {}
    )


def route_of(request: web.Request) -> str:
    """The pattern of the route that a request matched, for logs and metrics."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def _of_http(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    headers = {name: value for name, value in error.headers.items() if name in ("Allow", "Location", "Retry-After")}
    details = {
        404: "there is nothing at this address",
        405: f"{request.method} is not possible here; possible: {headers.get('Allow', '')}",
        413: "the body is larger than this service reads",
    }
    detail = details.get(error.status, error.reason)
    return problem(request, error.status, HTTPStatus(error.status).name.lower(), detail, headers=headers)


def _of_token(request: web.Request, error: TokenError) -> web.StreamResponse:
    """RFC 6750 section 3: a request without a token is told only that it needs one."""
    challenge = 'Bearer realm="layout-mutation"'
    if error.reason is not TokenReason.MISSING:
        challenge += ', error="invalid_token"'
    return problem(request, 401, f"token_{error.reason}", error.detail, headers={"WWW-Authenticate": challenge})


def _count(request: web.Request, status: int, started: float) -> None:
    services = request.config_dict[SERVICES]
    method = request.method if request.method in METHODS else "other"
    services.telemetry.answered(method, route_of(request), status, time.monotonic() - started)


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _clean(text: str) -> str:
    """Text that JSON can hold, whatever bytes a request brought."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""What went wrong, as a page of the admin's own form: nothing is there, not allowed, the database is away, our fault.

Counterpart: `control_plane.api` answers the same failures with problem documents. The one place in these pages that
catches everything, so that a person never sees a bare 500.
Never: a stack trace or a value of ours on the page.
"""

# ruff: noqa: RUF001 - sentences for people have real apostrophes

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from control_plane.admin.rendering import page
from control_plane.admin.resending import Why, resend
from control_plane.admin.response_headers import is_ours
from control_plane.admin.visitor import session_of
from control_plane.refusals import Refusal, Refused
from control_plane.store import OutcomeUnknownError, ReadOnlyError, StoreError

log = structlog.get_logger("control_plane.admin")

HEADINGS = {
    400: "That address doesn’t fit",
    403: "Not allowed",
    404: "There is no such page",
    405: "That can’t be done here",
    409: "That is not possible now",
    413: "That is too much at once",
    500: "Something failed on our side",
    503: "The database is away",
}

STATUSES = {
    Refusal.NOT_FOUND: 404,
    Refusal.MAY_NOT_PUBLISH: 403,
    Refusal.BAD_CURSOR: 400,
    Refusal.BAD_PARAMETER: 400,
}
"""Refusals that a page didn't answer itself; every other one is a conflict."""

WORDS = {
    400: "Part of it isn’t something that this page understands. Start from the list.",
    403: "Your role doesn’t include this.",
    404: "The address may be mistyped, or what was here has gone.",
    405: "The page is there, but it doesn’t take this kind of request.",
    413: "What was sent is larger than any mutation may be. Shorten it and send it again.",
    500: "Nothing was half done. The failure is in the log; trying again may help.",
    503: "Nothing was changed, and visitors are not affected: every sidecar keeps the table it has. Try again in a moment.",
}


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer failures below `/admin` with a page."""
    if not is_ours(request.path):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as raised:
        if raised.status < 400:
            raise
        own_words = raised.text if raised.text and not raised.text.startswith(f"{raised.status}:") else ""
        response = _page(request, raised.status, own_words or "")
        response.headers.update({name: value for name, value in raised.headers.items() if name == "Allow"})
        return response
    except Refused as refused:
        return _page(request, STATUSES.get(refused.refusal, 409), refused.detail)
    except StoreError as error:
        log.warning("admin_store_away", path=request.path, detail=str(error))
        if request.method == "POST" and session_of(request) is not None:
            return await resend(request, signed_in=True, why=_why(error), status=503)
        return _page(request, 503, _sentence(error) if isinstance(error, ReadOnlyError) else "")
    except Exception:  # the last stop before a person; the log has it all
        log.exception("admin_failed", path=request.path, method=request.method)
        return _page(request, 500, "")


def _why(error: StoreError) -> Why:
    """What became of a change that the store could not take."""
    if isinstance(error, OutcomeUnknownError):
        return Why(
            "It is not known whether that was saved",
            f"{_sentence(error)} Look whether it is there before you send it again; what you typed is kept here meanwhile.",
            look_first=True,
        )
    if isinstance(error, ReadOnlyError):
        return Why(
            "Not saved: here one can only read",
            f"{_sentence(error)} What you typed is kept here: leave this page open, and send it again when changes are taken.",
        )
    return Why("Not saved: the database is away", f"{WORDS[503]} What you typed is kept here.")


def _sentence(error: StoreError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _page(request: web.Request, status: int, detail: str) -> web.Response:
    heading = HEADINGS.get(status, "That didn’t work")
    return page(
        request, "error.html", status=status, heading=heading, text=detail or WORDS.get(status, ""), code=status
    )

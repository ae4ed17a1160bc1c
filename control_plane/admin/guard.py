"""Who may pass: a session for every page, and for every change proof that it came from one of our own pages.

A change needs three things: the session cookie (SameSite=Strict), a request that the browser itself says came from
here (Origin, Sec-Fetch-Site), and the word that only a page of this session carries.
Counterpart: `control_plane.tokens` makes and checks sessions; `sign_in` sets the cookie.
Never: what was typed is lost: a change that came too late is shown again, to be sent once more.
"""

from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from control_plane.admin import away
from control_plane.admin.addresses import PREFIX
from control_plane.admin.rendering import page
from control_plane.admin.resending import CSRF_FIELD, resend
from control_plane.admin.response_headers import is_ours
from control_plane.admin.visitor import COOKIE, SESSION
from control_plane.services import SERVICES
from control_plane.tokens import Permission, Session, TokenError

CSRF_HEADER = "X-CSRF"
"""htmx sends the word here; a form has it in `CSRF_FIELD`."""

SAFE_METHODS = frozenset({"GET", "HEAD"})


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through whoever may; others get a page that says what to do."""
    if not is_ours(request.path):
        return await handler(request)
    safe = request.method in SAFE_METHODS
    if not safe and not from_here(request):
        raise web.HTTPForbidden(text="This change was asked for by another site, so nothing was changed.")
    session = _session(request)
    if session is not None:
        request[SESSION] = session
    if _is_open(request.path):
        return await handler(request)
    if session is None:
        return _sign_in_first(request) if safe else await resend(request, signed_in=False)
    if not session.actor.may(Permission.READ):
        raise web.HTTPForbidden(text=f"The role “{session.actor.role}” has no pages here; it is for programs.")
    await away.look(request)
    if not safe and not await _carries_word(request, session):
        return await resend(request, signed_in=True)
    return await handler(request)


def from_here(request: web.Request) -> bool:
    """Whether the browser says that a page of this very origin sent the request.

    Fetch standard: Sec-Fetch-Site can't be set by a page; Origin is sent with every POST of a browser. A program
    sends neither, and has no session of anybody else's to abuse.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("Origin")
    public = request.app[SERVICES].settings.public_url  # a proxy in front may have changed Host
    return origin is None or urlsplit(origin).netloc in {request.host, urlsplit(public).netloc}


def _session(request: web.Request) -> Session | None:
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    try:
        return request.app[SERVICES].tokens.verify_session(token)
    except TokenError:
        return None


def _is_open(path: str) -> bool:
    return path == f"{PREFIX}/sign-in" or path.startswith(f"{PREFIX}/static/")


def _sign_in_first(request: web.Request) -> web.Response:
    """The way in. It is a page and no redirect: the address stays, and after a link from another site (whose first
    request brings no SameSite=Strict cookie) one step from here does bring it."""
    elsewhere = request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}
    response = page(
        request, "sign_in.html", status=401, token="", next=request.path_qs, problem="", elsewhere=elsewhere
    )
    if request.headers.get("HX-Request"):
        response.headers["HX-Refresh"] = "true"
    return response


async def _carries_word(request: web.Request, session: Session) -> bool:
    given = request.headers.get(CSRF_HEADER)
    if given is None:
        given = str((await request.post()).get(CSRF_FIELD, ""))
    return request.app[SERVICES].tokens.csrf_matches(session, given)

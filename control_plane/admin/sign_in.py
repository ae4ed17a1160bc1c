"""Signing in with a one-time link, and signing out.

The link is opened by GET, which uses nothing up: mail scanners and chat previews open links too. Only the button does.
Counterpart: `control_plane.sign_ins` uses the link up, and says what it opens. Never: a password, or a token in a log.
"""

from aiohttp import web

from control_plane.admin.addresses import PREFIX, own
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.visitor import COOKIE, COOKIE_PATH, session_of
from control_plane.services import SERVICES
from control_plane.tokens import Permission, TokenError


async def show(request: web.Request) -> web.StreamResponse:
    """The button behind the link; without a token, how to get a link."""
    token = request.query.get("token", "")
    if not token and session_of(request) is not None:
        raise web.HTTPSeeOther(own(request.query.get("next", PREFIX)))
    following = own(request.query.get("next", PREFIX))
    return page(request, "sign_in.html", token=token, next=following, problem="", elsewhere=False)


async def redeem(request: web.Request) -> web.StreamResponse:
    """Use the link up and begin a session."""
    posted = await request.post()
    following = own(str(posted.get("next", PREFIX)))
    services = request.app[SERVICES]
    try:
        link = services.tokens.read_sign_in(str(posted.get("token", "")))
        if not link.actor.may(Permission.READ):
            raise web.HTTPForbidden(text=f"The role “{link.actor.role}” has no pages here; it is for programs.")
        signed_in = await services.sign_ins.redeem(link, origin(request))
    except TokenError as error:
        sentence = error.detail[:1].upper() + error.detail[1:]
        return page(request, "sign_in.html", status=403, token="", next=following, problem=sentence, elsewhere=False)
    response = web.HTTPSeeOther(following)
    response.set_cookie(
        COOKIE,
        services.tokens.issue_session(
            signed_in.actor, ttl_seconds=signed_in.ttl_seconds, link_role=signed_in.link_role
        ),
        max_age=signed_in.ttl_seconds,
        path=COOKIE_PATH,
        httponly=True,
        samesite="Strict",
        secure=_over_tls(request),
    )
    raise response


async def leave(request: web.Request) -> web.StreamResponse:
    """End the session in this browser."""
    session = session_of(request)
    if session is not None:
        await request.app[SERVICES].sign_ins.leave(session, origin(request))
    response = web.HTTPSeeOther(f"{PREFIX}/sign-in")
    response.del_cookie(COOKIE, path=COOKIE_PATH, httponly=True, samesite="Strict", secure=_over_tls(request))
    raise response


def _over_tls(request: web.Request) -> bool:
    return request.secure or request.app[SERVICES].settings.public_url.startswith("https://")

"""Who is looking at a page, as the pages know it.

Counterpart: `guard` finds it out; templates and handlers ask here. Never: a decision that a service makes.
"""

from aiohttp import web

from control_plane.tokens import Actor, Permission, Session

COOKIE = "lm_admin"
COOKIE_PATH = "/admin"

SESSION = web.RequestKey("admin session", Session)
"""There only for a visitor who is signed in."""


def session_of(request: web.Request) -> Session | None:
    """The session of a request; None for a visitor who isn't signed in."""
    return request.get(SESSION)


def actor_of(request: web.Request) -> Actor:
    """Who asks; raises 403 where nobody is signed in, which `guard` has answered before."""
    session = session_of(request)
    if session is None:
        raise web.HTTPForbidden
    return session.actor


def require(request: web.Request, permission: Permission) -> Actor:
    """Who asks, if the role includes the permission; otherwise 403 with what is missing."""
    actor = actor_of(request)
    if not actor.may(permission):
        raise web.HTTPForbidden(text=f"Your role is “{actor.role}”. This needs a role that may {permission}.")
    return actor

"""A change that was not done and can be sent once more: what was typed, kept in a page.

Counterpart: `guard` asks for it where a session is over, `error_pages` where the store could not take it. Never: sent by itself.
"""

from aiohttp import web
from msgspec import Struct

from control_plane.admin.rendering import page

CSRF_FIELD = "csrf"


class Why(Struct, frozen=True):
    """What happened to it, in words; `look_first`: whether it was done is not known."""

    heading: str
    text: str
    look_first: bool = False


async def resend(
    request: web.Request, *, signed_in: bool, why: Why | None = None, status: int | None = None
) -> web.Response:
    """The page; `why` is left out where the session was not the one of the form."""
    posted = await request.post()
    kept = [(name, value) for name, value in posted.items() if isinstance(value, str) and name != CSRF_FIELD]
    return page(
        request,
        "resend.html",
        status=status or (403 if signed_in else 401),
        kept=kept,
        action=request.path,
        signed_in=signed_in,
        why=why,
    )

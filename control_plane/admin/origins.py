"""From where a change that an admin page asks for comes.

Counterpart: `control_plane.origin` says what is kept of an address. Never: the address itself.
"""

from aiohttp import web

from control_plane.origin import Way, networks, origin_of
from control_plane.services import SERVICES


def origin(request: web.Request) -> str:
    """The admin pages, and the network of who asked."""
    trusted = networks(request.app[SERVICES].settings.trusted_proxies)
    return origin_of(Way.ADMIN, request.remote, request.headers.getall("X-Forwarded-For", ()), trusted)

"""Requests that are answered here since they can't go on as what they are, by their first line and the fields about it.

Whatever has two readings is none: a host that is no host goes into links and caches of the origin, and a version that is not
spoken here has bodies whose end nobody knows.
Counterparts: `connections`, whose parser has refused what is not HTTP at all; `proxy` answers. Never: a look at a body.
"""

import re

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11

HOST_CHARACTERS_MAX = 255
"""A name has 253 at most (RFC 1035 2.3.4); beside that no more of it is remembered than this."""
HOPS_MAX = 32
"""Proxies that a request has passed, by X-Forwarded-For. Real chains have a handful; more is a circle, and each round holds a
connection on both sides."""
ASK_THE_WAY = frozenset({"OPTIONS", "TRACE"})
"""Methods that say how far they may go (RFC 9110 7.6.2)."""

_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?")
"""RFC 3986 3.2.2 and 3.2.3, without user information (RFC 9110 4.2.4)."""


def refusal(request: web.BaseRequest, target: str, authority: str) -> tuple[int, str] | None:
    """Status and text for a request that is not forwarded at all; `target` and `authority` as `Exchange` has them."""
    version = request.version
    if version not in (HttpVersion11, HttpVersion10):
        return 505, "HTTP/1.1 is spoken here."
    if not target.startswith("/") or request.method == "CONNECT":
        return 501, "Only requests for a path are forwarded."
    if len(authority) > HOST_CHARACTERS_MAX or _AUTHORITY.fullmatch(authority) is None:
        return 400, "The host is none."
    codings = request.headers.getall("Transfer-Encoding", None)
    if codings is not None and (version < HttpVersion11 or ",".join(codings).strip().lower() != "chunked"):
        return 400, "The transfer coding is not chunked."
    chain = request.headers.getall("X-Forwarded-For", ())
    if chain and sum(value.count(",") + 1 for value in chain) > HOPS_MAX:
        return 508, "The request goes round in a circle: an origin leads back here."
    if request.method in ASK_THE_WAY and hops_of(request) == 0:
        return (501, "Nobody is traced here.") if request.method == "TRACE" else (200, "This is as far as it may go.")
    return None


def hops_of(request: web.BaseRequest) -> int | None:
    """How many more times the request may be forwarded (Max-Forwards); None where it does not say so."""
    text = request.headers.get("Max-Forwards", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

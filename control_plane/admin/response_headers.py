"""The headers of every admin response: what a browser may do with these pages.

A page that sets a Content-Security-Policy of its own (the previewed documents) keeps it.
Never: anything on addresses outside the admin.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_ours(path: str) -> bool:
    """Whether a path belongs to the admin."""
    return path == "/admin" or path.startswith("/admin/")


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add what the response doesn't say itself; a redirect is raised in aiohttp, and is a response too."""
    if not is_ours(request.path):
        return await handler(request)
    try:
        response = await handler(request)
    except web.HTTPException as raised:
        _complete(raised)
        raise
    _complete(response)
    return response


def _complete(response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)

"""`python -m tests.soak.shop`: an origin with everything that a site sends; prints its port.

Real pages (`../shared/corpus`), pages with a new token each time, downloads, uploads, a WebSocket, Server-Sent Events.
Counterpart: `visitors` knows what should come. Never: a page that differs between two calls but for its token.
"""

import asyncio
import gzip
import hashlib
import secrets
import sys
from functools import cache
from pathlib import Path

from aiohttp import web

from tests.shared_folder import SHARED

PAGE_BYTES_MAX = 300_000
PIECE = bytes(range(256)) * 256
PIECES_OF_DOWNLOAD = 64
EVENTS = 20
EVENT_S = 0.05
TOKEN_PAGE = (
    b"<!doctype html><html><head><title>Tea</title><meta name=csrf content=TOKEN></head><body><h1>Tea</h1>"
    + b"<p class=row>Leaves are picked by hand, and withered in the shade.</p>\n" * 300
    + b"<form><input type=hidden name=csrf value=TOKEN></form></body></html>"
)


@cache
def real_pages() -> tuple[bytes, ...]:
    """The real pages that are not too large, or one where there is no `../shared`."""
    files: list[Path] = sorted((SHARED / "corpus/pages").glob("*.html"))
    pages = tuple(file.read_bytes() for file in files if file.stat().st_size <= PAGE_BYTES_MAX)
    return pages or (TOKEN_PAGE,)


async def page(request: web.Request) -> web.Response:
    body = real_pages()[int(request.match_info["number"])]
    return _html(request, body)


async def token(request: web.Request) -> web.Response:
    return _html(request, TOKEN_PAGE.replace(b"TOKEN", secrets.token_hex(16).encode()))


def _html(request: web.Request, body: bytes) -> web.Response:
    fields = {"Content-Type": "text/html; charset=utf-8"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body, fields["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    return web.Response(body=body, headers=fields)


async def download(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(PIECES_OF_DOWNLOAD):
        await response.write(PIECE)
    return response


async def upload(request: web.Request) -> web.Response:
    found = hashlib.sha256()
    async for piece in request.content.iter_any():
        found.update(piece)
    return web.Response(text=found.hexdigest())


async def events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    for number in range(EVENTS):
        await response.write(b"data: %d\n\n" % number)
        await asyncio.sleep(EVENT_S)
    return response


async def socket(request: web.Request) -> web.WebSocketResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    async for message in response:
        await response.send_bytes(message.data)
    return response


async def serve() -> None:
    application = web.Application(client_max_size=2**30)
    application.add_routes(
        [
            web.get("/page/{number}", page),
            web.get("/token", token),
            web.get("/download", download),
            web.post("/upload", upload),
            web.get("/events", events),
            web.get("/socket", socket),
        ]
    )
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=30)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())

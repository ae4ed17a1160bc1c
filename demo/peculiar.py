"""Pages and answers that are awkward on purpose, because every real site has some.

A page that streams slowly, two in old encodings, one with a strict content security policy, server-sent events, a
download. Counterpart: `pages` has the well-behaved ones. Never wrong by any standard, only inconvenient.
"""

import codecs
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from demo.rendering import CATALOGUE, TEMPLATES, nonce_of, page, render

ChunkPause = Callable[[], Awaitable[object]]
"""Awaited before each later chunk of the slow page."""

CHUNK_PAUSE: web.AppKey[ChunkPause] = web.AppKey("chunk_pause")
CHUNK_MARK = "<!-- pour -->"
"""Where the template of the slow page may be cut."""


async def slow(request: web.Request) -> web.StreamResponse:
    """`/slow`: one page in about fifteen chunks, with a pause before each but the first."""
    first, *later = render(request, "slow.html").encode().split(CHUNK_MARK.encode())
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/html; charset=utf-8", "X-Layout-Id": "slow"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    await response.write(first)
    for chunk in later:
        await request.app[CHUNK_PAUSE]()
        await response.write(chunk)
    await response.write_eof()
    return response


async def utf_16(request: web.Request) -> web.Response:
    """`/utf-16`: Japanese, little-endian with a byte order mark, the charset declared."""
    text = render(request, "japanese.html", charset="utf-16")
    return in_charset(codecs.BOM_UTF16_LE + text.encode("utf-16-le"), "utf-16")


async def latin_1(request: web.Request) -> web.Response:
    """`/latin-1`: French in ISO-8859-1; what that lacks (dashes, curly quotes, œ) is a character reference."""
    text = render(request, "french.html", charset="iso-8859-1")
    return in_charset(text.encode("iso-8859-1", "xmlcharrefreplace"), "iso-8859-1")


def in_charset(body: bytes, charset: str) -> web.Response:
    """An HTML response of bytes that are already encoded."""
    return web.Response(
        body=body, headers={hdrs.CONTENT_TYPE: f"text/html; charset={charset}", "X-Layout-Id": "letter"}
    )


async def account(request: web.Request) -> web.Response:
    """`/account`: nothing runs or is styled here that the page's nonce does not vouch for."""
    catalogue = request.app[CATALOGUE]
    usual = catalogue.pick(["moorland-breakfast", "hush", "peat-and-plum", "wren-teapot"])
    response = page(request, "account.html", layout="account", usual=usual)
    nonce = nonce_of(request)
    response.headers["Content-Security-Policy"] = "; ".join(
        (
            "default-src 'self'",
            f"script-src 'nonce-{nonce}'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
    return response


async def events(request: web.Request) -> web.StreamResponse:
    """`/events`: the last three turns of the weather as server-sent events, then the end."""
    turns = ("mist", "rain", "a bright spell")
    body = "".join(f"id: {number}\nevent: weather\ndata: {turn}\n\n" for number, turn in enumerate(turns, start=1))
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store"})
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        await response.write(f"retry: 60000\n\n{body}".encode())
        await response.write_eof()
    return response


async def download(request: web.Request) -> web.Response:
    """`/download`: the brewing card to print, HTML as an attachment; the same bytes for everybody."""
    text = request.app[TEMPLATES].get_template("brewing_card.html").render()
    return web.Response(
        text=text,
        content_type="text/html",
        headers={hdrs.CONTENT_DISPOSITION: 'attachment; filename="larkmoor-brewing-card.html"'},
    )

"""Templates to responses: what every page carries, and what makes every response a little different.

Counterpart: `pages`, `checkout` and `peculiar` say which template and with what. Never escapes by hand: autoescape is on
for everything, and only templates speak HTML.
"""

import secrets
from datetime import UTC, date, datetime
from functools import cache
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from aiohttp import hdrs, web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from demo import forgery, linked_data
from demo.basket import Basket, counts_from_cookie
from demo.catalogue import Catalogue

CATALOGUE = web.AppKey("catalogue", Catalogue)
TEMPLATES = web.AppKey("templates", Environment)
NONCE = web.RequestKey("nonce", str)
SECRET = web.RequestKey("secret", str)

CSRF_COOKIE = "larkmoor_csrf"
BASKET_COOKIE = "larkmoor_basket"

HERE = Path(__file__).parent


@cache
def create_templates(catalogue: Catalogue) -> Environment:
    """The Jinja environment, one in a process: nothing in it changes, and compiling templates takes longer than pages do.

    A misspelt variable in a template is an error, not an empty string.
    """
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"money": money, "longdate": longdate}
    templates.globals["catalogue"] = catalogue
    return templates


def money(pence: int) -> str:
    """`£9.50`."""
    return f"£{pence // 100}.{pence % 100:02}"


def longdate(day: date) -> str:
    """`18 March 2026`."""
    return f"{day.day} {day:%B %Y}"


def basket_of(request: web.Request) -> Basket:
    """The visitor's basket."""
    return Basket(counts_from_cookie(request.cookies.get(BASKET_COOKIE)), request.app[CATALOGUE])


def nonce_of(request: web.Request) -> str:
    """The nonce of this response, made at its first use (CSP3 2.3: at least 128 random bits, base64)."""
    if NONCE not in request:
        request[NONCE] = secrets.token_urlsafe(18)
    return request[NONCE]


def secret_of(request: web.Request) -> str:
    """The visitor's CSRF secret: from the cookie, else a new one that `hand_out_secret` sets as a cookie."""
    brought = request.cookies.get(CSRF_COOKIE, "")
    if forgery.is_secret(brought):
        return brought
    if SECRET not in request:
        request[SECRET] = forgery.new_secret()
    return request[SECRET]


async def hand_out_secret(request: web.Request, response: web.StreamResponse) -> None:
    """Before the headers leave (`on_response_prepare`): a page that issued a new secret carries its cookie."""
    if SECRET in request:
        cookie = SimpleCookie({CSRF_COOKIE: request[SECRET]})[CSRF_COOKIE]
        cookie["path"], cookie["samesite"], cookie["httponly"], cookie["secure"] = "/", "Lax", True, request.secure
        # A header rather than response.set_cookie: aiohttp has written the response's own cookies by now.
        response.headers.add(hdrs.SET_COOKIE, cookie.OutputString())


def render(request: web.Request, template: str, *, about: dict[str, Any] | None = None, **values: Any) -> str:
    """A page as text. `about` is its JSON-LD; `values` fill the template beside what the frame of every page needs."""
    frame = {
        "path": request.path,
        "nonce": nonce_of(request),
        "csrf": forgery.mask(secret_of(request)),
        "request_id": secrets.token_hex(8),
        "rendered_at": datetime.now(UTC),
        "basket": basket_of(request),
        "charset": "utf-8",
        "linked_data": [linked_data.store(), *([about] if about else [])],
    }
    return request.app[TEMPLATES].get_template(template).render(frame | values)


def page(request: web.Request, template: str, *, layout: str, status: int = 200, **values: Any) -> web.Response:
    """A page in UTF-8. `layout` names the kind of page in X-Layout-Id, for whoever reads it further on."""
    return web.Response(
        text=render(request, template, **values),
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={"X-Layout-Id": layout, "Cache-Control": "private, no-cache"},
    )

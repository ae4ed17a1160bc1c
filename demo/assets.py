"""What is under /static: the files of `static/`, and a drawing for every product and article.

Everything is read or drawn once, when the shop opens. Counterpart: templates refer to it. Never serves a path that it
did not list at the start, so there is no path to climb out of.
"""

import hashlib
import mimetypes
from datetime import UTC, datetime
from typing import NamedTuple

from aiohttp import web
from jinja2 import Environment

from demo.catalogue import Catalogue
from demo.rendering import HERE

CACHE_CONTROL = "public, max-age=300"


class Asset(NamedTuple):
    """One file as it is served. `etag` stands without quotes; `modified` is in UTC, whole seconds."""

    body: bytes
    content_type: str
    etag: str
    modified: datetime


Assets = dict[str, Asset]
ASSETS = web.AppKey("assets", Assets)


def collect_assets(catalogue: Catalogue, templates: Environment) -> Assets:
    """Every asset by its path below /static/."""
    folder = HERE / "static"
    assets = {
        path.relative_to(folder).as_posix(): asset(path.name, path.read_bytes(), path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    drawn = (HERE / "templates" / "drawings.html").stat().st_mtime
    picture = templates.get_template("picture.svg")
    for product in catalogue.products.values():
        assets[f"products/{product.slug}.svg"] = asset("a.svg", picture.render(item=product).encode(), drawn)
    scene = templates.get_template("scene.svg")
    for article in catalogue.articles.values():
        assets[f"articles/{article.slug}.svg"] = asset("a.svg", scene.render(item=article).encode(), drawn)
    return assets


def asset(name: str, body: bytes, modified_s: float) -> Asset:
    """An asset from a file name (for its type), its bytes and seconds since the epoch."""
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    etag = hashlib.sha256(body).hexdigest()[:20]
    return Asset(body, content_type, etag, datetime.fromtimestamp(int(modified_s), UTC))


async def static(request: web.Request) -> web.Response:
    """`/static/{path}`: 304 where the client has it already (RFC 9110 13.2.2: If-None-Match goes first)."""
    found = request.app[ASSETS].get(request.match_info["path"])
    if found is None:
        raise web.HTTPNotFound
    response = web.Response(status=304) if client_has(request, found) else web.Response(body=found.body)
    if response.status == 200:
        response.content_type = found.content_type
        if found.content_type.startswith("text/"):
            response.charset = "utf-8"
    response.etag = found.etag
    response.last_modified = found.modified
    response.headers["Cache-Control"] = CACHE_CONTROL
    return response


def client_has(request: web.Request, found: Asset) -> bool:
    """Whether the conditional request's copy is the current one."""
    tags = request.if_none_match
    if tags is not None:
        return any(tag.value in (found.etag, "*") for tag in tags)
    since = request.if_modified_since
    return since is not None and found.modified <= since

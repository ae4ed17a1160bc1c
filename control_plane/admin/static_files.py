"""Style, script and icon of the admin, and the vendor scripts that set-up fetched: read once, kept in memory.

An address carries the hash of what it names, so that browsers may keep it for good.
Never: a path that a visitor chose is opened; only names that were there at the start are served.
"""

import hashlib
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from control_plane.admin.addresses import PREFIX

FOLDER = Path(__file__).parent / "static"
CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFile(Struct, frozen=True):
    """One file as it is sent."""

    body: bytes
    content_type: str
    digest: str


class StaticFiles:
    """Name below `static/` -> file."""

    def __init__(self, files: dict[str, StaticFile]) -> None:
        self._files = files

    @classmethod
    def load(cls, folder: Path = FOLDER) -> "StaticFiles":
        """Everything of a known type in the folder; other files are left alone."""
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in CONTENT_TYPES:
                body = path.read_bytes()
                digest = hashlib.sha256(body).hexdigest()[:12]
                name = path.relative_to(folder).as_posix()
                found[name] = StaticFile(body, CONTENT_TYPES[path.suffix], digest)
        return cls(found)

    def get(self, name: str) -> StaticFile | None:
        """The file of that name; None if there is none."""
        return self._files.get(name)

    def address(self, name: str) -> str | None:
        """Where a page finds the file; None for one that was not fetched, which pages do without."""
        file = self._files.get(name)
        return None if file is None else f"{PREFIX}/static/{name}?v={file.digest}"


FILES = web.AppKey("admin static files", StaticFiles)


async def show(request: web.Request) -> web.Response:
    """One static file."""
    file = request.app[FILES].get(request.match_info["name"])
    if file is None:
        raise web.HTTPNotFound
    fresh = request.query.get("v") == file.digest
    return web.Response(
        body=file.body,
        content_type=file.content_type,
        charset="utf-8",
        headers={"Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-cache"},
    )

"""Templates -> responses: one Jinja2 environment, everything escaped, a missing name an error.

Counterpart: `templates/`. Never: markup in Python, or a value that a template may print unescaped.
"""

from datetime import UTC, datetime
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import urlencode

import jinja2
from aiohttp import web

from control_plane.admin import addresses, wording
from control_plane.admin.away import away
from control_plane.admin.banner import Shown, shown
from control_plane.admin.navigation import navigation
from control_plane.admin.static_files import StaticFiles
from control_plane.admin.visitor import session_of
from control_plane.conditions import DATABASE_AWAY
from control_plane.services import SERVICES
from control_plane.store.mirror.conflicts import CONFLICTS
from control_plane.tokens import Permission

FOLDER = Path(__file__).parent / "templates"
TEMPLATES = web.AppKey("admin templates", jinja2.Environment)


class Compiled(jinja2.BytecodeCache):
    """What this process has compiled. A template takes 20 ms, and where many services run in one process, as in tests, each would
    compile its own."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Give the code of the same source, if there is one."""
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep the code of a source."""
        assert bucket.code is not None
        self._code[bucket.key, bucket.checksum] = bucket.code


_COMPILED = Compiled()


def templates(files: StaticFiles, *, public_url: str) -> jinja2.Environment:
    """The environment that all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_COMPILED,
    )
    environment.filters["moment"] = moment
    environment.filters["query"] = query
    environment.filters["size"] = size
    environment.globals.update(
        prefix=addresses.PREFIX,
        address=addresses.mutation,
        toggles_address=addresses.TOGGLES,
        migration_address=addresses.MIGRATION,
        schema_address=addresses.SCHEMA,
        toggle_address=addresses.toggle,
        activity_address=addresses.ACTIVITY,
        settings_address=addresses.SETTINGS,
        alerts_address=addresses.ALERTS,
        alert_address=addresses.alert,
        conflicts_address=addresses.CONFLICTS,
        conflict_address=addresses.conflict,
        backups_address=addresses.BACKUPS,
        history_address=addresses.HISTORY,
        entry_address=addresses.entry,
        deleted_address=addresses.DELETED,
        restore_address=addresses.deleted,
        backup_address=addresses.backup,
        static=files.address,
        words=wording,
        public_url=public_url,
    )
    return environment


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A page of the admin, with what every page needs: who looks, what they may do, the word for
    their forms, and the alerts that are open."""
    session = session_of(request)
    services = request.app[SERVICES]
    tokens, may = services.tokens, _may(request)
    told = () if session is None else shown(services.kept_alerts.open())
    gone = None if session is None else away(request)
    text = (
        request.app[TEMPLATES]
        .get_template(template)
        .render(
            actor=None if session is None else session.actor,
            looking=session if session is not None and session.link_role is not None else None,
            csrf="" if session is None else tokens.csrf(session),
            may=may,
            here=request.path,
            navigation=navigation(request.path, may),
            alerts=told,
            away=gone,
            banner=[one for one in told if not _is_told_here(one, request.path, is_away=gone is not None)],
            **values,
        )
    )
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def _is_told_here(one: Shown, path: str, *, is_away: bool) -> bool:
    """Whether the page itself says more of a condition than the banner would."""
    return (one.alert.id == DATABASE_AWAY and is_away) or (one.alert.id == CONFLICTS and path == addresses.CONFLICTS)


def moment(value: datetime | None) -> str:
    """A point in time for people: `23 Nov 2026, 10:58 UTC`; nothing for none."""
    return "" if value is None else f"{value.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def size(count: int) -> str:
    """Bytes for people, in powers of ten: `1.3 MB`."""
    amount = float(count)
    for unit in ("bytes", "KB", "MB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 99.5 else f"{amount:.1f} {unit}"
        amount /= 1_000
    return f"{amount:,.1f} GB"


def query(values: dict[str, str | None]) -> str:
    """A query string with the values that are there, `?` included; empty without any."""
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


def _may(request: web.Request) -> dict[str, bool]:
    session = session_of(request)
    return {permission.value: session is not None and session.actor.may(permission) for permission in Permission}

"""The page of the installation's settings, and of what is done regularly.

Counterpart: `control_plane.installation_settings` says what may be set, `control_plane.schedules` what is done.
Never: a setting that the environment has.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from control_plane.admin import addresses
from control_plane.admin.origins import origin
from control_plane.admin.rendering import page
from control_plane.admin.switching import whole
from control_plane.admin.visitor import require
from control_plane.installation_settings import InstallationSettings, described
from control_plane.intent import Intent
from control_plane.refusals import Refused
from control_plane.services import SERVICES
from control_plane.tokens import Permission


async def show(request: web.Request) -> web.Response:
    """What holds now, with a form for whoever may change it."""
    require(request, Permission.READ)
    return await _page(request)


async def save(request: web.Request) -> web.StreamResponse:
    """Replace the settings, or show what is wrong."""
    actor = require(request, Permission.ADMINISTER)
    posted = await request.post()
    typed = {one.name: str(posted.get(one.name, "")).strip() for one in described()}
    reason = str(posted.get("reason", "")).strip()
    problems = {one.name: problem for one in described() if (problem := _problem(one.name, typed[one.name]))}
    if problems:
        return await _page(request, typed, problems, reason, status=422)
    settings = msgspec.convert({name: _number(text) for name, text in typed.items()}, InstallationSettings)
    intent = Intent(actor=actor, origin=origin(request), reason=reason, expected_version=whole(posted.get("change")))
    try:
        await request.app[SERVICES].adjustable.put(settings, intent)
    except Refused as refused:
        return await _page(request, typed, {"": refused.detail}, reason, status=409)
    raise web.HTTPSeeOther(f"{addresses.SETTINGS}?done=settings")


async def _page(
    request: web.Request,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
    reason: str = "",
    *,
    status: int = 200,
) -> web.Response:
    services = request.app[SERVICES]
    at = await services.adjustable.read()
    now: dict[str, Any] = msgspec.to_builtins(at.settings)
    return page(
        request,
        "settings.html",
        status=status,
        settings=described(),
        typed=typed or {name: f"{value:g}" for name, value in now.items()},
        problems=problems or {},
        reason=reason,
        change=at.change,
        schedules=services.schedules.seen(),
        done=request.query.get("done", ""),
    )


def _problem(name: str, text: str) -> str:
    """What is wrong with what was typed for a setting; empty for nothing."""
    [setting] = [one for one in described() if one.name == name]
    value = _number(text)
    if value is None or (setting.whole and not isinstance(value, int)):
        return f"It takes a {'whole ' if setting.whole else ''}number."
    if not setting.least <= value <= setting.most:
        return f"It takes {setting.least:g} to {setting.most:g}."
    return ""


def _number(text: str) -> int | float | None:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return None

"""Mounts the table of routes: checks the role, then calls the handler.

Counterpart: `routes.py`. Never: a route that is not in the table, save the description made from it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, cast

from aiohttp import web

from control_plane.api import openapi, problems
from control_plane.api.answers import json_answer
from control_plane.api.requests import authenticate
from control_plane.api.routes import ROUTES, Guarded, Open, Route
from control_plane.services import Services

DESCRIPTION_PATH = "/api/openapi.json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def mount(app: web.Application, services: Services) -> None:
    """Add every route and the middleware that answers errors."""
    app.middlewares.append(problems.middleware)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, _handler(route, services))
    app.router.add_route("GET", DESCRIPTION_PATH, _describe)


async def _describe(_: web.Request) -> web.StreamResponse:
    return json_answer(await asyncio.to_thread(_description))


@cache
def _description() -> dict[str, Any]:
    """Made when somebody asks first: it takes a tenth of a second, which a start need not wait for."""
    return openapi.document(ROUTES)


def _handler(route: Route, services: Services) -> Handler:
    if not route.roles:
        public = cast("Open", route.handler)

        async def answer_everybody(request: web.Request) -> web.StreamResponse:
            return await public(request, services)

        return answer_everybody
    guarded = cast("Guarded", route.handler)

    async def answer_authorised(request: web.Request) -> web.StreamResponse:
        return await guarded(request, services, authenticate(request, services, route.roles))

    return answer_authorised

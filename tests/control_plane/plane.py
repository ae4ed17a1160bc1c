"""A control plane as it runs, spoken to over HTTP."""

import asyncio
import base64
import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from control_plane import app
from control_plane.judge import Judge
from control_plane.services import SERVICES, Services
from control_plane.settings import ControlPlaneSettings
from control_plane.store import Chain
from control_plane.tokens import Role

API = "/api/layout-mutation"
DEADLINE_S = 90.0
CHAIN = Chain([b"k" * 32])


class Answer(msgspec.Struct):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Plane:
    """One instance."""

    def __init__(self, services: Services, session: aiohttp.ClientSession, port: int) -> None:
        self.services = services
        self.port = port
        self._session = session

    async def ask(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        role: str | None = "admin",
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """A request with a token of the role; paths without a leading slash are below the API's prefix."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.services.tokens.issue(Role(role), f'the {role}')}")
        if json is not None:
            data = msgspec.json.encode(json)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        full = path if path.startswith("/") else f"{API}/{path}"
        body = None if data is None else io.BytesIO(data)
        async with self._session.request(method, full, data=body, headers=sent) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())

    async def create(self, mutation: dict[str, Any] | None = None, **more: Any) -> Any:
        """A saved mutation."""
        answer = await self.ask("POST", "mutations", mutation or headline(**more))
        assert answer.status == 201, answer.body
        return answer.json()


def headline(text: str = "New", **more: Any) -> dict[str, Any]:
    """A mutation that sets the text of the heading; with an id no other one is equal to it, as there is one of each."""
    selector = f'h1:not([data-not="{more["id"]}"])' if "id" in more else "h1"
    operation = {"verb": "setText", "target": {"selector": selector}, "content": {"text": text}}
    return {"mutationType": "set", "mutationPayload": {"operations": [operation]}, **more}


def settings_of(
    database_url: str, redis_url: str, environment: str, data_dir: Path, **more: Any
) -> ControlPlaneSettings:
    """Settings with secrets of their own."""
    given = {
        "signing_key": base64.b64encode(secrets.token_bytes(32)).decode(),
        "jwt_secret": secrets.token_hex(32),
        "data_dir": str(data_dir),
        "backup_every": "off",
        **more,
    }
    return ControlPlaneSettings(
        database_url=database_url, redis_url=redis_url, layout_mutation_environment=environment, **given
    )


@asynccontextmanager
async def running(
    settings: ControlPlaneSettings, *, wait: bool = True, judge: Judge | None = None
) -> AsyncIterator[Plane]:
    """An instance on a free port; ready unless told not to wait."""
    application = app.create(settings, judge=judge)
    async with (
        app.serving(application, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        plane = Plane(application[SERVICES], session, port)
        if wait:
            await until(lambda: is_ready(plane))
        yield plane


async def is_ready(plane: Plane) -> bool:
    return (await plane.ask("GET", "/readyz", role=None)).status == 200


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = DEADLINE_S) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)

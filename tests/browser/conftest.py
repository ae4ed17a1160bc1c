"""A real Chromium, the control plane and the demo shop: what the browser tests look at, and where their pictures go.

`SCREENSHOTS_DIR` names the folder for the pictures; without it they go to the test's own temporary folder.
"""

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright
from pytest_asyncio import fixture, is_async_test

from control_plane import app as application
from control_plane.services import SERVICES
from control_plane.settings import ControlPlaneSettings
from control_plane.tokens import Role
from demo.app import build_app

FOLDER = Path(__file__).parent
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of this folder share the event loop that Chromium is spoken to from."""
    for item in items:
        if item.path.is_relative_to(FOLDER) and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@fixture(scope="session", loop_scope="session")
async def launched(missing: Callable[[str, str], str]) -> AsyncIterator[Browser]:
    """Debian's Chromium, once for all tests; as root it runs without its own sandbox, which only an ordinary user can have."""
    path = missing("chromium", "chromium")
    arguments = [*ARGUMENTS, "--no-sandbox"] if os.geteuid() == 0 else ARGUMENTS
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        await browser.close()


@fixture(loop_scope="session")
async def chromium(launched: Browser) -> AsyncIterator[Browser]:
    """Chromium. Each context, and each page made without one, is a person of its own, and gone afterwards."""
    before = launched.contexts
    yield launched
    for context in launched.contexts:
        if context not in before:
            await context.close()


EXPECTED = (
    "status of 422",  # a form that was refused on purpose
    "status of 409",  # and a conflict
    "'allow-scripts' permission is not set",  # the previewed page's own scripts: they must not run
)


class Complaints:
    """What the browser's console said: refused by a policy, failed, or thrown; less what is meant to be."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in EXPECTED):
            self.said.append(message.text)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder for screenshots."""
    folder = Path(os.environ.get("SCREENSHOTS_DIR") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@fixture(loop_scope="session")
async def shop() -> AsyncIterator[str]:
    """The base URL of the demo shop."""
    async with TestServer(build_app()) as server:
        yield str(server.make_url("")).rstrip("/")


@fixture(loop_scope="session")
async def plane(
    database_url: str, redis_url: str, redis_environment: str, tmp_path: Path, shop: str
) -> AsyncIterator[tuple[web.Application, str]]:
    """The control plane, ready, with the shop registered; and its base URL."""
    settings = ControlPlaneSettings(
        database_url=database_url,
        redis_url=redis_url,
        layout_mutation_environment=redis_environment,
        signing_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        jwt_secret=secrets.token_hex(32),
        data_dir=str(tmp_path / "control-plane"),
        origins={"*": shop},
    )
    plane = application.create(settings)
    async with application.serving(plane, "127.0.0.1", 0) as port:
        async with asyncio.timeout(90):
            while plane[SERVICES].health.starting:
                await asyncio.sleep(0.01)
        yield plane, f"http://127.0.0.1:{port}"


@pytest.fixture
def sign_in_link(plane: tuple[web.Application, str]) -> str:
    """A link as `make run` prints it."""
    return plane[0][SERVICES].tokens.sign_in_link(plane[1], subject="Ada", role=Role.ADMIN)

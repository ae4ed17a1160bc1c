"""A real Chromium, the control plane and the demo shop: what the browser tests look at, and where their pictures go.

`SCREENSHOTS_DIR` names the folder for the pictures; without it none are taken but of what a test that failed was looking at,
in its own temporary folder.
"""

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, async_playwright
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


FAILED = pytest.StashKey[bool]()
"""Whether a test has failed, for what is done at its end."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report: pytest.TestReport = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@fixture(loop_scope="session")
async def chromium(launched: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Browser]:
    """Chromium. Each context, and each page made without one, is a person of its own, and gone afterwards."""
    before = launched.contexts
    yield launched
    for person, context in enumerate(launched.contexts):
        if context not in before:
            if request.node.stash.get(FAILED, False):
                await _last_seen(context, _folder(tmp_path), person)
            await context.close()


async def _last_seen(context: BrowserContext, folder: Path, person: int) -> None:
    """A picture of each window of somebody; a window that can't be photographed any more hides nothing of the failure."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, page in enumerate(context.pages):
        with suppress(Error):
            await page.screenshot(path=folder / f"failed-{person}-{number}.png", full_page=True)


def _folder(tmp_path: Path) -> Path:
    return Path(os.environ.get("SCREENSHOTS_DIR") or tmp_path / "screenshots")


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


class Pictures:
    """Where pictures go, if anybody wants them: to take one costs more than what is seen on it."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def wanted(self) -> bool:
        return self._folder is not None

    async def take(self, page: Page, name: str, **options: Any) -> None:
        """`name` is without its ending; `options` are those of `Page.screenshot`."""
        if self._folder is not None:
            await page.screenshot(path=self._folder / f"{name}.png", **options)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """Pictures, where `SCREENSHOTS_DIR` asks for them."""
    if not os.environ.get("SCREENSHOTS_DIR"):
        return Pictures(None)
    folder = _folder(tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return Pictures(folder)


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

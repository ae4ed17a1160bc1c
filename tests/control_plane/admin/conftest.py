"""The control plane as it runs, on a real database and a real Valkey, with an origin to preview; and people signed in."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pytest_asyncio import fixture
from yarl import URL

from control_plane import app as application
from control_plane.services import SERVICES, Services
from control_plane.settings import ControlPlaneSettings
from control_plane.store.mirrored import standing_of
from control_plane.tokens import Role
from tests.control_plane.admin.person import Person

PAGE = (
    "<!doctype html><html lang='en'><head><title>Shop</title><link rel='stylesheet' href='/shop.css'></head>"
    "<body><h1>Welcome</h1><p class='lead'>Today only.</p><img src='shop.svg' alt=''><script>document.title='ran'</script>"
    "</body></html>"
)


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """The base URL of a small site."""
    async with small_site() as url:
        yield url


@asynccontextmanager
async def small_site() -> AsyncIterator[str]:
    """Serve a page at every address but three; the base URL."""

    async def page(request: web.Request) -> web.Response:
        if request.path == "/moved":
            raise web.HTTPFound("/deep/page")
        if request.path == "/away":
            raise web.HTTPFound("http://169.254.169.254/")
        if request.path == "/data":
            return web.json_response({})
        return web.Response(text=PAGE, content_type="text/html", charset="utf-8")

    site = web.Application()
    site.router.add_get("/{path:.*}", page)
    async with TestServer(site) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
def public_url() -> str:
    """How people reach the service; a test may say otherwise."""
    return "http://127.0.0.1"


@pytest.fixture
def settings(
    database_url: str, redis_url: str, redis_environment: str, tmp_path: Path, origin: str, public_url: str
) -> ControlPlaneSettings:
    """A control plane of the test's own."""
    return ControlPlaneSettings(
        database_url=database_url,
        redis_url=redis_url,
        layout_mutation_environment=redis_environment,
        signing_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        jwt_secret=secrets.token_hex(32),
        data_dir=str(tmp_path / "control-plane"),
        origins={"*": origin, "shop.example": origin},
        public_url=public_url,
    )


@pytest.fixture
async def plane(settings: ControlPlaneSettings) -> AsyncIterator[tuple[web.Application, int]]:
    """The control plane, ready, and its port."""
    plane = application.create(settings)
    async with running(plane) as port:
        yield plane, port


@asynccontextmanager
async def running(plane: web.Application) -> AsyncIterator[int]:
    """Serve it, once its database is up to date; the port."""
    async with application.serving(plane, "127.0.0.1", 0) as port:
        async with asyncio.timeout(90):
            while plane[SERVICES].health.starting:
                await asyncio.sleep(0.01)
        yield port


@pytest.fixture
async def beginning(settings: ControlPlaneSettings, tmp_path: Path) -> AsyncIterator[tuple[web.Application, int]]:
    """One more instance and its port: it knows the same people, has no mirror yet and doesn't reach its database."""
    lost = msgspec.structs.replace(
        settings, database_url="postgresql://nobody@127.0.0.1:1/nothing", data_dir=str(tmp_path / "beginning")
    )
    plane = application.create(lost)
    async with application.serving(plane, "127.0.0.1", 0) as port, asyncio.timeout(60):
        while "can't be reached" not in standing_of(plane[SERVICES].store).problem:
            await asyncio.sleep(0.01)
        yield plane, port


@pytest.fixture
def services(plane: tuple[web.Application, int]) -> Services:
    return plane[0][SERVICES]


@pytest.fixture
async def people(plane: tuple[web.Application, int]) -> AsyncIterator[Callable[[], Person]]:
    """New people, each with a browser of their own."""
    async with AsyncExitStack() as stack:

        def person() -> Person:
            someone = Person(URL(f"http://127.0.0.1:{plane[1]}"), plane[0][SERVICES].tokens)
            stack.push_async_callback(someone.close)
            return someone

        yield person


@pytest.fixture
async def person(people: Callable[[], Person]) -> Person:
    """Somebody who isn't signed in."""
    return people()


@pytest.fixture
async def admin(people: Callable[[], Person]) -> Person:
    return await people().sign_in(Role.ADMIN)


@pytest.fixture
async def editor(people: Callable[[], Person]) -> Person:
    return await people().sign_in(Role.EDITOR)


@pytest.fixture
async def publisher(people: Callable[[], Person]) -> Person:
    return await people().sign_in(Role.PUBLISHER)


@fixture(scope="module", loop_scope="module")
async def shared(shared_settings: ControlPlaneSettings) -> AsyncIterator[tuple[web.Application, int]]:
    """As `plane`, for all tests of a file that only look, or in which nothing is saved whatever is sent."""
    async with small_site() as url:
        origins = {"*": url, "shop.example": url}
        plane = application.create(
            msgspec.structs.replace(shared_settings, origins=origins, public_url="http://127.0.0.1")
        )
        async with running(plane) as port:
            yield plane, port


@fixture(scope="module", loop_scope="module")
async def refused(shared: tuple[web.Application, int]) -> AsyncIterator[tuple[Person, Services]]:
    """An admin of that instance, and the services that would have what was saved."""
    plane, port = shared
    person = Person(URL(f"http://127.0.0.1:{port}"), plane[SERVICES].tokens)
    yield await person.sign_in(Role.ADMIN), plane[SERVICES]
    await person.close()


@fixture(loop_scope="module")
async def stranger(shared: tuple[web.Application, int]) -> AsyncIterator[Person]:
    """Somebody at that instance who isn't signed in."""
    person = Person(URL(f"http://127.0.0.1:{shared[1]}"), shared[0][SERVICES].tokens)
    yield person
    await person.close()


@pytest.fixture
async def viewer(people: Callable[[], Person]) -> Person:
    return await people().sign_in(Role.VIEWER)

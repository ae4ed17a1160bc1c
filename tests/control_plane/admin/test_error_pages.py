"""Failures are pages of the same form, and say nothing about our insides."""

from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiohttp import web
from yarl import URL

from control_plane import app as application
from control_plane.admin.addresses import PREFIX
from control_plane.services import SERVICES
from control_plane.settings import ControlPlaneSettings
from tests.control_plane.admin.conftest import running
from tests.control_plane.admin.person import Person


async def test_errors_have_the_same_form(admin: Person) -> None:
    missing = await admin.open(f"{PREFIX}/mutations/nobody")
    assert (missing.status, missing.words("h1")) == (404, "There is no such page")
    unknown = await admin.open(f"{PREFIX}/no/such/page")
    assert (unknown.status, unknown.words("h1")) == (404, "There is no such page")
    wrong = await admin.send(PREFIX, {"csrf": await admin.word()})
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET,HEAD")
    cursor = await admin.open(f"{PREFIX}?cursor=nonsense")
    assert cursor.status == 400


async def test_without_the_database_the_mirror_answers(admin: Person, database_url: str) -> None:
    await gone(database_url)
    page = await admin.open()
    assert (page.status, page.words("h1")) == (200, "Mutations")


async def test_while_nobody_can_answer_there_is_a_page_that_says_so(
    admin: Person, beginning: tuple[web.Application, int]
) -> None:
    admin.base = URL(f"http://127.0.0.1:{beginning[1]}")
    page = await admin.open()
    assert (page.status, page.words("h1")) == (503, "The database is away")
    assert "visitors are not affected" in page.words()


async def gone(database_url: str) -> None:
    """Rename the database away, as far as anybody who asks for it can tell."""
    place = urlsplit(database_url)
    name = place.path.removeprefix("/")
    connection = await asyncpg.connect(urlunsplit(place._replace(path="/postgres")))
    try:
        await connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    finally:
        await connection.close()


async def test_our_own_fault_is_a_page_without_our_insides(settings: ControlPlaneSettings) -> None:
    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError("the word is swordfish")

    plane = application.create(settings)
    plane.router.add_get(f"{PREFIX}/broken", broken)
    async with running(plane) as port:
        person = await Person(URL(f"http://127.0.0.1:{port}"), plane[SERVICES].tokens).sign_in()
        page = await person.open(f"{PREFIX}/broken")
        await person.close()
    assert (page.status, page.words("h1")) == (500, "Something failed on our side")
    assert "swordfish" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")

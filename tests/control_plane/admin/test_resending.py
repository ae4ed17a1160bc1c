"""A change that may or may not have been saved is not called unsaved, and what was typed is there to be sent again."""

from aiohttp import web
from yarl import URL

from control_plane import app as application
from control_plane.admin.addresses import PREFIX
from control_plane.services import SERVICES
from control_plane.settings import ControlPlaneSettings
from control_plane.store import AwayError, OutcomeUnknownError
from tests.control_plane.admin.conftest import running
from tests.control_plane.admin.person import Person


async def test_what_became_of_it_is_said_as_it_is(settings: ControlPlaneSettings) -> None:
    async def lost(request: web.Request) -> web.Response:
        if (await request.post()).get("do") == "hopeless":
            raise AwayError("connection refused at 10.0.0.1")
        raise OutcomeUnknownError("the database went away while it saved")

    plane = application.create(settings)
    plane.router.add_post(f"{PREFIX}/lost", lost)
    async with running(plane) as port:
        person = await Person(URL(f"http://127.0.0.1:{port}"), plane[SERVICES].tokens).sign_in()
        word = await person.word()
        page = await person.send(f"{PREFIX}/lost", {"csrf": word, "name": "Typed <b>"})
        assert (page.status, page.words("h1")) == (503, "It is not known whether that was saved")
        assert (
            "The database went away while it saved. Look whether it is there before you send it again" in page.words()
        )
        again = await person.submit(page, "main form")
        assert again.words("main form textarea") == "Typed <b>"
        page = await person.send(f"{PREFIX}/lost", {"csrf": word, "do": "hopeless"})
        assert (page.status, page.words("h1")) == (503, "Not saved: the database is away")
        assert "10.0.0.1" not in page.text
        await person.close()

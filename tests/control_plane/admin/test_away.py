"""While the mirror answers, each page says so, what is saved is marked, and where one can only read nothing typed is lost."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from control_plane.admin.addresses import ALERTS, PREFIX, SETTINGS, TOGGLES, mutation
from control_plane.services import Services
from control_plane.settings import ControlPlaneSettings
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import standing_of
from service.keys import Keys
from tests.control_plane.admin.person import Person
from tests.control_plane.admin.writing import write
from tests.control_plane.plane import until
from tests.control_plane.store.outages import Wire

ANOTHER = b"beta:8081 (7)"


@pytest.fixture
def settings(settings: ControlPlaneSettings, wire: Wire) -> ControlPlaneSettings:
    """An instance whose wire to the database can be cut."""
    return msgspec.structs.replace(settings, database_url=wire.url)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_an_outage_is_told_on_every_page_and_what_is_saved_meanwhile_is_marked(
    publisher: Person, services: Services, wire: Wire, redis: Any, redis_environment: str
) -> None:
    written = (await write(publisher)).id
    form = await publisher.open(f"{mutation(written)}/edit")
    assert form.tree.css_first(".banner") is None
    writer = Keys(redis_environment).writer
    await redis.set(writer, ANOTHER)
    await wire.cut()
    page = await publisher.open()  # which finds it out, or comes when that was done
    assert "its mirror on this instance answers" in page.words(".banner") or "only read" in page.words(".banner")
    for address in (PREFIX, TOGGLES, ALERTS, SETTINGS, f"{PREFIX}/preview", f"{PREFIX}/nothing", mutation(written)):
        told = (await publisher.open(address)).words(".banner")
        assert "here one can only read" in told, address
        assert "beta:8081 (7) takes changes meanwhile" in told
        assert "See whether PostgreSQL runs" in told
    assert "on this instance one can only read" in (await publisher.open(TOGGLES)).words("#new-toggle")

    kept = await publisher.submit(form, "form[data-typed]", {"name": "Typed"}, button="save")
    assert (kept.status, kept.words("h1")) == (503, "Not saved: here one can only read")
    assert "beta:8081 (7) takes changes meanwhile" in kept.words()
    await redis.delete(writer)
    page = await publisher.submit(kept, "main form")
    assert "Saved." in page.words("[role=status]")
    assert "provisional It waits here until the database is back." in page.words("[role=status]")
    assert page.words("h1") == "Typed"
    versions = page.all_words(".versions strong")
    assert [("provisional" in one, one[:9]) for one in versions] == [(True, "Version 2"), (False, "Version 1")]
    page = await publisher.open()
    assert "provisional" in page.words("tbody tr")
    assert "1 change waits" in page.words(".banner")
    assert "database_away" not in page.text, "it is told once"

    await wire.mend()

    async def is_back() -> bool:
        return standing_of(services.store).state is State.PRIMARY

    await until(is_back)
    page = await publisher.open(mutation(written))
    assert (page.words("h1"), "provisional" in page.text) == ("Typed", False)

"""The door of an instance that can only read: whoever was paged gets in to look, and the page says so."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from control_plane.admin.addresses import ALERTS, BACKUPS, PREFIX
from control_plane.services import Services
from control_plane.settings import ControlPlaneSettings
from control_plane.store.mirror.standing import State
from control_plane.store.mirrored import standing_of
from control_plane.tokens import Role
from service.keys import Keys
from tests.control_plane.admin.person import Person
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


async def test_whoever_was_paged_gets_in_to_look_and_out_again(
    person: Person, services: Services, wire: Wire, redis: Any, redis_environment: str
) -> None:
    await redis.set(Keys(redis_environment).writer, ANOTHER)
    await wire.cut()
    address = services.tokens.sign_in_link("", subject="ada", role=Role.ADMIN)
    page = await person.open(address)
    landed = await person.submit(page, "main form")
    assert (landed.status, landed.words("h1")) == (200, "Mutations")
    assert "this session may look, until" in landed.words("[aria-label='Your session']")
    assert "To act as admin" in landed.words("[aria-label='Your session']")
    assert "ada (viewer)" in landed.words("form.who .name")
    assert (await person.open(BACKUPS)).status == 403
    assert "The audit does not have yet" in (await person.open(ALERTS)).words()
    again = await person.submit(page, "main form")
    assert "used before" in again.words("[role=alert]")
    out = await person.submit(landed, "form.who")
    assert out.words("h1") == "Sign in"
    assert (await person.open(PREFIX)).status == 401

    await wire.mend()

    async def is_told() -> bool:
        if standing_of(services.store).state is not State.PRIMARY:
            return False
        return len((await services.audit.page(kind="session")).items) == 2

    await until(is_told)
    told = (await services.audit.page(kind="session")).items
    assert [(one.action, one.actor, one.role) for one in reversed(told)] == [
        ("signed_in", "ada", "viewer"),
        ("signed_out", "ada", "viewer"),
    ]
    assert told[1].origin
    full = await person.sign_in(Role.ADMIN)
    assert (await full.open()).tree.css_first("[aria-label='Your session']") is None

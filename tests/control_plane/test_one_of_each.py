"""There is one of each mutation, whoever creates, imports, changes or switches, and however many at once."""

import asyncio
from typing import Any

import asyncpg

from control_plane.beginning import MUTATIONS_TWICE
from control_plane.settings import ControlPlaneSettings
from rules.model import SCHEMA_VERSION
from tests.control_plane.plane import Plane, headline, running


def equal(text: str = "New", **more: Any) -> dict[str, Any]:
    """One that is equal to all with this text, whatever its id."""
    return {**headline(text), **more}


async def ids(plane: Plane) -> list[str]:
    return [one["id"] for one in (await plane.ask("GET", "export")).json()["mutations"]]


async def test_creating_an_equal_one_gives_the_one_that_is_there(plane: Plane) -> None:
    made = await plane.create(equal(id="one", name="First"))
    again = await plane.ask("POST", "mutations", equal(id="two", name="Second", isActive=False, status="draft"))
    assert (again.status, again.headers["location"].rpartition("/")[2]) == (200, "one")
    assert (again.json()["existing"], again.json()["name"], again.json()["version"]) == (True, "First", made["version"])
    assert (await plane.ask("POST", "mutations", equal(id="one"))).json()["existing"]
    assert await ids(plane) == ["one"]
    back = await plane.ask("PUT", "mutations/one", {**again.json(), "name": "Third"})
    assert (back.status, "existing" in back.json()) == (200, False)


async def test_of_many_at_once_one_is_made(plane: Plane) -> None:
    answers = await asyncio.gather(*(plane.ask("POST", "mutations", equal(id=f"m{n}")) for n in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == len(await ids(plane)) == 1


async def test_an_update_into_equality_names_the_other(plane: Plane) -> None:
    await plane.create(equal(id="one"))
    await plane.create(equal("Other", id="two"))
    for refused in (
        await plane.ask("PUT", "mutations/two", equal(id="two")),
        await plane.ask("PATCH", "mutations/two", {"mutationPayload": headline()["mutationPayload"]}),
    ):
        assert (refused.status, refused.json()["type"].rpartition(":")[2]) == (409, "equal_exists")
        assert "the mutation one does the same" in refused.json()["detail"]
    await plane.ask("DELETE", "mutations/one")
    assert (await plane.ask("PUT", "mutations/two", equal(id="two"))).status == 200
    back = await plane.ask("POST", "mutations/one/rollback", {"version": 1, "reason": "back"})
    assert back.json()["type"].endswith("equal_exists")


async def test_importing_an_equal_one_brings_the_one_that_is_there_up_to_date(plane: Plane) -> None:
    await plane.create(equal(id="one", name="Old"))
    toggle = {"id": "off", "mutationId": "two", "isActive": False}
    file = {
        "schemaVersion": SCHEMA_VERSION,
        "mutations": [equal(id="two", name="New name"), equal(id="three", name="New name")],
        "toggles": [toggle],
    }
    first = (await plane.ask("POST", "import", file)).json()
    assert first["knownAs"] == [{"id": "two", "here": "one"}, {"id": "three", "here": "one"}]
    assert first["mutations"] == {"changed": 1, "unchanged": 1}
    assert await ids(plane) == ["one"]
    assert (await plane.ask("GET", "mutations/one")).json()["name"] == "New name"
    assert (await plane.ask("GET", "toggles/off")).json()["mutationId"] == "one"
    again = (await plane.ask("POST", "import", file)).json()
    assert again["mutations"] == {"changed": 0, "unchanged": 2}


async def test_copies_from_before_are_told_and_can_be_switched_off(settings: ControlPlaneSettings) -> None:
    async with running(settings) as plane:
        await plane.create(equal(id="one"))
        await plane.create(equal("Other", id="two"))
        assert plane.services.alerts.open() == ()
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(
        "UPDATE layout_mutation.mutations SET identity = NULL, content = replace(content::text, 'Other', 'New')::json"
    )
    await connection.close()
    async with running(settings) as plane:
        (alert,) = plane.services.alerts.open()
        assert (alert.id, alert.detail) == (MUTATIONS_TWICE, "two does the same as one")
        assert (await plane.ask("POST", "mutations", equal(id="new"))).json()["id"] == "one"
        assert (await plane.ask("POST", "mutations/two/deactivate")).status == 200
        assert (await plane.ask("DELETE", "mutations/one")).status == 200
        assert (await plane.ask("POST", "mutations", equal(id="new"))).json()["id"] == "two"
        assert (await plane.ask("DELETE", "mutations/two")).status == 200
        assert (await plane.ask("POST", "mutations", equal(id="new"))).status == 201

"""What is done before a store is used: with a mirror beside it, and without."""

from collections.abc import Iterator

import asyncpg
import msgspec
import pytest

from control_plane.schema.runner import migrate
from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.store.events import NoEvents
from control_plane.store.mirrored import MirroredStore
from tests.control_plane.plane import headline, is_ready, running, until
from tests.control_plane.schema.comparer import described
from tests.control_plane.schema.conftest import fill
from tests.servers import empty_database, execute, wait_for


async def test_a_store_in_one_file_needs_no_mirror(settings: ControlPlaneSettings) -> None:
    alone = msgspec.structs.replace(settings, store=StoreName.LOCAL)
    async with running(alone) as plane:
        assert not isinstance(plane.services.store, MirroredStore)
        await plane.create(id="welcome")
        assert (await plane.ask("GET", "health")).json()["mirror"]["state"] == "primary"


async def test_with_a_mirror_beside_it_the_database_takes_events(settings: ControlPlaneSettings) -> None:
    async with running(settings) as plane:
        assert isinstance(plane.services.store, MirroredStore)
        assert not isinstance(plane.services.events, NoEvents)


async def test_whose_data_it_is_stays_from_start_to_start(settings: ControlPlaneSettings) -> None:
    async with running(settings) as plane:
        first = (await plane.services.store.position()).installation
    async with running(settings) as plane:
        assert (await plane.services.store.position()).installation == first
        assert first is not None


async def test_a_schema_that_needs_a_person_is_an_alert_until_it_no_longer_does(settings: ControlPlaneSettings) -> None:
    async with running(settings):
        pass
    connection = await asyncpg.connect(settings.database_url)
    newer = (
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (999, 'x', 'x', 0)"
    )
    await connection.execute(newer)
    async with running(settings, wait=False) as plane:

        def alerts() -> set[str]:
            return {alert.id for alert in plane.services.alerts.open()}

        async def told() -> bool:
            return "schema_needs_a_person" in alerts() and await is_ready(plane)

        await until(told)
        await connection.execute("DELETE FROM layout_mutation.schema_migrations WHERE number = 999")

        async def over() -> bool:
            return "schema_needs_a_person" not in alerts()

        await until(over)
    await connection.close()


async def test_another_installations_database_is_left_as_it_is_whatever_its_keys_and_schema(
    settings: ControlPlaneSettings, filled_elsewhere: str
) -> None:
    """It is known by its name before its schema is brought up to date or its audit's key is asked for."""
    async with running(settings) as plane:
        await plane.create(id="ours")
    before = await described(filled_elsewhere)
    async with running(msgspec.structs.replace(settings, database_url=filled_elsewhere)) as plane:

        async def told() -> bool:
            return "foreign_database" in {alert.id for alert in plane.services.alerts.open()}

        await until(told)
        assert (await plane.ask("POST", "mutations", headline(id="meanwhile"))).status == 201
        assert (await plane.ask("POST", "health/heal")).status == 503
        assert "audit_key_unknown" not in {alert.id for alert in plane.services.alerts.open()}
    assert await described(filled_elsewhere) == before


@pytest.fixture
def filled_elsewhere(postgres_server: str) -> Iterator[str]:
    """The database of another installation with keys of its own, at an earlier schema, which somebody has laid hands on."""
    with empty_database(postgres_server) as url:
        wait_for(migrate(url))
        wait_for(fill(url))
        statements = (
            "DELETE FROM layout_mutation.schema_migrations WHERE number = (SELECT max(number) FROM layout_mutation.schema_migrations)",
            "DROP INDEX layout_mutation.mutations_served",
        )
        for statement in statements:
            wait_for(execute(url, statement))
        yield url


@pytest.mark.parametrize("table", ["mutations CASCADE", "audit_entries", "alerts", "ledger"])
async def test_a_table_that_is_dropped_comes_back_with_its_rows(settings: ControlPlaneSettings, table: str) -> None:
    async with running(settings) as plane:
        for name in ("one", "two"):
            await plane.create(id=name)
        before = (await plane.ask("GET", "audit")).json()["items"]
        connection = await asyncpg.connect(settings.database_url)
        await connection.execute(f"DROP TABLE layout_mutation.{table}")
        await connection.close()

        async def taken() -> bool:
            return (await plane.ask("POST", "mutations", headline(id="three"))).status == 201

        await until(taken)  # one that was on its way is refused, and saved nothing

        async def healed() -> bool:
            schema = (await plane.ask("GET", "health")).json()
            return bool(schema["mirror"]["state"] == "primary" and schema["mirror"]["outbox"] == 0)

        await plane.ask("POST", "health/heal")
        await until(healed)
        assert {one["id"] for one in (await plane.ask("GET", "mutations")).json()["items"]} == {"one", "two", "three"}
        after = (await plane.ask("GET", "audit?limit=100")).json()["items"]
        assert [one for one in after if one in before] == before
        assert (await plane.ask("GET", "audit/verify")).json()["sound"] is True

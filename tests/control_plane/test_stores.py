"""The whole service on a SQLite file, without a database."""

from pathlib import Path
from typing import Any

import pytest

from control_plane.settings import ControlPlaneSettings, StoreName
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore
from control_plane.stores import built, prepare
from tests.control_plane.plane import CHAIN, Plane, headline, running, settings_of


@pytest.fixture
def on_a_file(redis_url: str, redis_environment: str, tmp_path: Path) -> ControlPlaneSettings:
    return settings_of("", redis_url, redis_environment, tmp_path / "data", store=StoreName.LOCAL)


async def test_the_settings_name_the_store(on_a_file: ControlPlaneSettings, tmp_path: Path) -> None:
    store = built(on_a_file, CHAIN)
    assert isinstance(store, LocalStore)
    assert store.path == tmp_path / "data" / "store.sqlite3"
    assert on_a_file.store_address == f"local:{store.path}"
    assert await prepare(on_a_file) == ()
    url = "postgresql://me:secret@127.0.0.1:5/lm"
    other = settings_of(url, "redis://", "e", tmp_path)
    assert isinstance(built(other, CHAIN), PostgresStore)
    assert other.store_address == url


def test_without_a_database_it_has_to_be_said_where_to_keep_things(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"DATABASE_URL is not set: .*CONTROL_PLANE_STORE=local"):
        settings_of("", "redis://", "e", tmp_path)


async def test_rules_are_written_published_found_and_rolled_back_and_outlive_the_process(
    on_a_file: ControlPlaneSettings,
) -> None:
    async with running(on_a_file) as plane:
        first = await plane.create(id="a", name="Grüße")
        assert first["publication"]["published"]
        changed = await plane.ask("PUT", "mutations/a", headline("Newer", id="a"))
        assert changed.status == 200, changed.body
        reason = {"reason": "it was better"}
        rolled = await plane.ask("POST", "mutations/a/rollback", reason | {"version": 1})
        assert rolled.status == 200, rolled.body
        page = (await plane.ask("GET", "mutations?text=gr%C3%BC")).json()
        assert [one["id"] for one in page["items"]] == ["a"]
        health = (await plane.ask("GET", "health")).json()
        assert health["database"]["up"]
    async with running(on_a_file) as plane:
        found: Any = (await plane.ask("GET", "mutations/a")).json()
        assert (found["name"], found["version"]) == ("Grüße", 3)
        assert len((await plane.ask("GET", "mutations/a/versions")).json()["items"]) == 3
        actions = [one["action"] for one in (await plane.ask("GET", "audit?kind=mutation")).json()["items"]]
        assert actions == ["rolled_back", "updated", "created"]
        assert (await plane.ask("GET", "/admin/layout-mutations/", role=None)).status in (200, 302, 303, 401)


@pytest.mark.parametrize("store", [StoreName.LOCAL, StoreName.CHROMA])
async def test_mutations_are_found_by_what_they_say(
    redis_url: str, redis_environment: str, tmp_path: Path, store: StoreName
) -> None:
    settings = settings_of("", redis_url, redis_environment, tmp_path / "data", store=store)

    async def asked(plane: Plane, query: str) -> Any:
        return await plane.ask("GET", f"mutations?{query}")

    async with running(settings) as plane:
        await plane.create(id="cart", name="Free delivery banner in the shopping cart")
        await plane.create(headline("Our summer sale begins", id="sale", name="Landing page"))
        await plane.create(id="old", name="Deliveries are free", isActive=False)
        found = (await asked(plane, "similar=deliver+for+free&limit=2")).json()
        assert {one["id"] for one in found["items"]} == {"cart", "old"}
        archived = await plane.ask("PATCH", "mutations/old", {"status": "archived"})
        assert archived.status == 200, archived.body
        found = (await asked(plane, "similar=deliver+for+free&limit=2")).json()
        assert [one["id"] for one in found["items"]] == ["cart"]
        found = (await asked(plane, "similar=summer+sales&limit=1")).json()
        assert [one["id"] for one in found["items"]] == ["sale"]
        refused = await asked(plane, "similar=sale&site=*")
        assert refused.status == 400
        assert "goes with" in refused.json()["detail"]
        assert (await asked(plane, "similar=sale&limit=0")).status == 400


async def test_without_the_extra_it_is_said_what_to_install(plane: Plane) -> None:
    plane.services.mutations._index = None
    refused = await plane.ask("GET", "mutations?similar=sale")
    assert refused.status == 400
    assert "layout-mutation-engine[chroma]" in refused.json()["detail"]

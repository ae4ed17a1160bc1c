"""What a URL names, and the store there."""

from pathlib import Path

import pytest

from control_plane.moving.places import Place, StoreKind, opened, place_of
from control_plane.schema import runner
from control_plane.store import StoreError
from tests.control_plane.moving.stores import execute
from tests.control_plane.plane import CHAIN


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://anna:hunter2@db.example/shop", "db.example:5432/shop"),
        ("postgresql://anna:hunter2@[::1]/shop", "[::1]:5432/shop"),
        ("postgres://db.example:6543/shop?pgbouncer=true&sslmode=require", "db.example:6543/shop"),
    ],
)
def test_a_place_has_no_secret(url: str, name: str) -> None:
    assert place_of(url) == Place(StoreKind.POSTGRES, name)
    assert str(place_of(url)) == f"postgres {name}"


def test_a_path_is_a_file_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_of("store.sqlite") == place_of(str(tmp_path / "store.sqlite"))
    assert str(place_of("store.sqlite")) == f"local {tmp_path / 'store.sqlite'}"


async def test_a_file_is_made_only_to_write(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with pytest.raises(StoreError, match="there is no file"):
        async with opened(str(path), CHAIN):
            pass
    assert not path.exists()
    async with opened(str(path), CHAIN, to_write=True) as store:
        await store.ping()
    async with opened(str(path), CHAIN) as store:
        assert (await store.position()).installation is None


def test_what_names_no_store_is_said_without_it() -> None:
    with pytest.raises(ValueError, match="postgresql://user:password@host") as caught:
        place_of("mysql://anna:hunter2@db/shop")
    assert "hunter2" not in str(caught.value)


async def test_a_file_is_a_place_too(tmp_path: Path) -> None:
    address = f"local:{tmp_path}/store.sqlite3"
    assert place_of(address) == Place(StoreKind.LOCAL, f"{tmp_path}/store.sqlite3")
    with pytest.raises(StoreError, match="there is no file"):
        async with opened(address, CHAIN):
            pass
    assert list(tmp_path.iterdir()) == []
    async with opened(address, CHAIN, to_write=True) as store:
        await store.ping()
    async with opened(address, CHAIN) as store:
        assert (await store.position()).installation is None
    with pytest.raises(ValueError, match="needs the path of a file"):
        place_of("local:")


async def test_to_write_the_schema_is_made_and_to_read_nothing_is_changed(empty_url: str) -> None:
    with pytest.raises(StoreError, match="has schema 0"):
        async with opened(empty_url, CHAIN):
            pass
    assert (await runner.plan(empty_url)).current == 0
    async with opened(empty_url, CHAIN, to_write=True) as store:
        await store.ping()
    async with opened(empty_url, CHAIN) as store:
        assert (await store.position()).installation is None


async def test_a_newer_schema_is_left_alone(database_url: str) -> None:
    await runner.migrate(database_url)
    await execute(
        database_url,
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (9999, 'x', 'x', 1)",
    )
    with pytest.raises(StoreError, match="newer"):
        async with opened(database_url, CHAIN):
            pass
    with pytest.raises(runner.SchemaError, match="newer"):
        async with opened(database_url, CHAIN, to_write=True):
            pass


async def test_a_database_that_is_not_there_is_said(database_url: str) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        async with opened(f"{database_url}_missing", CHAIN):
            pass

"""A control plane on a real PostgreSQL and a real Valkey."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pytest_asyncio import fixture
from redis.asyncio import Redis

from control_plane.schema import address
from control_plane.settings import ControlPlaneSettings
from control_plane.store.postgres import PostgresStore
from service.keys import Keys
from tests.control_plane.plane import CHAIN, Plane, running, settings_of
from tests.control_plane.store.outages import Wire
from tests.servers import new_database


@pytest.fixture
def settings(database_url: str, redis_url: str, redis_environment: str, tmp_path: Path) -> ControlPlaneSettings:
    return settings_of(database_url, redis_url, redis_environment, tmp_path / "data")


@pytest.fixture
async def plane(settings: ControlPlaneSettings) -> AsyncIterator[Plane]:
    """An instance that is ready."""
    async with running(settings) as instance:
        yield instance


@pytest.fixture(scope="module")
def shared_settings(
    postgres_server: str, valkey_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlaneSettings]:
    """Those of an instance that all tests of a file share which change nothing."""
    with new_database(postgres_server) as url:
        environment = f"test-{secrets.token_hex(6)}"
        yield settings_of(url, valkey_server, environment, tmp_path_factory.mktemp("shared") / "data")


@fixture(scope="module", loop_scope="module")
async def refusing(shared_settings: ControlPlaneSettings) -> AsyncIterator[Plane]:
    """An instance for all tests of a file that are refused whatever they ask for: to start one is most of what they cost."""
    async with running(shared_settings) as instance:
        yield instance


@pytest.fixture
def keys(redis_environment: str) -> Keys:
    return Keys(redis_environment)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """Redis as a sidecar sees it."""
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    """A store of the test's own, open, with nothing in it."""
    opened = PostgresStore(address.parse(database_url), connections_max=4, chain=CHAIN)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    """The way to the database, which a test can cut and mend."""
    made = Wire(database_url)
    await made.mend()
    yield made
    await made.cut()

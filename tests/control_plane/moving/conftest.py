"""Two databases: one with something of everything, and one without rows."""

from collections.abc import AsyncIterator, Iterator

import pytest

from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import fill, postgres
from tests.servers import new_database


@pytest.fixture
def other_url(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        yield url


@pytest.fixture
async def source(database_url: str) -> AsyncIterator[PostgresStore]:
    """A store with something of everything."""
    async with postgres(database_url) as store:
        await fill(store)
        yield store


@pytest.fixture
async def target(other_url: str) -> AsyncIterator[PostgresStore]:
    """A store that nobody has written to."""
    async with postgres(other_url) as store:
        yield store

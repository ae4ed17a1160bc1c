"""Every kind of store that a control plane may run on, empty and open, for whoever asks.

`place_of` gives a place of its own; `Places` has one of each kind for a whole file of tests and empties it, as that takes a
tenth of the time that a new database does. Counterpart: `tests.control_plane.postgres_kinds` has the servers. Never: a
store that is not real.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from control_plane.schema import address, runner
from control_plane.store import Store
from control_plane.store.chroma import ChromaStore
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore
from tests.control_plane import postgres_kinds
from tests.control_plane.plane import CHAIN

KINDS = (*postgres_kinds.KINDS, "local", "chroma")
EMPTY = """
DO $$
DECLARE
    name text;
    names text[] := '{}';
    filled boolean;
BEGIN
    FOR name IN SELECT format('layout_mutation.%I', tablename) FROM pg_tables
        WHERE schemaname = 'layout_mutation' AND tablename <> 'schema_migrations'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO filled;
        IF filled THEN names := names || name; END IF;
    END LOOP;
    FOREACH name IN ARRAY names LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', name); END LOOP;
    EXECUTE 'TRUNCATE ' || array_to_string(names, ', ') || ' CASCADE';
    FOREACH name IN ARRAY names LOOP EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', name); END LOOP;
    INSERT INTO layout_mutation.ledger DEFAULT VALUES;
    PERFORM setval('layout_mutation.changes', 1, false);
END
$$
"""


class Places:
    """A place of each kind, made when the first test asks."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path, stack: ExitStack) -> None:
        self._request, self._folder, self._stack = request, folder, stack
        self._known = dict[str, str]()

    @asynccontextmanager
    async def opened(self, kind: str) -> AsyncIterator[Store]:
        """An empty store of a kind, up to date and open."""
        if kind not in self._known:
            self._known[kind] = self._stack.enter_context(place_of(kind, self._request, self._folder))
        else:
            await _emptied(kind, self._known[kind])
        async with opened(kind, self._known[kind]) as store:
            yield store


@contextmanager
def place_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Where an empty store of a kind is: a URL, or the path of a file that is not there yet."""
    if kind in postgres_kinds.KINDS:
        with postgres_kinds.database_of(request, kind) as url:
            yield url
    else:
        yield str(folder / f"{kind}.store")


@asynccontextmanager
async def opened(kind: str, place: str) -> AsyncIterator[Store]:
    """The store, up to date and open."""
    store: Store
    if kind in postgres_kinds.KINDS:
        await runner.migrate(place)
        store = PostgresStore(address.parse(place), connections_max=4, chain=CHAIN)
    else:
        store = (LocalStore if kind == "local" else ChromaStore)(Path(place), chain=CHAIN)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def _emptied(kind: str, place: str) -> None:
    if kind in postgres_kinds.KINDS:
        connection = await asyncpg.connect(**address.parse(place).connect_options)
        await connection.execute(EMPTY)
        await connection.close()
    else:
        Path(place).unlink()

"""Which store a setting or a word on the command line names: what kind, where, and the store itself, opened.

Counterpart: `whereabouts.py` remembers a place without its secrets. Never: a password in what a place says of itself, nor
a change to the schema of a store that is only read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

from msgspec import Struct

from control_plane.schema import address, runner
from control_plane.store import Chain, Store, StoreError
from control_plane.store.postgres import PostgresStore

CONNECTIONS_MAX = 2


class StoreKind(StrEnum):
    """The kinds of stores."""

    POSTGRES = "postgres"
    FILE = "file"
    """An export: read whole, never a store to run on."""


class Place(Struct, frozen=True, rename="camel"):
    """Where a store is, without the secrets that it takes to get there."""

    kind: StoreKind
    name: str
    """HOST:PORT/DATABASE, or the path of a file."""

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


def place_of(text: str) -> Place:
    """The place that a URL names; ValueError with the fix, and without the URL, where it names none."""
    found = address.parse(text)
    hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found.hosts)
    return Place(StoreKind.POSTGRES, f"{hosts or 'this machine'}/{found.database}")


@asynccontextmanager
async def opened(
    text: str, chain: Chain, *, pooled: bool | None = None, to_write: bool = False
) -> AsyncIterator[Store]:
    """The store that a URL names, closed at the end.

    `to_write`: made where it is missing, and brought to this version's schema. Otherwise its schema has to be current,
    and nothing is changed.

    Raises:
        ValueError: the text names no store.
        StoreError: it can't be used right now, or its schema is another version's.
        SchemaError: it can't be brought up to date without a person.
    """
    place = address.parse(text, pooled=pooled)
    if to_write:
        await runner.migrate(text, pooled=pooled)
    else:
        await _check_schema(text, pooled)
    store = PostgresStore(place, connections_max=CONNECTIONS_MAX, chain=chain)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def _check_schema(text: str, pooled: bool | None) -> None:
    found = await runner.plan(text, pooled=pooled)
    if found.problem:
        raise StoreError(found.problem)
    if not found.database_exists:
        raise StoreError(f"there is no database {found.database}")
    if found.pending:
        raise StoreError(
            f"{place_of(text)} has schema {found.current}, and this program reads {found.latest}: run "
            "`layout-mutation migrate` with DATABASE_URL set to it"
        )

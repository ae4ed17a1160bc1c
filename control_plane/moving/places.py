"""Which store a setting or a word on the command line names: what kind, where, and the store itself, opened.

Counterpart: `whereabouts.py` remembers a place without its secrets. Never: a password in what a place says of itself, nor
a change to the schema of a store that is only read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from control_plane.schema import address, runner
from control_plane.settings import LOCAL_PREFIX
from control_plane.store import Chain, Store, StoreError
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore

CONNECTIONS_MAX = 2


class StoreKind(StrEnum):
    """The kinds of stores."""

    POSTGRES = "postgres"
    LOCAL = "local"
    """One SQLite file."""
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
    """The place that a URL or a path names; ValueError with the fix, and without the URL, where it names none."""
    if is_path(text):
        return Place(StoreKind.LOCAL, str(_file_of(text)))
    found = address.parse(text)
    hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in found.hosts)
    return Place(StoreKind.POSTGRES, f"{hosts or 'this machine'}/{found.database}")


def is_path(text: str) -> bool:
    """Whether a text names a file, with or without `local:` before it: whatever is no URL."""
    return "://" not in text


@asynccontextmanager
async def opened(
    text: str, chain: Chain, *, pooled: bool | None = None, to_write: bool = False
) -> AsyncIterator[Store]:
    """The store that a URL or a path names, closed at the end.

    `to_write`: made where it is missing, and brought to this version's schema. Otherwise it has to be there with the current
    schema, and nothing is changed; only a file's schema is brought up to date in any case.

    Raises:
        ValueError: the text names no store.
        StoreError: it can't be used right now, or its schema is another version's.
        SchemaError: it can't be brought up to date without a person.
    """
    if is_path(text):
        store: Store = LocalStore(_file(text, to_write=to_write), chain=chain)
    else:
        place = address.parse(text, pooled=pooled)
        await (runner.migrate(text, pooled=pooled) if to_write else _check_schema(text, pooled))
        store = PostgresStore(place, connections_max=CONNECTIONS_MAX, chain=chain)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def _file(text: str, *, to_write: bool) -> Path:
    path = _file_of(text)
    if not to_write and not path.exists():
        raise StoreError(f"there is no file {path}")
    return path


def _file_of(text: str) -> Path:
    path = text.removeprefix(LOCAL_PREFIX)
    if not path:
        raise ValueError(f"{LOCAL_PREFIX} needs the path of a file behind it")
    return Path(path).absolute()


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

"""Databases and schemas beside the one in use: one to try something in, and one to put aside what is replaced.

Counterpart: `control_plane.backups.restoring` verifies in the one and replaces by the other. Never: a database that it did not
make itself, and never the loss of what was put aside before its successor is whole.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from control_plane.schema import trouble
from control_plane.schema.address import Address, parse
from control_plane.schema.runner import SCHEMA, SchemaError, connected, quoted
from control_plane.store import StoreError

PREFIX = "layout_mutation_verify_"
ASIDE = "layout_mutation_replaced"


class MayNotError(SchemaError):
    """The role may make no schema in this database, and so can't put one aside; nothing was changed."""


@asynccontextmanager
async def throwaway_database(url: str, *, pooled: bool | None = None) -> AsyncIterator[str]:
    """The URL of an empty database on the server of `url`, dropped at the end.

    Raises:
        SchemaError: the role may not create one, or a pooler in between knows no other databases than the one of `url`.
        StoreError: the server can't be reached.
    """
    address = parse(url, pooled=pooled)
    name = PREFIX + secrets.token_hex(6)
    try:
        await _execute(address, f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
    except asyncpg.InsufficientPrivilegeError:
        raise SchemaError(f"the role {address.user} may not create databases") from None
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error
    except asyncio.CancelledError:
        await _dropped(address, name)  # the server may have made it all the same
        raise
    try:
        await _check_way(address.other_database(name))
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        await _dropped(address, name)


async def _dropped(address: Address, name: str) -> None:
    """The database is gone, also where whoever waits for that is cancelled meanwhile. Raises StoreError."""
    dropping = asyncio.create_task(_execute(address, f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)"))
    try:
        await asyncio.shield(dropping)
    except asyncpg.PostgresError as error:
        raise StoreError(f"the database {name} is left over; drop it: {trouble.described(error)}") from error
    except asyncio.CancelledError:
        await asyncio.wait({dropping})
        raise


async def _check_way(address: Address) -> None:
    try:
        async with connected(address):
            return
    except (StoreError, asyncpg.PostgresError) as error:
        raise SchemaError(
            f"a database beside {address.database} can be made, but not reached by this address: {error}"
        ) from None


async def put_aside(url: str, *, pooled: bool | None = None) -> None:
    """Give the schema another name, so that a new one can be made; raises SchemaError where one was put aside before, MayNotError."""
    await _rename(url, pooled, SCHEMA, ASIDE)


async def bring_back(url: str, *, pooled: bool | None = None) -> None:
    """Drop what has taken the place of the schema that was put aside, and give that its name again."""
    address = parse(url, pooled=pooled)
    try:
        async with connected(address) as connection, connection.transaction():
            await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
            await connection.execute(f"ALTER SCHEMA {ASIDE} RENAME TO {SCHEMA}")
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error


async def let_go(url: str, *, pooled: bool | None = None) -> None:
    """Drop the schema that was put aside."""
    try:
        await _execute(parse(url, pooled=pooled), f"DROP SCHEMA IF EXISTS {ASIDE} CASCADE")
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error


async def _rename(url: str, pooled: bool | None, before: str, after: str) -> None:
    try:
        await _execute(parse(url, pooled=pooled), f"ALTER SCHEMA {before} RENAME TO {after}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MayNotError(f"PostgreSQL: {error}") from None
    except asyncpg.DuplicateSchemaError:
        raise SchemaError(
            f"the schema {after} is there already: an earlier replacing was interrupted. Look at it, then run "
            f"DROP SCHEMA {after} CASCADE; or, to have it back, DROP SCHEMA {before} CASCADE; ALTER SCHEMA {after} RENAME TO {before};"
        ) from None
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error


async def _execute(address: Address, statement: str) -> None:
    async with connected(address) as connection:
        await connection.execute(statement)

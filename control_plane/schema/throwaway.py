"""Databases and schemas beside the one in use: one to try something in, and one to put aside what is replaced.

A program that is killed leaves the database that it tried something in. The next one that makes such a database on that server drops
it, and the service does every day. Its name says that it is one, and when it was made, by the server's clock; while its maker lives, that has an advisory lock
which the whole server sees. Behind a transaction pooler nobody can keep one: there a day has to be over.
Counterpart: `control_plane.backups.restoring` verifies in the one and replaces by the other. Never: a database that was not made
here, that another role owns, or that somebody is connected to; and never the loss of what was put aside before its successor is whole.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog

from control_plane.schema import trouble
from control_plane.schema.address import Address, parse
from control_plane.schema.runner import SCHEMA, SchemaError, connected, quoted
from control_plane.store import StoreError

if TYPE_CHECKING:
    from control_plane.schema.runner import Connection

PREFIX = "layout_mutation_verify_"
HELD, AGED = "held", "aged"
"""In a name: its maker has the lock as long as it lives; it can't keep one, and only the age tells."""
LOCK_SPACE = int.from_bytes(b"lm:t")
"""The upper half of the locks' keys; the lower one is in the name."""
AGE_S_MAX = 24 * 3600
"""No trial takes so long, whoever makes it."""
ASIDE = "layout_mutation_replaced"


_NAME = re.compile(rf"{PREFIX}({HELD}|{AGED})_([0-9a-f]{{8}})_([0-9a-f]{{8}})")
_NOW = "SELECT extract(epoch FROM clock_timestamp())::bigint"
_UNUSED = """
SELECT datname FROM pg_database d WHERE starts_with(datname, $1)
AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)
AND NOT EXISTS (
    SELECT FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
)
"""
"""Of this role, and nobody is connected to it; who may not look what somebody else is takes that for somebody."""
_LOCKS = "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint = $1"
"""Those of one upper half, in all databases; `objsubid` 1 says that the key is one bigint (PostgreSQL 15, 54.12)."""

_log = structlog.get_logger("control_plane.schema.throwaway")


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
    async with AsyncExitStack() as life:
        name = await _named(address, life)
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


async def _named(address: Address, life: AsyncExitStack) -> str:
    """A name for another one, whose lock is kept for that long where it can be; what others left behind is gone. Raises StoreError."""
    way = AsyncExitStack()
    life.push_async_callback(_closed, way)  # apart: what goes wrong in a trial is no word about this connection
    try:
        connection = await way.enter_async_context(connected(address))
        now_s = int(await connection.fetchval(_NOW))
        await _sweep(connection, now_s)
        token = secrets.token_hex(4)
        # A pooler that nobody told of gives a process id of its own.
        kept = not address.pooled and connection.get_server_pid() == await connection.fetchval(
            "SELECT pg_backend_pid()"
        )
        if kept:
            await connection.execute("SET idle_session_timeout = 0")
            await connection.fetchval("SELECT pg_advisory_lock($1)", (LOCK_SPACE << 32) | int(token, 16))
        else:
            await way.aclose()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error
    return f"{PREFIX}{HELD if kept else AGED}_{now_s:08x}_{token}"


async def sweep(url: str, *, pooled: bool | None = None) -> None:
    """Drop what killed programs left behind on the server of `url`; raises StoreError where it can't be reached, SchemaError."""
    try:
        async with connected(parse(url, pooled=pooled)) as connection:
            await _sweep(connection, int(await connection.fetchval(_NOW)))
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error


async def _closed(way: AsyncExitStack) -> None:
    with suppress(StoreError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await way.aclose()


async def _sweep(connection: "Connection", now_s: int) -> None:
    """Drop what killed programs left behind; what does not let itself be dropped stays, for the next one."""
    # In this order: who has made one has had its lock before, and has it until it is dropped.
    names = [str(row["datname"]) for row in await connection.fetch(_UNUSED, PREFIX)]
    locks = {int(row["objid"]) for row in await connection.fetch(_LOCKS, LOCK_SPACE)}
    for name in names:
        if not is_left_over(name, now_s, locks):
            continue
        try:
            await connection.execute(
                f"DROP DATABASE IF EXISTS {quoted(name)}"
            )  # never by force: who is in it by now uses it
        except asyncpg.PostgresError as error:
            _say("trial_stays", database=name, error=trouble.described(error))
        else:
            _say("trial_swept", database=name)


def _say(event: str, **fields: str) -> None:
    """A line in the log of a service; a command has none, and its output is the answer alone."""
    if structlog.is_configured():
        _log.warning(event, **fields)


def is_left_over(name: str, now_s: int, locks: Collection[int]) -> bool:
    """Whether nobody lives any more who may have made the database of this name; `locks` are the lower halves of those that are held."""
    read = _NAME.fullmatch(name)
    if read is None:
        return False
    kind, made_s, token = read[1], int(read[2], 16), int(read[3], 16)
    return token not in locks if kind == HELD else now_s - made_s > AGE_S_MAX


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

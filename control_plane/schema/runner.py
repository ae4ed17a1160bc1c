"""Brings the schema `layout_mutation` up to date, or says what that would take.

All pending migrations run in one transaction that holds an advisory lock: any number of services may start at once, and
one that is killed in the middle leaves nothing behind. Nothing here needs a session, so a transaction pooler may stand
in between. Counterpart: `files.py` has the migrations, `app.py` and `layout-mutation migrate` call `migrate`.
Never: a schema that is newer or was edited; those are refused untouched.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from msgspec import Struct

from control_plane.schema import files, trouble
from control_plane.schema.address import Address, parse
from control_plane.schema.files import Migration
from control_plane.schema.locks import impact
from control_plane.store import StoreError

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

Before = Callable[[int], Awaitable[None]]
SCHEMA = "layout_mutation"
LOCK_KEY = int.from_bytes(b"lm:schem")  # any bigint that nobody else in the database is likely to use
LOCK_TIMEOUT_S = 600  # how long to wait for another service that migrates
CLOSE_TIMEOUT_S = 10.0
MAINTENANCE_DATABASES = ("postgres", "template1")

_OWNS_SCHEMA = "SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = $1"
_COMMENT = "COMMENT ON SCHEMA layout_mutation IS 'Layout mutation engine: rules, their history and what was published.'"
_BOOTSTRAP = """
CREATE TABLE layout_mutation.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT current_user,
    duration_ms integer NOT NULL,
    CONSTRAINT schema_migrations_pk PRIMARY KEY (number)
);
COMMENT ON TABLE layout_mutation.schema_migrations IS 'The migrations that made this schema.';
COMMENT ON COLUMN layout_mutation.schema_migrations.number IS 'Number of the migration, from its file name.';
COMMENT ON COLUMN layout_mutation.schema_migrations.name IS 'Name of the migration, from its file name.';
COMMENT ON COLUMN layout_mutation.schema_migrations.checksum IS 'SHA-256 of the file, hexadecimal.';
COMMENT ON COLUMN layout_mutation.schema_migrations.applied_at IS 'When it was applied.';
COMMENT ON COLUMN layout_mutation.schema_migrations.applied_by IS 'The database role that applied it.';
COMMENT ON COLUMN layout_mutation.schema_migrations.duration_ms IS 'How long it took, in milliseconds.';
"""


class SchemaError(Exception):
    """The schema can't be brought up to date without a person. The message says what to do, SQL included."""


class Step(Struct, frozen=True, rename="camel"):
    """One migration that is to be applied, or was."""

    number: int
    name: str
    what: str
    locks: tuple[str, ...] = ()
    """Which tables others wait for while it runs, such as `ACCESS EXCLUSIVE on mutations`; all until the last is applied."""
    duration: str = ""
    """`instant`, `by rows` or `long`."""


class Plan(Struct, frozen=True, rename="camel"):
    """What `migrate` would do."""

    database: str
    database_exists: bool
    current: int
    """Number of the newest applied migration; 0 for none."""
    latest: int
    """Number of the newest migration that the program has."""
    pending: tuple[Step, ...]
    problem: str = ""
    """Why `migrate` would refuse; empty if it would not."""


async def plan(url: str, *, pooled: bool | None = None, folder: Path = files.FOLDER) -> Plan:
    """What `migrate` would do; changes nothing. Raises StoreError when the server can't be reached."""
    address, migrations = parse(url, pooled=pooled), files.read(folder)
    try:
        async with connected(address) as connection:
            applied = await _applied(connection)
            if _has_pending(migrations, applied):
                await _check_owner(connection)
    except asyncpg.InvalidCatalogNameError:
        return Plan(address.database, False, 0, len(migrations), _steps(migrations))
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error
    except SchemaError as error:
        return Plan(address.database, True, 0, len(migrations), (), str(error))
    problem = ""
    try:
        pending = _pending(migrations, applied)
    except SchemaError as error:
        pending, problem = (), str(error)
    return Plan(address.database, True, max(applied, default=0), len(migrations), _steps(pending), problem)


async def migrate(
    url: str, *, pooled: bool | None = None, folder: Path = files.FOLDER, before: Before | None = None
) -> tuple[Step, ...]:
    """Create the database and the schema where missing, and apply what is pending; the steps that were applied.

    `before` is awaited under the lock where there is something to apply to a schema that is there, with the number of its
    newest migration: to back it up. What it raises ends the migration before it began.

    Raises:
        SchemaError: it needs a person: a newer or edited schema, or a role that may not create what is missing.
        StoreError: the server can't be reached; try again later.
    """
    return await migrate_there(parse(url, pooled=pooled), folder, before)


async def migrate_there(
    address: Address, folder: Path = files.FOLDER, before: Before | None = None
) -> tuple[Step, ...]:
    """As `migrate`, for an address that was read before."""
    migrations = files.read(folder)
    try:
        try:
            async with connected(address) as connection:
                return await _bring_up_to_date(connection, migrations, address, before)
        except asyncpg.InvalidCatalogNameError:
            await _create_database(address)
        async with connected(address) as connection:
            return await _bring_up_to_date(connection, migrations, address, before)
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL: {trouble.described(error)}") from error


async def _bring_up_to_date(
    connection: "Connection", migrations: Sequence[Migration], address: Address, before: Before | None
) -> tuple[Step, ...]:
    # Most starts find nothing to do and need not queue for the lock.
    if not _pending(migrations, await _applied(connection)):
        return ()
    await _check_owner(connection)
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        applied = await _applied(connection)
        pending = _pending(migrations, applied)
        if pending and applied and before is not None:
            await before(max(applied))
        if pending:
            await _create_schema(connection, address)
        for migration in pending:
            await _apply(connection, migration)
        await _finish(connection)
    return _steps(pending)


async def _apply(connection: "Connection", migration: Migration) -> None:
    started = time.monotonic()
    try:
        await connection.execute(migration.sql)
    except asyncpg.PostgresError as error:
        raise SchemaError(
            f"migration {migration.number:04}_{migration.name} failed and nothing was changed: {error}"
        ) from error
    await connection.execute(
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES ($1, $2, $3, $4)",
        migration.number,
        migration.name,
        migration.checksum,
        round((time.monotonic() - started) * 1000),
    )


async def _finish(connection: "Connection") -> None:
    """Close what the migrations made to roles that were not let in, as far as they brought the functions for that."""
    if await connection.fetchval("SELECT to_regproc('layout_mutation.protect') IS NOT NULL"):
        await connection.execute("SELECT layout_mutation.explain(), layout_mutation.protect()")


async def _applied(connection: "Connection") -> dict[int, tuple[str, str]]:
    """Number -> name and checksum of what the database says was applied."""
    if not await _has_records(connection):
        return {}
    try:
        rows = await connection.fetch("SELECT number, name, checksum FROM layout_mutation.schema_migrations")
    except asyncpg.InsufficientPrivilegeError as error:
        if not connection.is_in_transaction():
            await _check_owner(connection)
        raise SchemaError(f"{error}: the owner of the schema {SCHEMA} has to let this role in") from error
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


async def _has_records(connection: "Connection") -> bool:
    # Not to_regclass: it may answer out of a cache from before another service's migration.
    query = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_migrations')"
    return bool(await connection.fetchval(query, SCHEMA))


def _has_pending(migrations: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> bool:
    return any(migration.number not in applied for migration in migrations)


def _pending(migrations: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> tuple[Migration, ...]:
    """What is still to be applied; raises SchemaError if the database is not on our way at all."""
    if applied and max(applied) > len(migrations):
        raise SchemaError(
            f"the schema is newer than this program: it is at {max(applied):04}, the program knows {len(migrations):04}. "
            "Nothing was changed; run the newer program."
        )
    for migration in migrations:
        known = applied.get(migration.number)
        if known is not None and known != (migration.name, migration.checksum):
            raise SchemaError(
                f"migration {migration.number:04}_{migration.name} is not the one that was applied ({known[0]}). "
                "Nothing was changed; run the program that applied it, or restore the file."
            )
    pending = tuple(migration for migration in migrations if migration.number not in applied)
    if pending and applied and pending[0].number < max(applied):
        raise SchemaError(
            f"the schema is at {max(applied):04} but migration {pending[0].number:04} is missing in schema_migrations. "
            "Nothing was changed; restore the row or the schema from a backup."
        )
    return pending


async def _check_owner(connection: "Connection") -> None:
    """Raise SchemaError where the schema is somebody else's."""
    found = await connection.fetchrow(
        "SELECT current_user AS role, pg_get_userbyid(coalesce(c.relowner, n.nspowner)) AS owner, "
        "pg_has_role(coalesce(c.relowner, n.nspowner), 'USAGE') "
        "OR (c.oid IS NULL AND has_schema_privilege(n.oid, 'USAGE, CREATE')) AS may FROM pg_namespace n "
        "LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'schema_migrations' WHERE n.nspname = $1",
        SCHEMA,
    )
    if found is None or found["may"]:
        return
    role, owner = found["role"], found["owner"]
    raise SchemaError(
        f"the schema {SCHEMA} belongs to {owner}, and {role} may not change it. Run `layout-mutation migrate` with the "
        f"DATABASE_URL of {owner}, and as {owner} let {role} in, if nobody has yet: "
        f"SELECT {SCHEMA}.grant_access({literal(role)}, 'write');"
    )


def _steps(migrations: Sequence[Migration]) -> tuple[Step, ...]:
    return tuple(_step(migration) for migration in migrations)


def _step(migration: Migration) -> Step:
    costs = impact(migration)
    return Step(migration.number, migration.name, migration.header["What"], costs.locks, costs.duration)


async def _create_schema(connection: "Connection", address: Address) -> None:
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", SCHEMA):
        role = await connection.fetchval("SELECT current_user")
        try:
            await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        except asyncpg.InsufficientPrivilegeError:
            raise SchemaError(
                f"the role {role} may not create schemas in {address.database}. Run as the database's owner: "
                f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {quoted(role)};"
            ) from None
    if not await _has_records(connection):
        if await connection.fetchval(_OWNS_SCHEMA, SCHEMA):  # also one that an administrator made for us
            await connection.execute(_COMMENT)
        await connection.execute(_BOOTSTRAP)


async def _create_database(address: Address) -> None:
    """Create the database that the URL names, from a database that every server has."""
    statement = f"CREATE DATABASE {quoted(address.database)}"
    for name in MAINTENANCE_DATABASES:
        try:
            async with connected(address.other_database(name)) as connection:
                await connection.execute(statement)
        except asyncpg.InvalidCatalogNameError:
            continue
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return  # another service was faster
        except asyncpg.InsufficientPrivilegeError:
            owner = f" OWNER {quoted(address.role)}" if address.role else ""
            raise SchemaError(
                f"the database {address.database} does not exist and the role may not create it. "
                f"Run as a superuser: {statement}{owner};"
            ) from None
        return
    raise SchemaError(f"the database {address.database} does not exist. Run as a superuser: {statement};")


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@asynccontextmanager
async def connected(address: Address) -> "AsyncIterator[Connection]":
    """A connection for a while, with the driver's errors as the store's; InvalidCatalogNameError where there is no database."""
    try:
        connection = await asyncpg.connect(**address.connect_options)
    except asyncpg.InvalidCatalogNameError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        raise StoreError(f"PostgreSQL can't be reached: {trouble.described(error)}") from error
    try:
        if problem := trouble.too_old(connection.get_server_version().major):
            raise SchemaError(problem)
        yield connection
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError) as error:
        raise StoreError(f"the connection to PostgreSQL broke: {trouble.described(error)}") from error
    except asyncpg.LockNotAvailableError as error:
        raise StoreError(f"another service has been migrating for more than {LOCK_TIMEOUT_S} s") from error
    finally:
        # After a broken connection there is nobody to say goodbye to.
        connection.terminate() if connection.is_closed() else await connection.close(timeout=CLOSE_TIMEOUT_S)

"""Brings the file's own schema up to date, and finds out whether the file is sound.

All pending migrations run in one transaction, after the file was copied beside itself (`….before-NNNN`, with what it held
before); a program that is killed in the middle leaves nothing else behind. Counterpart:
`control_plane.schema.files` reads the folder. Never: a file that is newer, was edited, or is another program's; those are
refused untouched.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from control_plane.schema import files
from control_plane.schema.files import Migration
from control_plane.schema.runner import Plan, SchemaError, Step
from control_plane.store.local.connections import OWNER_ONLY, Damaged

FOLDER = Path(__file__).parent / "migrations"
APPLICATION_ID = int.from_bytes(b"lmut")
"""What SQLite files of ours carry in their head."""
LOCKS = "writes to the whole file"

_BOOTSTRAP = """CREATE TABLE schema_migrations (
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,    -- SHA-256 of the migration's file, hexadecimal
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    CONSTRAINT schema_migrations_pk PRIMARY KEY (number)
) STRICT"""


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raises Damaged where pages of the file do not fit together, SchemaError where it is another program's."""
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)").fetchall()]
    if found != ["ok"]:
        raise Damaged(f"{path} is damaged: {' '.join(' '.join(found).split())[:300]}; put it aside and restore it")
    check_owner(connection, path)


def check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Raises SchemaError for a file of another program."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner != APPLICATION_ID and (owner or connection.execute("SELECT 1 FROM sqlite_schema").fetchall()):
        raise SchemaError(f"{path} belongs to another program. Nothing was changed; choose another file.")


def plan(there: dict[int, tuple[str, str]], path: Path, *, exists: bool = True) -> Plan:
    """What `migrate` would do to a file with these migrations; never raises."""
    migrations, current = files.read(FOLDER), max(there, default=0)
    try:
        pending, problem = _pending(migrations, there, path), ""
    except SchemaError as error:
        pending, problem = (), str(error)
    steps = [Step(one.number, one.name, one.header["What"], (LOCKS,), _duration(one)) for one in pending]
    return Plan(str(path), exists, current, len(migrations), tuple(steps), problem)


def migrate(connection: sqlite3.Connection, path: Path, folder: Path = FOLDER) -> None:
    """Apply what is pending, after a copy of a file that holds something; raises SchemaError, sqlite3.Error."""
    migrations = files.read(folder)
    connection.execute("PRAGMA journal_mode = WAL")
    if not _pending(migrations, applied(connection), path):
        return  # most starts need not wait for a lock
    connection.execute("BEGIN IMMEDIATE")
    try:
        there = applied(connection)
        if not there:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(_BOOTSTRAP)
        pending = _pending(migrations, there, path)
        if there and pending:
            _copy(connection, pending[0].number)
        for migration in pending:
            _apply(connection, migration, path)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _copy(connection: sqlite3.Connection, number: int) -> None:
    """The file as it is before a migration, beside it; nothing else would be left if that went wrong unnoticed."""
    source = Path(connection.execute("PRAGMA database_list").fetchone()["file"])
    target = source.with_name(f"{source.name}.before-{number:04}")
    try:
        target.unlink(missing_ok=True)
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        # By another connection, which in the log's mode may read while this one holds the writer's lock.
        with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as copy:
            reader.backup(copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            target.unlink(missing_ok=True)
        raise SchemaError(
            f"nothing was migrated, because no copy could be made before: {target}: {error}. Make room on its disk."
        ) from error


def _apply(connection: sqlite3.Connection, migration: Migration, path: Path) -> None:
    try:
        for statement in _statements(migration.sql):
            connection.execute(statement)
    except sqlite3.OperationalError as error:
        raise SchemaError(
            f"{path}: migration {migration.number:04}_{migration.name} failed and nothing was changed: {error}"
        ) from error
    connection.execute(
        "INSERT INTO schema_migrations (number, name, checksum) VALUES (?, ?, ?)",
        (migration.number, migration.name, migration.checksum),
    )


def _duration(migration: Migration) -> str:
    """The word that `Step.duration` has: an index, and rows that are written, take their time."""
    text = migration.sql.upper()
    by_rows = any(word in text for word in ("CREATE INDEX", "CREATE UNIQUE INDEX", "UPDATE ", "INSERT "))
    return "by rows" if by_rows and migration.number > 1 else "instant"


def _statements(sql: str) -> Iterator[str]:
    """The statements of a file one by one: `executescript` would commit first."""
    begun = ""
    for line in sql.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            yield begun
            begun = ""


def applied(connection: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """Number -> name and checksum of what the file says was applied."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchall():
        return {}
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations").fetchall()
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


def _pending(
    migrations: tuple[Migration, ...], applied: dict[int, tuple[str, str]], path: Path
) -> tuple[Migration, ...]:
    """What is still to be applied; raises SchemaError if the file is not on our way at all."""
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise SchemaError(
            f"{path} is newer than this program: it is at {newest:04}, the program knows {len(migrations):04}. "
            "Nothing was changed; run the newer program."
        )
    for migration in migrations[:newest]:
        if applied.get(migration.number) != (migration.name, migration.checksum):
            raise SchemaError(
                f"{path}: migration {migration.number:04}_{migration.name} is not the one that was applied. "
                "Nothing was changed; run the program that applied it, or restore the file."
            )
    return migrations[newest:]

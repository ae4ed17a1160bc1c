"""What was written to the file for another store, in order, until that one has it.

Counterpart: a mirror writes provisionally while its primary is away, and settles what it has replayed there. Never: a
look at what the records mean.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from control_plane.store.local import statements
from control_plane.store.records import Position, Record


class Provisional(Struct, frozen=True, kw_only=True):
    """A changeset that waits in the outbox."""

    changeset: str
    base: Position
    """Where the file was before it."""
    records: tuple[Record, ...]
    """What it wrote, with the numbers that the file gave."""
    at: datetime


def add(connection: sqlite3.Connection, changeset: str, base: Position, records: Sequence[Record]) -> None:
    """Put a changeset at the end, within the transaction that wrote it."""
    put(connection, Provisional(changeset=changeset, base=base, records=tuple(records), at=datetime.now(UTC)))


def put(connection: sqlite3.Connection, one: Provisional) -> None:
    """Put a changeset at the end as it is; nothing happens where it waits already."""
    values = (one.changeset, msgspec.json.encode(one.base).decode(), msgspec.json.encode(one.records).decode())
    connection.execute(
        "INSERT INTO outbox (changeset, base, records, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*values, statements.instant(one.at)),
    )


def waiting(connection: sqlite3.Connection) -> list[Provisional]:
    """What waits, in the order in which it was written."""
    rows = connection.execute("SELECT changeset, base, records, at FROM outbox ORDER BY number").fetchall()
    return [provisional(row) for row in rows]


def provisional(row: sqlite3.Row) -> Provisional:
    """A changeset; raises ValueError, MsgspecError for what nobody wrote like that."""
    return Provisional(
        changeset=row["changeset"],
        base=msgspec.json.decode(row["base"], type=Position),
        records=msgspec.json.decode(row["records"], type=tuple[Record, ...]),
        at=datetime.fromisoformat(row["at"]),
    )


def remove(connection: sqlite3.Connection, changesets: Sequence[str]) -> None:
    """Forget changesets; nothing happens where one is not there."""
    connection.executemany("DELETE FROM outbox WHERE changeset = ?", [(changeset,) for changeset in changesets])

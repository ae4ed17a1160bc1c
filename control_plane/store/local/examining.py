"""A look at a file from outside, while a service uses it or none does: whether it is sound, how far it is, what waits in it.

Counterpart: `layout_mutation.doctor` and `migrate --check` ask; `migrating.py` does what is planned. Never: a change to the file.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from shutil import disk_usage
from urllib.parse import quote

import msgspec
from msgspec import Struct

from control_plane.schema.runner import Plan, SchemaError
from control_plane.store.local import migrating, statements
from control_plane.store.local.connections import WAIT_S, store_errors
from control_plane.store.records import Position

PROBLEMS_MAX = 3


class Examined(Struct, frozen=True, kw_only=True):
    """What was found."""

    size: int
    """Bytes of the file, without its log."""
    free: int
    """Bytes that are free on its disk."""
    plan: Plan
    problem: str = ""
    """Why it is not sound; empty where it is."""
    position: Position | None = None
    """None where it has none that can be read."""
    base: Position | None = None
    """Where it was before what waits in its outbox."""
    newest_at: datetime | None = None
    """When its newest audit entry was written that does not wait."""
    waiting: int = 0
    """Changesets in the outbox."""
    waiting_since: datetime | None = None


def plan(path: Path) -> Plan:
    """What opening the file would do to its schema; raises StoreError."""
    if not path.exists():
        return migrating.plan({}, path, exists=False)
    with _connected(path) as connection:
        return _plan(connection, path)


def examine(path: Path, *, closely: bool = True) -> Examined:
    """Look at a file that is there, `closely` at each of its pages; raises StoreError, Damaged where hardly anything can be read."""
    with _connected(path) as connection:
        found = Examined(size=path.stat().st_size, free=disk_usage(path.parent).free, plan=_plan(connection, path))
        if not closely:
            return found if found.plan.problem or not found.plan.current else _contents(connection, found)
        rows = connection.execute(f"PRAGMA integrity_check({PROBLEMS_MAX})").fetchall()
        problem = "" if [row[0] for row in rows] == ["ok"] else " ".join(" ".join(row[0] for row in rows).split())
        if problem or found.plan.problem or not found.plan.current:
            return msgspec.structs.replace(found, problem=problem)
        return _contents(connection, found)


def _contents(connection: sqlite3.Connection, found: Examined) -> Examined:
    connection.execute("BEGIN")  # one moment
    row = connection.execute(statements.POSITION).fetchone()
    if row is None:
        return msgspec.structs.replace(found, problem="the ledger has lost its row")
    position = base = statements.position(row)
    waiting, since = connection.execute("SELECT count(*), min(at) FROM outbox").fetchone()
    if waiting:
        first = connection.execute("SELECT base FROM outbox ORDER BY number LIMIT 1").fetchone()
        base = msgspec.json.decode(first["base"], type=Position)
    newest = connection.execute("SELECT at FROM audit_entries WHERE number = ?", (base.audit_number,)).fetchone()
    return msgspec.structs.replace(
        found,
        position=position,
        base=base,
        newest_at=None if newest is None else datetime.fromisoformat(newest["at"]),
        waiting=waiting,
        waiting_since=None if since is None else datetime.fromisoformat(since),
    )


def _plan(connection: sqlite3.Connection, path: Path) -> Plan:
    try:
        migrating.check_owner(connection, path)
    except SchemaError as error:
        return msgspec.structs.replace(migrating.plan({}, path), pending=(), problem=str(error))
    return migrating.plan(migrating.applied(connection), path)


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    with store_errors(path):
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, timeout=WAIT_S, isolation_level=None, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection

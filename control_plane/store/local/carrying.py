"""All that the file holds as records, and records into the file.

Counterpart: mirrors, backups and moves read and write through here. Never: a number of its own; what is carried keeps
the numbers and hashes that it has.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from control_plane.store.identity import identity_in
from control_plane.store.local import statements
from control_plane.store.records import (
    AnswerRecord,
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    Installation,
    KeptRecord,
    Kind,
    Position,
    Record,
    Shelf,
    SignInRecord,
    StoredAnswer,
    TableRecord,
)

BATCH = 1_000  # records that travel together

_SINCE_START = Position(None, -1, 0, b"", 0)


def everything(connection: sqlite3.Connection, since: Position | None) -> Iterator[Record]:
    """What came after a position, in the connection's transaction, which sees one moment."""
    after = since or _SINCE_START
    for row in connection.execute("SELECT table_version FROM ledger"):
        yield CounterRecord(row["table_version"])
    for kind in Kind:
        for row in connection.execute(_DOCUMENTS, (kind, after.change)):
            yield _document(kind, row)
    for row in connection.execute(_AUDIT, (after.audit_number,)):
        yield AuditRecord(statements.audit(row))
    for row in connection.execute(_TABLES, (after.table_version,)):
        yield TableRecord(statements.table(row))
    for row in connection.execute(_ANSWERS, (after.change,)):
        answer, at = StoredAnswer(row["fingerprint"], row["answer"].encode()), datetime.fromisoformat(row["at"])
        yield AnswerRecord(actor=row["actor"], key=row["key"], answer=answer, at=at, change=row["change"])
    for row in connection.execute(_SIGN_INS, (after.change,)):
        yield SignInRecord(id=row["id"], expires_at=datetime.fromisoformat(row["expires_at"]), change=row["change"])
    for shelf in Shelf:
        for row in connection.execute(_THINGS, (shelf, after.change)):
            thing = statements.kept(row)
            yield KeptRecord(
                shelf=shelf,
                id=thing.id,
                content=thing.content,
                change=thing.change,
                at=thing.at,
                deleted=bool(row["deleted"]),
            )


def load(connection: sqlite3.Connection, batch: Sequence[Record]) -> None:
    """Write a batch of records, within the connection's transaction."""
    for type_, group in groupby(batch, type):
        _WRITERS[type_](connection, list(group))


def settle(connection: sqlite3.Connection) -> None:
    """Put the counters where the rows are."""
    for name in statements.CHANGED:
        connection.execute(statements.RAISE_CHANGE.replace("@table", name))
    connection.execute(
        "UPDATE ledger SET audit_number = newest.number, audit_hash = coalesce(newest.hash, x'') "
        "FROM (SELECT number, hash FROM audit_entries ORDER BY number DESC LIMIT 1) AS newest "
        "WHERE audit_number <= newest.number"
    )
    connection.execute(
        "UPDATE ledger SET table_version = max(table_version, (SELECT coalesce(max(version), 0) FROM published_tables))"
    )
    identify(connection)


def identify(connection: sqlite3.Connection) -> None:
    """Fill in the identity of mutations that have none, by id: those that the service named are then in the order of time."""
    last = ""
    while rows := connection.execute(statements.UNIDENTIFIED, (last, BATCH)).fetchall():
        for row in rows:
            identity = identity_in(Kind.MUTATION, row["content"].encode())
            if identity is not None:
                connection.execute(statements.IDENTIFY, (row["id"], identity))
        last = rows[-1]["id"]


def name(connection: sqlite3.Connection, installation: Installation) -> None:
    """Write down whose data this is from now on."""
    connection.execute(
        statements.NAME_INSTALLATION,
        (installation.id, installation.epoch, statements.instant(installation.created_at)),
    )


def clear(connection: sqlite3.Connection) -> None:
    """Empty all but the outbox, history too, within the connection's transaction."""
    connection.execute("INSERT INTO replacing DEFAULT VALUES")
    for table in _EMPTIED:
        connection.execute("DELETE FROM @table".replace("@table", table))
    connection.execute("DELETE FROM replacing")
    connection.execute("UPDATE ledger SET change = 0, audit_number = 0, audit_hash = x'', table_version = 0")


_EMPTIED = (
    *("document_versions", "documents", "audit_entries", "published_tables", "idempotency_keys", "used_sign_ins"),
    *("shelves", "installation"),
)
_DOCUMENTS = (
    "SELECT v.id, v.version, v.content, v.action, v.actor, v.reason, v.at, d.deleted, "
    "CASE WHEN v.version = d.version THEN d.change END AS change FROM documents d "
    "JOIN document_versions v USING (kind, id) WHERE d.kind = ? AND d.change > ? ORDER BY d.id, v.version"
)
_AUDIT = statements.sql("SELECT @audit FROM audit_entries WHERE number > ? ORDER BY number")
_TABLES = statements.sql("SELECT @table FROM published_tables WHERE version > ? ORDER BY version")
_ANSWERS = "SELECT actor, key, fingerprint, answer, at, change FROM idempotency_keys WHERE change > ? ORDER BY change"
_SIGN_INS = "SELECT id, expires_at, change FROM used_sign_ins WHERE change > ? ORDER BY change"
_THINGS = statements.sql("SELECT @kept, deleted FROM shelves WHERE shelf = ? AND change > ? ORDER BY change")


def _document(kind: Kind, row: sqlite3.Row) -> DocumentRecord:
    present = row["change"] is not None
    return DocumentRecord(
        kind=kind,
        id=row["id"],
        version=statements.version(row),
        change=row["change"],
        deleted=present and bool(row["deleted"]),
    )


def _load_documents(connection: sqlite3.Connection, records: Sequence[DocumentRecord]) -> None:
    present = [one for one in records if one.change is not None]
    connection.executemany(
        statements.PUT_DOCUMENT,
        [
            (one.kind, one.id, one.version.version, one.change, one.version.content.decode("utf-8"), int(one.deleted))
            for one in present
        ],
    )
    connection.executemany(
        statements.ADD_VERSION + " ON CONFLICT DO NOTHING",
        [statements.version_values(one.kind, one.id, one.version) for one in records],
    )


def _load_audit(connection: sqlite3.Connection, records: Sequence[AuditRecord]) -> None:
    values = [statements.audit_values(record.entry) for record in records]
    connection.executemany(statements.ADD_AUDIT + " ON CONFLICT DO NOTHING", values)


def _load_tables(connection: sqlite3.Connection, records: Sequence[TableRecord]) -> None:
    values = [statements.table_values(record.table) for record in records]
    connection.executemany(statements.ADD_TABLE + " ON CONFLICT DO NOTHING", values)


def _load_counters(connection: sqlite3.Connection, records: Sequence[CounterRecord]) -> None:
    newest = max(record.table_version for record in records)
    connection.execute("UPDATE ledger SET table_version = max(table_version, ?)", (newest,))


def _load_answers(connection: sqlite3.Connection, records: Sequence[AnswerRecord]) -> None:
    connection.executemany(
        statements.ADD_ANSWER + " ON CONFLICT DO NOTHING",
        [
            (
                one.actor,
                one.key,
                one.answer.fingerprint,
                one.answer.answer.decode(),
                statements.instant(one.at),
                one.change,
            )
            for one in records
        ],
    )


def _load_sign_ins(connection: sqlite3.Connection, records: Sequence[SignInRecord]) -> None:
    values = [(one.id, statements.instant(one.expires_at), one.change) for one in records]
    connection.executemany(statements.ADD_SIGN_IN, values)


def _load_kept(connection: sqlite3.Connection, records: Sequence[KeptRecord]) -> None:
    connection.executemany(
        statements.PUT_THING,
        [
            (one.shelf, one.id, one.change, int(one.deleted), one.content.decode("utf-8"), statements.instant(one.at))
            for one in records
        ],
    )


_WRITERS: dict[type, Callable[..., Any]] = {
    DocumentRecord: _load_documents,
    AuditRecord: _load_audit,
    TableRecord: _load_tables,
    CounterRecord: _load_counters,
    AnswerRecord: _load_answers,
    SignInRecord: _load_sign_ins,
    KeptRecord: _load_kept,
}

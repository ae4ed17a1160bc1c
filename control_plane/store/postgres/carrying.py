"""All that PostgreSQL holds as records, and records into PostgreSQL.

Counterpart: mirrors, backups and moves read and write through here. Never: a number of its own; what is carried keeps
the numbers and hashes that it has.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from control_plane.store.postgres import statements
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

if TYPE_CHECKING:
    from control_plane.store.postgres.connections import Connection

BATCH = 1_000  # records that travel together

_SINCE_START = Position(None, -1, 0, b"", 0)


async def everything(connection: "Connection", since: Position | None) -> AsyncIterator[Record]:
    """What came after a position, in the connection's transaction, which sees one moment."""
    after = since or _SINCE_START
    row = await connection.fetchrow(statements.POSITION)
    yield CounterRecord(row["table_version"] if row is not None else 0)
    for kind in Kind:
        async for row in connection.cursor(statements.sql(kind, _DOCUMENTS), after.change, prefetch=BATCH):
            yield _document(kind, row)
    async for row in connection.cursor(_AUDIT, after.audit_number, prefetch=BATCH):
        yield AuditRecord(statements.audit(row))
    async for row in connection.cursor(_TABLES, after.table_version, prefetch=10):
        yield TableRecord(statements.table(row))
    async for row in connection.cursor(_ANSWERS, after.change, prefetch=BATCH):
        answer = StoredAnswer(row["fingerprint"], row["answer"].encode())
        yield AnswerRecord(actor=row["actor"], key=row["key"], answer=answer, at=row["at"], change=row["change"])
    async for row in connection.cursor(_SIGN_INS, after.change, prefetch=BATCH):
        yield SignInRecord(id=row["id"], expires_at=row["expires_at"], change=row["change"])
    for shelf in Shelf:
        query = statements.sql(shelf, "SELECT @kept, deleted FROM @shelf WHERE change > $1 ORDER BY change")
        async for row in connection.cursor(query, after.change, prefetch=BATCH):
            thing = statements.kept(row)
            yield KeptRecord(
                shelf=shelf,
                id=thing.id,
                content=thing.content,
                change=thing.change,
                at=thing.at,
                deleted=row["deleted"],
            )


async def load(connection: "Connection", batch: Sequence[Record]) -> None:
    """Write a batch of records, within the connection's transaction, which holds the ledger's row."""
    for type_, group in groupby(batch, type):
        await _WRITERS[type_](connection, list(group))


async def settle(connection: "Connection") -> None:
    """Put the counters where the rows are."""
    for name in statements.CHANGED:
        await connection.execute(
            "SELECT setval('layout_mutation.changes', newest.change) FROM (SELECT max(change) AS change FROM @table) AS newest, "
            "layout_mutation.changes AS present WHERE newest.change > present.last_value - (NOT present.is_called)::int".replace(
                "@table", name
            )
        )
    await connection.execute(
        "UPDATE layout_mutation.ledger SET audit_number = newest.number, audit_hash = coalesce(newest.hash, '') "
        "FROM (SELECT number, hash FROM layout_mutation.audit_entries ORDER BY number DESC LIMIT 1) AS newest "
        "WHERE audit_number <= newest.number"
    )
    await connection.execute(
        "UPDATE layout_mutation.ledger SET table_version = greatest(table_version, "
        "(SELECT coalesce(max(version), 0) FROM layout_mutation.published_tables))"
    )


async def name(connection: "Connection", installation: Installation) -> None:
    """Write down whose data this is from now on."""
    await connection.execute(
        "INSERT INTO layout_mutation.installation (id, epoch, created_at) VALUES ($1::text::uuid, $2, $3) "
        "ON CONFLICT (only_row) DO UPDATE SET id = excluded.id, epoch = excluded.epoch, created_at = excluded.created_at",
        installation.id,
        installation.epoch,
        installation.created_at,
    )


_DOCUMENTS = (
    "SELECT v.id, v.version, v.content::text AS content, v.action, v.actor, v.reason, v.at, h.deleted, "
    "CASE WHEN v.version = h.version THEN h.change END AS change "
    'FROM @head h JOIN @versions v USING (id) WHERE h.change > $1 ORDER BY h.id COLLATE "C", v.version'
)
_AUDIT = statements.sql(None, "SELECT @audit FROM layout_mutation.audit_entries WHERE number > $1 ORDER BY number")
_TABLES = statements.sql(
    None, "SELECT @table FROM layout_mutation.published_tables WHERE version > $1 ORDER BY version"
)
_ANSWERS = (
    "SELECT actor, key, fingerprint, answer::text AS answer, at, change FROM layout_mutation.idempotency_keys "
    "WHERE change > $1 ORDER BY change"
)
_SIGN_INS = "SELECT id, expires_at, change FROM layout_mutation.used_sign_ins WHERE change > $1 ORDER BY change"


def _document(kind: Kind, row: Any) -> DocumentRecord:
    present = row["change"] is not None
    return DocumentRecord(
        kind=kind,
        id=row["id"],
        version=statements.version(row),
        change=row["change"],
        deleted=present and row["deleted"],
    )


async def _load_documents(connection: "Connection", records: Sequence[DocumentRecord]) -> None:
    for kind, group in groupby(records, lambda record: record.kind):
        documents = list(group)
        present = [one for one in documents if one.change is not None]
        await connection.executemany(
            statements.sql(
                kind,
                "INSERT INTO @head AS h (id, version, change, content, deleted) VALUES ($1, $2, $3, $4::text::json, $5) "
                "ON CONFLICT (id) DO UPDATE SET version = excluded.version, change = excluded.change, "
                "content = excluded.content, deleted = excluded.deleted WHERE h.change < excluded.change",
            ),
            [
                (one.id, one.version.version, one.change, one.version.content.decode("utf-8"), one.deleted)
                for one in present
            ],
        )
        await connection.executemany(
            statements.sql(
                kind,
                "INSERT INTO @versions (id, version, content, action, actor, reason, at) "
                "VALUES ($1, $2, $3::text::json, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            ),
            [_version_values(one) for one in documents],
        )


def _version_values(record: DocumentRecord) -> tuple[object, ...]:
    one = record.version
    return record.id, one.version, one.content.decode("utf-8"), one.action, one.actor, one.reason, one.at


async def _load_audit(connection: "Connection", records: Sequence[AuditRecord]) -> None:
    values = [statements.audit_values(record.entry) for record in records]
    await connection.executemany(statements.ADD_AUDIT + " ON CONFLICT DO NOTHING", values)


async def _load_tables(connection: "Connection", records: Sequence[TableRecord]) -> None:
    values = [statements.table_values(record.table) for record in records]
    await connection.executemany(statements.ADD_TABLE + " ON CONFLICT DO NOTHING", values)


async def _load_counters(connection: "Connection", records: Sequence[CounterRecord]) -> None:
    await connection.execute(
        "UPDATE layout_mutation.ledger SET table_version = greatest(table_version, $1)",
        max(record.table_version for record in records),
    )


async def _load_answers(connection: "Connection", records: Sequence[AnswerRecord]) -> None:
    await connection.executemany(
        "INSERT INTO layout_mutation.idempotency_keys (actor, key, fingerprint, answer, at, change) "
        "VALUES ($1, $2, $3, $4::text::json, $5, $6) ON CONFLICT DO NOTHING",
        [
            (one.actor, one.key, one.answer.fingerprint, one.answer.answer.decode(), one.at, one.change)
            for one in records
        ],
    )


async def _load_sign_ins(connection: "Connection", records: Sequence[SignInRecord]) -> None:
    await connection.executemany(
        "INSERT INTO layout_mutation.used_sign_ins (id, expires_at, change) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [(one.id, one.expires_at, one.change) for one in records],
    )


async def _load_kept(connection: "Connection", records: Sequence[KeptRecord]) -> None:
    for shelf, group in groupby(records, lambda record: record.shelf):
        await connection.executemany(
            statements.sql(
                shelf,
                "INSERT INTO @shelf AS h (id, change, deleted, content, at) "
                "VALUES ($1, $2, $3, $4::text::json, $5) ON CONFLICT (id) DO UPDATE SET change = excluded.change, "
                "deleted = excluded.deleted, content = excluded.content, at = excluded.at WHERE h.change < excluded.change",
            ),
            [(one.id, one.change, one.deleted, one.content.decode("utf-8"), one.at) for one in group],
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

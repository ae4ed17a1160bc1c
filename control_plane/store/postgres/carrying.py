"""All that PostgreSQL holds as records, and records into PostgreSQL.

Counterpart: mirrors, backups and moves read and write through here. Never: a number of its own; what is carried keeps
the numbers and hashes that it has.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from control_plane.store.identity import identity_in
from control_plane.store.postgres import statements
from control_plane.store.postgres.connections import not_kept
from control_plane.store.postgres.earlier import AS_IT_IS, Fit
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

BATCH = 2_000  # records that travel together
TABLES_BATCH = 10  # published tables that do; each may have megabytes

_SINCE_START = Position(None, -1, 0, b"", 0)


async def everything(connection: "Connection", since: Position | None, fit: Fit = AS_IT_IS) -> AsyncIterator[Record]:
    """What came after a position, in the connection's transaction, which sees one moment."""
    after = since or _SINCE_START
    row = await connection.fetchrow(fit(statements.POSITION))
    yield CounterRecord(row["table_version"] if row is not None else 0)
    for kind in Kind:
        async for row in _rows(connection, fit(statements.sql(kind, _DOCUMENTS)), after.change):
            yield _document(kind, row)
    async for row in _rows(connection, fit(_AUDIT), after.audit_number):
        yield AuditRecord(statements.audit(row))
    async for row in _rows(connection, fit(_TABLES), after.table_version, prefetch=TABLES_BATCH):
        yield TableRecord(statements.table(row))
    async for row in _rows(connection, fit(_ANSWERS), after.change):
        answer = StoredAnswer(row["fingerprint"], row["answer"].encode())
        yield AnswerRecord(actor=row["actor"], key=row["key"], answer=answer, at=row["at"], change=row["change"])
    async for row in _rows(connection, fit(_SIGN_INS), after.change):
        yield SignInRecord(id=row["id"], expires_at=row["expires_at"], change=row["change"])
    for shelf in Shelf:
        async for row in _rows(connection, fit(statements.sql(shelf, _KEPT)), after.change):
            yield _kept(shelf, row)


async def _rows(connection: "Connection", query: str, after: int, *, prefetch: int = BATCH) -> AsyncIterator[Any]:
    if query:
        async for row in connection.cursor(query, after, prefetch=prefetch):
            yield row


async def load(connection: "Connection", batch: Sequence[Record]) -> None:
    """Write a batch of records, within the connection's transaction, which holds the ledger's row."""
    for type_, group in groupby(batch, type):
        await _WRITERS[type_](connection, list(group))


async def clear(connection: "Connection") -> None:
    """Empty every table that records come from, histories included, within a transaction of the tables' owner."""
    tables = (
        *(name for kind in Kind for name in (statements.HEADS[kind], statements.VERSIONS[kind])),
        *statements.SHELVES.values(),
        *(f"layout_mutation.{name}" for name in ("audit_entries", "published_tables", "idempotency_keys")),
        *("layout_mutation.used_sign_ins", "layout_mutation.installation"),
    )
    for name in tables:
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    await connection.execute(f"TRUNCATE {', '.join(tables)}")
    for name in tables:
        await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
    await connection.execute(
        "ALTER SEQUENCE layout_mutation.changes RESTART"
    )  # which is undone with the rest; setval is not
    await connection.execute("UPDATE layout_mutation.ledger SET audit_number = 0, audit_hash = ''")


async def settle(connection: "Connection") -> None:
    """Put the counters where the rows are, and say which mutation is which."""
    await identify(connection)
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


async def identify(connection: "Connection") -> None:
    """Fill in the identity of mutations that have none, by id: those that the service named are then in the order of time."""
    query = "SELECT m.id, m.content::text AS content FROM layout_mutation.mutations m WHERE identity IS NULL AND id > $1 ORDER BY id LIMIT $2"
    last = ""
    while rows := await connection.fetch(query, last, BATCH):
        values = [(row["id"], identity_in(Kind.MUTATION, row["content"].encode())) for row in rows]
        await connection.executemany(statements.IDENTIFY, [one for one in values if one[1] is not None])
        last = rows[-1]["id"]


async def name(connection: "Connection", installation: Installation) -> None:
    """Write down whose data this is from now on."""
    await connection.execute(
        "INSERT INTO layout_mutation.installation (id, epoch, created_at) VALUES ($1::text::uuid, $2, $3) "
        "ON CONFLICT (only_row) DO UPDATE SET id = excluded.id, epoch = excluded.epoch, created_at = excluded.created_at",
        installation.id,
        installation.epoch,
        installation.created_at,
    )


# Every table has a name of its own in them, so that an earlier schema's can stand in its place.
_DOCUMENTS = (
    "SELECT v.id, v.version, v.content::text AS content, v.action, v.actor, v.reason, v.at, h.deleted, "
    "CASE WHEN v.version = h.version THEN h.change END AS change "
    'FROM @head h JOIN @versions v USING (id) WHERE h.change > $1 ORDER BY h.id COLLATE "C", v.version'
)
_AUDIT = statements.sql(None, "SELECT @audit FROM layout_mutation.audit_entries e WHERE number > $1 ORDER BY number")
_TABLES = statements.sql(
    None, "SELECT @table FROM layout_mutation.published_tables t WHERE version > $1 ORDER BY version"
)
_ANSWERS = (
    "SELECT actor, key, fingerprint, answer::text AS answer, at, change FROM layout_mutation.idempotency_keys k "
    "WHERE change > $1 ORDER BY change"
)
_SIGN_INS = "SELECT id, expires_at, change FROM layout_mutation.used_sign_ins s WHERE change > $1 ORDER BY change"
_KEPT = "SELECT @kept, deleted FROM @shelf k WHERE change > $1 ORDER BY change"


def _document(kind: Kind, row: Any) -> DocumentRecord:
    present = row["change"] is not None
    return DocumentRecord(
        kind=kind,
        id=row["id"],
        version=statements.version(row),
        change=row["change"],
        deleted=present and row["deleted"],
    )


def _kept(shelf: Shelf, row: Any) -> KeptRecord:
    thing = statements.kept(row)
    return KeptRecord(
        shelf=shelf,
        id=thing.id,
        content=thing.content,
        change=thing.change,
        at=thing.at,
        deleted=row["deleted"],
    )


async def _insert(
    connection: "Connection",
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[tuple[object, ...]],
    conflict: str,
    key: tuple[str, ...] = ("id",),
) -> None:
    """Many rows by one statement, each column an array; `columns`: name -> type of the array, and a cast after `|`.

    Raises AwayError where one is not there afterwards by its `key`, whoever swallowed it.
    """
    if not rows:
        return
    types = [type_.partition("|")[0] for type_ in columns.values()]
    casts = [f"{name}::{type_.partition('|')[2]}" if "|" in type_ else name for name, type_ in columns.items()]
    arrays = ", ".join(f"${number}::{type_}[]" for number, type_ in enumerate(types, 1))
    names = ", ".join(columns)
    await connection.execute(
        f"INSERT INTO {table} AS h ({names}) SELECT {', '.join(casts)} FROM unnest({arrays}) AS given ({names}) {conflict}",  # noqa: S608 - names of ours
        *map(list, zip(*rows, strict=True)),
    )
    at = [list(columns).index(name) for name in key]
    arrays = ", ".join(f"${number}::{types[index]}[]" for number, index in enumerate(at, 1))
    same = " AND ".join(f"h.{name} = given.{name}" for name in key)
    lost = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM unnest({arrays}) AS given ({', '.join(key)}) "  # noqa: S608 - names of ours
        f"WHERE NOT EXISTS (SELECT FROM {table} AS h WHERE {same}))",
        *([row[index] for row in rows] for index in at),
    )
    if lost:
        raise not_kept(table)


def _replacing(*columns: str, **fixed: str) -> str:
    """What is newer takes the place of what is there, and `fixed` columns get these expressions."""
    changes = ", ".join(
        f"{name} = {value}" for name, value in ({name: f"excluded.{name}" for name in columns} | fixed).items()
    )
    return f"ON CONFLICT (id) DO UPDATE SET {changes} WHERE h.change < excluded.change"


_STAYS = "ON CONFLICT DO NOTHING"
_UNIDENTIFIED = {"identity": "NULL", "is_copy": "false"}  # filled in when all is there
_HEAD = {"id": "text", "version": "int4", "change": "int8", "content": "text|json", "deleted": "bool"}
_VERSION = {
    "id": "text",
    "version": "int4",
    "content": "text|json",
    "action": "text",
    "actor": "text",
    "reason": "text",
    "at": "timestamptz",
}
_ENTRY = {
    "number": "int8",
    "at": "timestamptz",
    "actor": "text",
    "role": "text",
    "action": "text",
    "kind": "text",
    "subject": "text",
    "reason": "text",
    "version_before": "int8",
    "version_after": "int8",
    "table_version": "int8",
    "origin": "text",
    "digest": "text",
    "changeset": "text|uuid",
    "key_id": "text",
    "previous_hash": "bytea",
    "hash": "bytea",
}
_ANSWER = {
    "actor": "text",
    "key": "text",
    "fingerprint": "text",
    "answer": "text|json",
    "at": "timestamptz",
    "change": "int8",
}
_SIGN_IN = {"id": "text", "expires_at": "timestamptz", "change": "int8"}
_THING = {"id": "text", "change": "int8", "deleted": "bool", "content": "text|json", "at": "timestamptz"}


async def _load_documents(connection: "Connection", records: Sequence[DocumentRecord]) -> None:
    for kind, group in groupby(records, lambda record: record.kind):
        documents = list(group)
        present = {  # a document may come twice; one statement may touch a row once
            one.id: (one.id, one.version.version, one.change, one.version.content.decode("utf-8"), one.deleted)
            for one in sorted((one for one in documents if one.change is not None), key=lambda one: one.change or 0)
        }
        newer = _replacing(
            "version", "change", "content", "deleted", **(_UNIDENTIFIED if kind is Kind.MUTATION else {})
        )
        await _insert(connection, statements.HEADS[kind], _HEAD, list(present.values()), newer)
        versions = [_version_values(one) for one in documents]
        await _insert(connection, statements.VERSIONS[kind], _VERSION, versions, _STAYS, ("id", "version"))


def _version_values(record: DocumentRecord) -> tuple[object, ...]:
    one = record.version
    return record.id, one.version, one.content.decode("utf-8"), one.action, one.actor, one.reason, one.at


async def _load_audit(connection: "Connection", records: Sequence[AuditRecord]) -> None:
    values = [tuple(getattr(record.entry, name) for name in _ENTRY) for record in records]
    await _insert(connection, "layout_mutation.audit_entries", _ENTRY, values, _STAYS, ("number",))


async def _load_tables(connection: "Connection", records: Sequence[TableRecord]) -> None:
    values = [statements.table_values(record.table) for record in records]
    await connection.executemany(statements.ADD_TABLE + " ON CONFLICT DO NOTHING", values)


async def _load_counters(connection: "Connection", records: Sequence[CounterRecord]) -> None:
    await connection.execute(
        "UPDATE layout_mutation.ledger SET table_version = greatest(table_version, $1)",
        max(record.table_version for record in records),
    )


async def _load_answers(connection: "Connection", records: Sequence[AnswerRecord]) -> None:
    values = [
        (one.actor, one.key, one.answer.fingerprint, one.answer.answer.decode(), one.at, one.change) for one in records
    ]
    await _insert(connection, "layout_mutation.idempotency_keys", _ANSWER, values, _STAYS, ("actor", "key"))


async def _load_sign_ins(connection: "Connection", records: Sequence[SignInRecord]) -> None:
    values = [(one.id, one.expires_at, one.change) for one in records]
    await _insert(connection, "layout_mutation.used_sign_ins", _SIGN_IN, values, _STAYS)


async def _load_kept(connection: "Connection", records: Sequence[KeptRecord]) -> None:
    for shelf, group in groupby(records, lambda record: record.shelf):
        things = {
            one.id: (one.id, one.change, one.deleted, one.content.decode("utf-8"), one.at)
            for one in sorted(group, key=lambda one: one.change)
        }
        newer = _replacing("change", "deleted", "content", "at")
        await _insert(connection, statements.SHELVES[shelf], _THING, list(things.values()), newer)


_WRITERS: dict[type, Callable[..., Any]] = {
    DocumentRecord: _load_documents,
    AuditRecord: _load_audit,
    TableRecord: _load_tables,
    CounterRecord: _load_counters,
    AnswerRecord: _load_answers,
    SignInRecord: _load_sign_ins,
    KeptRecord: _load_kept,
}

"""Changes in PostgreSQL, within one transaction that holds the ledger's row.

Counterpart: `store.py` begins and ends it. Never: a change that is not also in `written`.
"""

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from control_plane.store.chain import Chain, Unchained
from control_plane.store.identity import identity_in
from control_plane.store.postgres import statements
from control_plane.store.postgres.connections import not_kept
from control_plane.store.postgres.reader import PostgresReader
from control_plane.store.records import (
    AnswerRecord,
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    KeptRecord,
    Kind,
    Position,
    Record,
    Shelf,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    TableRecord,
)

if TYPE_CHECKING:
    from control_plane.store.postgres.connections import Connection

UNCHAINED_ROWS = 1_000  # entries from before the chain that are read at a time


class PostgresTransaction(PostgresReader):
    """Questions and changes within one transaction."""

    def __init__(self, connection: "Connection", position: Position, changeset: str, chain: Chain) -> None:
        """`position`: where the store is; nobody else moves it meanwhile."""
        super().__init__(lambda: nullcontext(connection))
        self.changeset = changeset
        self.written: list[Record] = []
        self._audit_number, self._audit_hash = position.audit_number, position.audit_hash
        self._chain = chain

    async def put(self, kind: Kind, document_id: str, version: StoredVersion, *, deleted: bool = False) -> None:
        """Save a version as the present one and as part of the history."""
        content = version.content.decode("utf-8")
        row = await self._row(
            statements.sql(
                kind,
                "INSERT INTO @head (id, version, change, content, deleted) "
                "VALUES ($1, $2, nextval('layout_mutation.changes'), $3::text::json, $4) ON CONFLICT (id) DO UPDATE SET "
                "version = excluded.version, change = excluded.change, content = excluded.content, deleted = excluded.deleted@anew "
                "RETURNING change",
            ),
            document_id,
            version.version,
            content,
            deleted,
        )
        if row is None:
            raise not_kept(statements.HEADS[kind])
        await self._add(
            statements.VERSIONS[kind],
            statements.sql(
                kind,
                "INSERT INTO @versions (id, version, content, action, actor, reason, at) "
                "VALUES ($1, $2, $3::text::json, $4, $5, $6, $7)",
            ),
            document_id,
            version.version,
            content,
            version.action,
            version.actor,
            version.reason,
            version.at,
        )
        if kind is Kind.MUTATION:
            await self._execute(statements.IDENTIFY, document_id, identity_in(kind, version.content))
        record = DocumentRecord(kind=kind, id=document_id, version=version, change=row["change"], deleted=deleted)
        self.written.append(record)

    async def add_audit(self, entry: StoredAudit) -> StoredAudit:
        """Append to the audit; the entry with its number and its place in the chain."""
        numbered = msgspec.structs.replace(entry, number=self._audit_number + 1, changeset=self.changeset)
        sealed = self._chain.sealed(numbered, self._audit_hash or await self._before_the_chain())
        await self._add("layout_mutation.audit_entries", statements.ADD_AUDIT, *statements.audit_values(sealed))
        await self._execute(
            "UPDATE layout_mutation.ledger SET audit_number = $1, audit_hash = $2", sealed.number, sealed.hash
        )
        self._audit_number, self._audit_hash = sealed.number, sealed.hash or b""
        self.written.append(AuditRecord(sealed))
        return sealed

    async def _before_the_chain(self) -> bytes:
        """The digest of all entries that have no seal, since the chain begins after them."""
        query = "SELECT @audit FROM layout_mutation.audit_entries WHERE number > $1 ORDER BY number LIMIT $2"
        unchained, last = Unchained(), 0
        while rows := await self._rows(statements.sql(None, query), last, UNCHAINED_ROWS):
            for row in rows:
                unchained.add(statements.audit(row))
            last = rows[-1]["number"]
        return unchained.digest

    async def raise_table_version(self, at_least: int) -> int:
        """Count the table version up: one more than before, or `at_least` if that is more. The new version."""
        row = await self._row(
            "UPDATE layout_mutation.ledger SET table_version = greatest(table_version + 1, $1) RETURNING table_version",
            at_least,
        )
        self.written.append(CounterRecord(int(row["table_version"])))
        return int(row["table_version"])

    async def add_table(self, table: StoredTable) -> None:
        """Keep a published table."""
        await self._add("layout_mutation.published_tables", statements.ADD_TABLE, *statements.table_values(table))
        self.written.append(TableRecord(table))

    async def answer(self, actor: str, key: str) -> StoredAnswer | None:
        """What came of an earlier request with this key."""
        row = await self._row(
            "SELECT fingerprint, answer::text AS answer FROM layout_mutation.idempotency_keys WHERE actor = $1 AND key = $2",
            actor,
            key,
        )
        return None if row is None else StoredAnswer(row["fingerprint"], row["answer"].encode())

    async def remember(self, actor: str, key: str, answer: StoredAnswer) -> None:
        """Keep what came of a request."""
        at = datetime.now(UTC)
        row = await self._row(
            "INSERT INTO layout_mutation.idempotency_keys (actor, key, fingerprint, answer, at) "
            "VALUES ($1, $2, $3, $4::text::json, $5) RETURNING change",
            actor,
            key,
            answer.fingerprint,
            answer.answer.decode(),
            at,
        )
        if row is None:
            raise not_kept("layout_mutation.idempotency_keys")
        self.written.append(AnswerRecord(actor=actor, key=key, answer=answer, at=at, change=row["change"]))

    async def keep(self, shelf: Shelf, thing_id: str, content: bytes, at: datetime) -> None:
        """Put a thing, a JSON object, on a shelf, in place of the one with its id."""
        await self._place(shelf, thing_id, content, at, deleted=False)

    async def discard(self, shelf: Shelf, thing_id: str, at: datetime) -> None:
        """Take a thing off a shelf; nothing happens where there is none."""
        if await self.kept(shelf, thing_id) is not None:
            await self._place(shelf, thing_id, b"{}", at, deleted=True)

    async def _place(self, shelf: Shelf, thing_id: str, content: bytes, at: datetime, *, deleted: bool) -> None:
        row = await self._row(
            statements.sql(
                shelf,
                "INSERT INTO @shelf (id, change, deleted, content, at) "
                "VALUES ($1, nextval('layout_mutation.changes'), $2, $3::text::json, $4) ON CONFLICT (id) DO UPDATE SET "
                "change = excluded.change, deleted = excluded.deleted, content = excluded.content, at = excluded.at "
                "RETURNING change",
            ),
            thing_id,
            deleted,
            content.decode("utf-8"),
            at,
        )
        if row is None:
            raise not_kept(statements.SHELVES[shelf])
        record = KeptRecord(shelf=shelf, id=thing_id, content=content, change=row["change"], at=at, deleted=deleted)
        self.written.append(record)

    async def _add(self, table: str, query: str, *values: object) -> None:
        """Insert a row, and see that it is there: no acknowledged write goes where a trigger swallows it."""
        if await self._execute(query, *values) != "INSERT 0 1":
            raise not_kept(table)

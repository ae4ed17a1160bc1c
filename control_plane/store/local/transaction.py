"""Changes in the file, within one transaction that nobody else writes in.

Counterpart: `store.py` begins and ends it. Never: a change that is not also in `written`.
"""

import sqlite3
from datetime import UTC, datetime

import msgspec

from control_plane.store.chain import Chain, Unchained
from control_plane.store.identity import identity_in
from control_plane.store.local import statements
from control_plane.store.local.reader import LocalReader, Run
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

UNCHAINED_ROWS = 1_000


class LocalTransaction(LocalReader):
    """Questions and changes within one transaction."""

    def __init__(self, run: Run, position: Position, changeset: str, chain: Chain) -> None:
        """`position`: where the store is; nobody else moves it meanwhile."""
        super().__init__(run)
        self.changeset = changeset
        self.base = position
        self.written: list[Record] = []
        self._audit_number, self._audit_hash = position.audit_number, position.audit_hash
        self._chain = chain

    async def put(self, kind: Kind, document_id: str, version: StoredVersion, *, deleted: bool = False) -> None:
        """Save a version as the present one and as part of the history."""

        identity = identity_in(kind, version.content)

        def work(connection: sqlite3.Connection) -> int:
            change, values = next_change(connection), statements.version_values(kind, document_id, version)
            content = version.content.decode("utf-8")
            connection.execute(
                statements.PUT_DOCUMENT, (kind, document_id, version.version, change, content, int(deleted))
            )
            connection.execute(statements.ADD_VERSION, values)
            if identity is not None:
                connection.execute(statements.IDENTIFY, (document_id, identity))
            return change

        change = await self._run(work)
        record = DocumentRecord(kind=kind, id=document_id, version=version, change=change, deleted=deleted)
        self.written.append(record)

    async def add_audit(self, entry: StoredAudit) -> StoredAudit:
        """Append to the audit; the entry with its number and its place in the chain."""
        numbered = msgspec.structs.replace(entry, number=self._audit_number + 1, changeset=self.changeset)
        sealed = self._chain.sealed(numbered, self._audit_hash or await self._before_the_chain())

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(statements.ADD_AUDIT, statements.audit_values(sealed))
            connection.execute("UPDATE ledger SET audit_number = ?, audit_hash = ?", (sealed.number, sealed.hash))

        await self._run(work)
        self._audit_number, self._audit_hash = sealed.number, sealed.hash or b""
        self.written.append(AuditRecord(sealed))
        return sealed

    async def _before_the_chain(self) -> bytes:
        """The digest of all entries that have no seal, since the chain begins after them."""
        query = statements.sql("SELECT @audit FROM audit_entries WHERE number > ? ORDER BY number LIMIT ?")
        unchained, last = Unchained(), 0
        while rows := await self._rows(query, last, UNCHAINED_ROWS):
            for row in rows:
                unchained.add(statements.audit(row))
            last = rows[-1]["number"]
        return unchained.digest

    async def raise_table_version(self, at_least: int) -> int:
        """Count the table version up: one more than before, or `at_least` if that is more. The new version."""
        query = "UPDATE ledger SET table_version = max(table_version + 1, ?) RETURNING table_version"
        version = int((await self._rows(query, at_least))[0]["table_version"])
        self.written.append(CounterRecord(version))
        return version

    async def add_table(self, table: StoredTable) -> None:
        """Keep a published table."""
        await self._rows(statements.ADD_TABLE, *statements.table_values(table))
        self.written.append(TableRecord(table))

    async def answer(self, actor: str, key: str) -> StoredAnswer | None:
        """What came of an earlier request with this key."""
        query = "SELECT fingerprint, answer FROM idempotency_keys WHERE actor = ? AND key = ?"
        row = await self._row(query, actor, key)
        return None if row is None else StoredAnswer(row["fingerprint"], row["answer"].encode())

    async def remember(self, actor: str, key: str, answer: StoredAnswer) -> None:
        """Keep what came of a request."""
        at = datetime.now(UTC)

        def work(connection: sqlite3.Connection) -> int:
            change, text = next_change(connection), answer.answer.decode()
            values = (actor, key, answer.fingerprint, text, statements.instant(at), change)
            connection.execute(statements.ADD_ANSWER, values)
            return change

        change = await self._run(work)
        self.written.append(AnswerRecord(actor=actor, key=key, answer=answer, at=at, change=change))

    async def keep(self, shelf: Shelf, thing_id: str, content: bytes, at: datetime) -> None:
        """Put a thing, a JSON object, on a shelf, in place of the one with its id."""
        await self._place(shelf, thing_id, content, at, deleted=False)

    async def discard(self, shelf: Shelf, thing_id: str, at: datetime) -> None:
        """Take a thing off a shelf; nothing happens where there is none."""
        if await self.kept(shelf, thing_id) is not None:
            await self._place(shelf, thing_id, b"{}", at, deleted=True)

    async def _place(self, shelf: Shelf, thing_id: str, content: bytes, at: datetime, *, deleted: bool) -> None:
        def work(connection: sqlite3.Connection) -> int:
            change, text = next_change(connection), content.decode("utf-8")
            values = (shelf, thing_id, change, int(deleted), text, statements.instant(at))
            connection.execute(statements.PUT_THING, values)
            return change

        change = await self._run(work)
        record = KeptRecord(shelf=shelf, id=thing_id, content=content, change=change, at=at, deleted=deleted)
        self.written.append(record)


def next_change(connection: sqlite3.Connection) -> int:
    """The number of the next change, counted up within the transaction."""
    return int(connection.execute(statements.NEXT_CHANGE).fetchall()[0]["change"])

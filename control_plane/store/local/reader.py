"""Questions to the file.

Never: a change.
"""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from control_plane.store.interface import StoreError
from control_plane.store.local import statements
from control_plane.store.records import Kept, Kind, Position, Shelf, Stored, StoredAudit, StoredTable, StoredVersion

T = TypeVar("T")


class Run(Protocol):
    """Does a piece of work in the thread of a connection; raises StoreError."""

    def __call__(self, work: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]: ...


class LocalReader:
    """Questions, each over a connection that `run` finds."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def find(self, kind: Kind, document_id: str) -> Stored | None:
        """The present version, deleted ones included."""
        query = statements.sql("SELECT @stored FROM documents WHERE kind = ? AND id = ?")
        row = await self._row(query, kind, document_id)
        return None if row is None else statements.stored(row)

    async def versions(self, kind: Kind, document_id: str) -> list[StoredVersion]:
        """The history, newest first."""
        query = statements.sql("SELECT @version FROM document_versions WHERE kind = ? AND id = ? ORDER BY version DESC")
        return [statements.version(row) for row in await self._rows(query, kind, document_id)]

    async def version(self, kind: Kind, document_id: str, version: int) -> StoredVersion | None:
        """One version of the history."""
        query = statements.sql("SELECT @version FROM document_versions WHERE kind = ? AND id = ? AND version = ?")
        row = await self._row(query, kind, document_id, version)
        return None if row is None else statements.version(row)

    async def everything(self, kind: Kind) -> list[Stored]:
        """All documents of a kind that are not deleted, by id."""
        query = statements.sql("SELECT @stored FROM documents WHERE kind = ? AND NOT deleted ORDER BY id")
        return [statements.stored(row) for row in await self._rows(query, kind)]

    async def same_mutation(self, identity: str, other_than: str) -> Stored | None:
        """The live mutation with that identity and another id; the first by id, if old copies are there."""
        query = statements.sql(
            "SELECT @stored FROM documents WHERE identity = ? AND id <> ? AND @live ORDER BY id LIMIT 1"
        )
        row = await self._row(query, identity, other_than)
        return None if row is None else statements.stored(row)

    async def containing(self, text: str, after: str, limit: int) -> list[Stored]:
        """Live mutations whose JSON has the text in it, by id, those whose ids come after `after`."""
        query = statements.sql(
            "SELECT @stored FROM documents WHERE @live AND id > ? AND instr(content, ?) > 0 ORDER BY id LIMIT ?"
        )
        return [statements.stored(row) for row in await self._rows(query, after, text, limit)]

    async def deleted(self, kind: Kind, before: int | None, limit: int) -> list[Stored]:
        """Documents that are deleted, the last changed first, those changed earlier than `before`."""
        query = "SELECT @stored FROM documents WHERE kind = ?1 AND deleted AND (?2 IS NULL OR change < ?2) ORDER BY change DESC LIMIT ?3"
        return [statements.stored(row) for row in await self._rows(statements.sql(query), kind, before, limit)]

    async def ids(self, kind: Kind) -> list[str]:
        """Ids of the documents that are not deleted, in their order."""
        rows = await self._rows("SELECT id FROM documents WHERE kind = ? AND NOT deleted ORDER BY id", kind)
        return [row["id"] for row in rows]

    async def names(self, kind: Kind, limit: int) -> list[tuple[str, str]]:
        """Id and name of the documents that are not deleted, the last changed first, without their contents."""
        rows = await self._rows(
            "SELECT id, coalesce(content ->> '$.name', '') AS name FROM documents WHERE kind = ? AND NOT deleted "
            "ORDER BY change DESC LIMIT ?",
            kind,
            limit,
        )
        return [(row["id"], row["name"]) for row in rows]

    async def served(self) -> list[Stored]:
        """The mutations that are switched on, by id."""
        query = statements.sql("SELECT @stored FROM documents WHERE @served ORDER BY id")
        return [statements.stored(row) for row in await self._rows(query)]

    async def was_live(self, experiment_id: str) -> bool:
        """Whether a mutation that names the experiment, or one that requires it, was ever switched on."""
        row = await self._row(statements.WAS_LIVE, experiment_id)
        return row is not None and bool(row["was_live"])

    async def page(self, kind: Kind, filters: Mapping[str, object], before: int | None, limit: int) -> list[Stored]:
        """Documents that are not deleted, the last changed first, those changed earlier than `before`."""
        given = {**filters, **({} if before is None else {"before": before})}
        conditions = " AND ".join(["kind = ?", "NOT deleted", *(statements.FILTERS[name] for name in given)])
        query = statements.sql("SELECT @stored FROM documents WHERE @where ORDER BY change DESC LIMIT ?", conditions)
        return [statements.stored(row) for row in await self._rows(query, kind, *given.values(), limit)]

    async def latest_table(self) -> StoredTable | None:
        """The newest published table."""
        query = statements.sql(
            "SELECT @table FROM published_tables WHERE sealed IS NOT NULL ORDER BY version DESC LIMIT 1"
        )
        row = await self._row(query)
        return None if row is None else statements.table(row)

    async def table_version(self) -> int:
        """The version of the newest published table; cheap."""
        row = await self._row("SELECT coalesce(max(version), 0) AS version FROM published_tables")
        return 0 if row is None else int(row["version"])

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """Audit entries, newest first, with numbers below `before`."""
        given = {"kind = ?": kind, "subject = ?": subject, "number < ?": before}
        asked = {condition: value for condition, value in given.items() if value is not None}
        conditions = " AND ".join(["true", *asked])
        query = statements.sql("SELECT @audit FROM audit_entries WHERE @where ORDER BY number DESC LIMIT ?", conditions)
        return [statements.audit(row) for row in await self._rows(query, *asked.values(), limit)]

    async def kept(self, shelf: Shelf, thing_id: str) -> Kept | None:
        """One thing of a shelf, None where there is none or it was discarded."""
        query = statements.sql("SELECT @kept FROM shelves WHERE shelf = ? AND id = ? AND NOT deleted")
        row = await self._row(query, shelf, thing_id)
        return None if row is None else statements.kept(row)

    async def shelf(self, shelf: Shelf) -> list[Kept]:
        """All things of a shelf that were not discarded, the last changed first."""
        query = statements.sql("SELECT @kept FROM shelves WHERE shelf = ? AND NOT deleted ORDER BY change DESC")
        return [statements.kept(row) for row in await self._rows(query, shelf)]

    async def position(self) -> Position:
        """Whose data this is, and how far it has come."""
        row = await self._row(statements.POSITION)
        if row is None:
            raise StoreError("the local store's ledger has lost its row")
        return statements.position(row)

    async def _row(self, query: str, *values: object) -> sqlite3.Row | None:
        rows = await self._rows(query, *values)
        return rows[0] if rows else None

    async def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        return await self._run(lambda connection: connection.execute(query, values).fetchall())

"""Questions to PostgreSQL.

Never: a change.
"""

from collections.abc import Mapping
from typing import Any

from control_plane.store.interface import StoreError
from control_plane.store.postgres import statements
from control_plane.store.postgres.connections import Connect, store_errors
from control_plane.store.records import Kept, Kind, Position, Shelf, Stored, StoredAudit, StoredTable, StoredVersion


class PostgresReader:
    """Questions, each over a connection from `connect`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def find(self, kind: Kind, document_id: str) -> Stored | None:
        """The present version, deleted ones included."""
        row = await self._row(statements.sql(kind, "SELECT @stored FROM @head WHERE id = $1"), document_id)
        return None if row is None else statements.stored(row)

    async def versions(self, kind: Kind, document_id: str) -> list[StoredVersion]:
        """The history, newest first."""
        query = statements.sql(kind, "SELECT @version FROM @versions WHERE id = $1 ORDER BY version DESC")
        rows = await self._rows(query, document_id)
        return [statements.version(row) for row in rows]

    async def version(self, kind: Kind, document_id: str, version: int) -> StoredVersion | None:
        """One version of the history."""
        query = statements.sql(kind, "SELECT @version FROM @versions WHERE id = $1 AND version = $2")
        row = await self._row(query, document_id, version)
        return None if row is None else statements.version(row)

    async def everything(self, kind: Kind) -> list[Stored]:
        """All documents of a kind that are not deleted, by id."""
        rows = await self._rows(
            statements.sql(kind, 'SELECT @stored FROM @head WHERE NOT deleted ORDER BY id COLLATE "C"')
        )
        return [statements.stored(row) for row in rows]

    async def ids(self, kind: Kind) -> list[str]:
        """Ids of the documents that are not deleted, in their order."""
        rows = await self._rows(statements.sql(kind, 'SELECT id FROM @head WHERE NOT deleted ORDER BY id COLLATE "C"'))
        return [row["id"] for row in rows]

    async def names(self, kind: Kind, limit: int) -> list[tuple[str, str]]:
        """Id and name of the documents that are not deleted, the last changed first, without their contents."""
        query = "SELECT id, coalesce(content ->> 'name', '') AS name FROM @head WHERE NOT deleted ORDER BY change DESC LIMIT $1"
        return [(row["id"], row["name"]) for row in await self._rows(statements.sql(kind, query), limit)]

    async def same_mutation(self, identity: str, other_than: str) -> Stored | None:
        """The live mutation with that identity and another id; the first by id, if old copies are there."""
        query = 'SELECT @stored FROM @head WHERE identity = $1 AND id <> $2 AND @live ORDER BY id COLLATE "C" LIMIT 1'
        row = await self._row(statements.sql(Kind.MUTATION, query), identity, other_than)
        return None if row is None else statements.stored(row)

    async def containing(self, text: str, after: str, limit: int) -> list[Stored]:
        """Live mutations whose JSON has the text in it, by id, those whose ids come after `after`."""
        query = (
            'SELECT @stored FROM @head WHERE @live AND id COLLATE "C" > $1 AND position($2 IN content::text) > 0 '
            'ORDER BY id COLLATE "C" LIMIT $3'
        )
        rows = await self._rows(statements.sql(Kind.MUTATION, query), after, text, limit)
        return [statements.stored(row) for row in rows]

    async def deleted(self, kind: Kind, before: int | None, limit: int) -> list[Stored]:
        """Documents that are deleted, the last changed first, those changed earlier than `before`."""
        query = "SELECT @stored FROM @head WHERE deleted AND ($1::bigint IS NULL OR change < $1) ORDER BY change DESC LIMIT $2"
        return [statements.stored(row) for row in await self._rows(statements.sql(kind, query), before, limit)]

    async def served(self) -> list[Stored]:
        """The mutations that are switched on, by id."""
        query = statements.sql(Kind.MUTATION, 'SELECT @stored FROM @head WHERE @served ORDER BY id COLLATE "C"')
        return [statements.stored(row) for row in await self._rows(query)]

    async def was_live(self, experiment_id: str) -> bool:
        """Whether a mutation that names the experiment, or one that requires it, was ever switched on."""
        row = await self._row(statements.WAS_LIVE, experiment_id)
        return row is not None and bool(row["was_live"])

    async def page(self, kind: Kind, filters: Mapping[str, object], before: int | None, limit: int) -> list[Stored]:
        """Documents that are not deleted, the last changed first, those changed earlier than `before`."""
        given = {**filters, **({} if before is None else {"before": before})}
        conditions, values = statements.where(statements.FILTERS, given, first="NOT deleted")
        query = statements.sql(kind, "SELECT @stored FROM @head WHERE @where ORDER BY change DESC LIMIT @limit")
        query = query.replace("@where", conditions).replace("@limit", f"${len(values) + 1}")
        if "text" not in filters:
            return [statements.stored(row) for row in await self._rows(query, *values, limit)]
        with store_errors():
            async with self._connect() as connection, connection.transaction():
                # How rare a text is decides how it is found best; a plan kept for all texts would know nothing of that.
                await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
                return [statements.stored(row) for row in await connection.fetch(query, *values, limit)]

    async def latest_table(self) -> StoredTable | None:
        """The newest published table."""
        row = await self._row(
            statements.sql(
                None,
                "SELECT @table FROM layout_mutation.published_tables WHERE sealed IS NOT NULL ORDER BY version DESC LIMIT 1",
            )
        )
        return None if row is None else statements.table(row)

    async def table_version(self) -> int:
        """The version of the newest published table; cheap."""
        row = await self._row("SELECT coalesce(max(version), 0) AS version FROM layout_mutation.published_tables")
        return int(row["version"]) if row is not None else 0

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """Audit entries, newest first, with numbers below `before`."""
        given = {"kind": kind, "subject": subject, "before": before}
        conditions, values = statements.where(
            statements.AUDIT_FILTERS, {name: value for name, value in given.items() if value is not None}
        )
        query = "SELECT @audit FROM layout_mutation.audit_entries WHERE @where ORDER BY number DESC LIMIT @limit"
        query = query.replace("@where", conditions).replace("@limit", f"${len(values) + 1}")
        rows = await self._rows(statements.sql(None, query), *values, limit)
        return [statements.audit(row) for row in rows]

    async def kept(self, shelf: Shelf, thing_id: str) -> Kept | None:
        """One thing of a shelf, None where there is none or it was discarded."""
        query = statements.sql(shelf, "SELECT @kept FROM @shelf WHERE id = $1 AND NOT deleted")
        row = await self._row(query, thing_id)
        return None if row is None else statements.kept(row)

    async def shelf(self, shelf: Shelf) -> list[Kept]:
        """All things of a shelf that were not discarded, the last changed first."""
        query = statements.sql(shelf, "SELECT @kept FROM @shelf WHERE NOT deleted ORDER BY change DESC")
        return [statements.kept(row) for row in await self._rows(query)]

    async def position(self) -> Position:
        """Whose data this is, and how far it has come."""
        row = await self._row(statements.POSITION)
        if row is None:
            raise StoreError("PostgreSQL: layout_mutation.ledger has lost its row")
        return statements.position(row)

    async def _row(self, query: str, *values: object) -> Any:
        with store_errors():
            async with self._connect() as connection:
                return await connection.fetchrow(query, *values)

    async def _rows(self, query: str, *values: object) -> list[Any]:
        with store_errors():
            async with self._connect() as connection:
                return await connection.fetch(query, *values)

    async def _execute(self, query: str, *values: object) -> str:
        with store_errors():
            async with self._connect() as connection:
                return await connection.execute(query, *values)

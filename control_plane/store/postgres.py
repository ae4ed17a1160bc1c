"""The store in PostgreSQL: every SQL statement of the service, and nothing else.

Works through a transaction pooler: no session state, no prepared statements there, every name qualified. Documents are
`json`, not `jsonb`: they come back byte for byte, and the order of variations, whose first is the control, survives.
Counterpart: `schema/migrations` makes the tables. Never: a decision; what is asked for is done, or StoreError is raised.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from control_plane.schema.address import Address
from control_plane.store import (
    Kind,
    Stored,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    StoreError,
    Transaction,
)

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

ACQUIRE_TIMEOUT_S = 5.0  # a request waits no longer for a free connection
COMMAND_TIMEOUT_S = 30.0
LOCK_TIMEOUT_S = 20  # a writer waits no longer for the one before it
CONNECT_TIMEOUT_S = 10.0
TABLES_KEPT = 100  # signed bytes of older tables are let go; what was published when stays
KEYS_KEPT_DAYS = 7

HEADS = {
    Kind.MUTATION: "layout_mutation.mutations",
    Kind.EXPERIMENT: "layout_mutation.experiments",
    Kind.MODULE: "layout_mutation.modules",
    Kind.SEGMENT: "layout_mutation.segments",
    Kind.ATTRIBUTE: "layout_mutation.attributes",
    Kind.SAVED_GROUP: "layout_mutation.saved_groups",
    Kind.TOGGLE: "layout_mutation.toggles",
}
VERSIONS = {kind: f"layout_mutation.{kind.value}_versions" for kind in Kind}

_STORED = "id, version, content::text AS content, deleted, change"
_VERSION = "version, content::text AS content, action, actor, reason, at"
_SERVED = "is_active AND status IN ('active', 'experimental') AND NOT deleted"
_FILTERS = {
    "active": "is_active = ?",
    "status": "status = ?",
    "not_status": "status <> ?",
    "site": "site = ?",
    "layout_id": "layout_id = ?",
    "page_slug": "page_slug = ?",
    "module_id": "module_id = ?",
    "mutation_type": "mutation_type = ?",
    "before": "change < ?",
    "text": "position(lower(?) IN lower(concat_ws(' ', id, content ->> 'name', content ->> 'note'))) > 0",
}
# A reference is always the other document's id somewhere in the text; ids have nothing that JSON would escape.
_WAS_LIVE = (
    "WITH RECURSIVE concerned (id) AS (SELECT $1::text UNION SELECT v.id FROM layout_mutation.experiment_versions v "
    "JOIN concerned c ON position('\"' || c.id || '\"' IN v.content::text) > 0) "
    "SELECT EXISTS (SELECT 1 FROM layout_mutation.mutation_versions m "
    "JOIN concerned c ON position('\"' || c.id || '\"' IN m.content::text) > 0 "
    "WHERE (m.content ->> 'isActive')::boolean AND m.content ->> 'status' IN ('active', 'experimental')) AS was_live"
)

Connect = Callable[[], "AbstractAsyncContextManager[Connection]"]


class PostgresReader:
    """Questions, each over a connection from `connect`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def find(self, kind: Kind, document_id: str) -> Stored | None:
        """The present version, deleted ones included."""
        row = await self._row(_sql(kind, "SELECT @stored FROM @head WHERE id = $1"), document_id)
        return None if row is None else _stored(row)

    async def versions(self, kind: Kind, document_id: str) -> list[StoredVersion]:
        """The history, newest first."""
        query = _sql(kind, "SELECT @version FROM @versions WHERE id = $1 ORDER BY version DESC")
        rows = await self._rows(query, document_id)
        return [_version(row) for row in rows]

    async def version(self, kind: Kind, document_id: str, version: int) -> StoredVersion | None:
        """One version of the history."""
        query = _sql(kind, "SELECT @version FROM @versions WHERE id = $1 AND version = $2")
        row = await self._row(query, document_id, version)
        return None if row is None else _version(row)

    async def everything(self, kind: Kind) -> list[Stored]:
        """All documents of a kind that are not deleted, by id."""
        rows = await self._rows(_sql(kind, 'SELECT @stored FROM @head WHERE NOT deleted ORDER BY id COLLATE "C"'))
        return [_stored(row) for row in rows]

    async def ids(self, kind: Kind) -> list[str]:
        """Ids of the documents that are not deleted, in their order."""
        rows = await self._rows(_sql(kind, 'SELECT id FROM @head WHERE NOT deleted ORDER BY id COLLATE "C"'))
        return [row["id"] for row in rows]

    async def names(self, kind: Kind, limit: int) -> list[tuple[str, str]]:
        """Id and name of the documents that are not deleted, the last changed first, without their contents."""
        query = "SELECT id, coalesce(content ->> 'name', '') AS name FROM @head WHERE NOT deleted ORDER BY change DESC LIMIT $1"
        return [(row["id"], row["name"]) for row in await self._rows(_sql(kind, query), limit)]

    async def served(self) -> list[Stored]:
        """The mutations that are switched on, by id."""
        query = _sql(Kind.MUTATION, 'SELECT @stored FROM @head WHERE @served ORDER BY id COLLATE "C"')
        return [_stored(row) for row in await self._rows(query)]

    async def was_live(self, experiment_id: str) -> bool:
        """Whether a mutation that names the experiment, or one that requires it, was ever switched on."""
        row = await self._row(_WAS_LIVE, experiment_id)
        return row is not None and bool(row["was_live"])

    async def page(self, kind: Kind, filters: Mapping[str, object], before: int | None, limit: int) -> list[Stored]:
        """Documents that are not deleted, the last changed first, those changed earlier than `before`."""
        conditions, values = ["NOT deleted"], list[object]()
        given = {**filters, **({} if before is None else {"before": before})}
        for number, (name, value) in enumerate(given.items(), 1):
            conditions.append(_FILTERS[name].replace("?", f"${number}"))
            values.append(value)
        values.append(limit)
        query = _sql(kind, "SELECT @stored FROM @head WHERE @where ORDER BY change DESC LIMIT @limit")
        query = query.replace("@where", " AND ".join(conditions)).replace("@limit", f"${len(values)}")
        return [_stored(row) for row in await self._rows(query, *values)]

    async def latest_table(self) -> StoredTable | None:
        """The newest published table."""
        row = await self._row(
            "SELECT version, digest, key_id, sealed, mutations, actor, reason, at FROM layout_mutation.published_tables "
            "WHERE sealed IS NOT NULL ORDER BY version DESC LIMIT 1"
        )
        return None if row is None else StoredTable(**dict(row))

    async def table_version(self) -> int:
        """The version of the newest published table; cheap."""
        row = await self._row("SELECT coalesce(max(version), 0) AS version FROM layout_mutation.published_tables")
        return int(row["version"]) if row is not None else 0

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """Audit entries, newest first, with numbers below `before`."""
        rows = await self._rows(
            "SELECT number, at, actor, role, action, kind, subject, reason, version_before, version_after, table_version "
            "FROM layout_mutation.audit_entries WHERE ($1::text IS NULL OR kind = $1) "
            "AND ($2::text IS NULL OR subject = $2) AND ($3::bigint IS NULL OR number < $3) ORDER BY number DESC LIMIT $4",
            kind,
            subject,
            before,
            limit,
        )
        return [StoredAudit(**dict(row)) for row in rows]

    async def _row(self, query: str, *values: object) -> Any:
        with _store_errors():
            async with self._connect() as connection:
                return await connection.fetchrow(query, *values)

    async def _rows(self, query: str, *values: object) -> list[Any]:
        with _store_errors():
            async with self._connect() as connection:
                return await connection.fetch(query, *values)

    async def _execute(self, query: str, *values: object) -> str:
        with _store_errors():
            async with self._connect() as connection:
                return await connection.execute(query, *values)


class PostgresTransaction(PostgresReader):
    """Questions and changes within one transaction."""

    def __init__(self, connection: "Connection") -> None:
        super().__init__(lambda: nullcontext(connection))

    async def put(self, kind: Kind, document_id: str, version: StoredVersion, *, deleted: bool = False) -> None:
        """Save a version as the present one and as part of the history."""
        content = version.content.decode("utf-8")
        await self._execute(
            _sql(
                kind,
                "INSERT INTO @head (id, version, change, content, deleted) "
                "VALUES ($1, $2, nextval('layout_mutation.changes'), $3::text::json, $4) ON CONFLICT (id) DO UPDATE SET "
                "version = excluded.version, change = excluded.change, content = excluded.content, deleted = excluded.deleted",
            ),
            document_id,
            version.version,
            content,
            deleted,
        )
        await self._execute(
            _sql(
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

    async def add_audit(self, entry: StoredAudit) -> None:
        """Append to the audit."""
        await self._execute(
            "WITH counted AS (UPDATE layout_mutation.ledger SET audit_number = audit_number + 1 RETURNING audit_number) "
            "INSERT INTO layout_mutation.audit_entries (number, at, actor, role, action, kind, subject, reason, "
            "version_before, version_after, table_version) SELECT audit_number, $1::timestamptz, $2::text, $3::text, $4::text, "
            "$5::text, $6::text, $7::text, $8::bigint, $9::bigint, $10::bigint FROM counted",
            entry.at,
            entry.actor,
            entry.role,
            entry.action,
            entry.kind,
            entry.subject,
            entry.reason,
            entry.version_before,
            entry.version_after,
            entry.table_version,
        )

    async def raise_table_version(self, at_least: int) -> int:
        """Count the table version up: one more than before, or `at_least` if that is more. The new version."""
        row = await self._row(
            "UPDATE layout_mutation.ledger SET table_version = greatest(table_version + 1, $1) RETURNING table_version",
            at_least,
        )
        return int(row["table_version"])

    async def add_table(self, table: StoredTable) -> None:
        """Keep a published table."""
        await self._execute(
            "INSERT INTO layout_mutation.published_tables (version, digest, key_id, sealed, mutations, actor, reason, at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            table.version,
            table.digest,
            table.key_id,
            table.sealed,
            table.mutations,
            table.actor,
            table.reason,
            table.at,
        )

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
        await self._execute(
            "INSERT INTO layout_mutation.idempotency_keys (actor, key, fingerprint, answer, at) "
            "VALUES ($1, $2, $3, $4::text::json, now())",
            actor,
            key,
            answer.fingerprint,
            answer.answer.decode(),
        )


class PostgresStore(PostgresReader):
    """A pool of connections to one database."""

    def __init__(self, address: Address, *, connections_max: int) -> None:
        super().__init__(self._acquire)
        self._address = address
        self._connections_max = connections_max
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Connect; raises StoreError."""
        if self._pool is not None:
            return
        options = self._address.connect_options
        if self._address.pooled:
            options["reset"] = _leave_as_it_is
        with _store_errors():
            self._pool = await asyncpg.create_pool(
                **options,
                min_size=1,
                max_size=self._connections_max,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
            )

    async def close(self) -> None:
        """Let go of everything, politely for a moment."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def ping(self) -> None:
        """Raises StoreError if the store is away."""
        await self._row("SELECT 1")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Changes are saved when the block ends, and undone when it raises; one transaction at a time."""
        with _store_errors():
            async with self._acquire() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
                await connection.execute("SELECT FROM layout_mutation.ledger FOR UPDATE")
                yield PostgresTransaction(connection)

    async def use_sign_in(self, sign_in_id: str, expires_at: datetime) -> bool:
        """Remember that a one-time id was used; False if it was used before."""
        done = await self._execute(
            "INSERT INTO layout_mutation.used_sign_ins (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            sign_in_id,
            expires_at,
        )
        return done == "INSERT 0 1"

    async def forget_old(self) -> None:
        """Remove what has served its time."""
        await self._execute(
            "DELETE FROM layout_mutation.idempotency_keys WHERE at < now() - make_interval(days => $1)", KEYS_KEPT_DAYS
        )
        await self._execute("DELETE FROM layout_mutation.used_sign_ins WHERE expires_at < now() - interval '1 day'")
        await self._execute(
            "UPDATE layout_mutation.published_tables SET sealed = NULL WHERE sealed IS NOT NULL "
            "AND version <= (SELECT max(version) FROM layout_mutation.published_tables) - $1",
            TABLES_KEPT,
        )

    @asynccontextmanager
    async def _acquire(self) -> "AsyncIterator[Connection]":
        if self._pool is None:
            raise StoreError("the database is not connected yet")
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            yield connection


async def _leave_as_it_is(_: object) -> None:
    """Behind a pooler there is no session of ours to clean up."""


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turn the driver's errors into StoreError; a StoreError from further in passes."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        # The last one is how the driver may find out that the server hung up in the middle of something.
        raise StoreError(f"PostgreSQL: {error}") from error
    except (OSError, TimeoutError) as error:
        raise StoreError(f"PostgreSQL can't be reached: {str(error) or type(error).__name__}") from error


def _sql(kind: Kind, text: str) -> str:
    """A statement with the tables and columns of a kind; values never come in this way."""
    named = text.replace("@head", HEADS[kind]).replace("@versions", VERSIONS[kind])
    return named.replace("@stored", _STORED).replace("@version", _VERSION).replace("@served", _SERVED)


def _stored(row: Any) -> Stored:
    return Stored(row["id"], row["version"], row["content"].encode("utf-8"), row["deleted"], row["change"])


def _version(row: Any) -> StoredVersion:
    return StoredVersion(
        version=row["version"],
        content=row["content"].encode("utf-8"),
        action=row["action"],
        actor=row["actor"],
        reason=row["reason"],
        at=row["at"],
    )

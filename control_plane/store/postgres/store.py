"""The store in PostgreSQL: a pool of connections, and transactions one at a time.

Works through a transaction pooler: no session state, no prepared statements there, every name qualified. Documents are
`json`, not `jsonb`: they come back byte for byte, and the order of variations, whose first is the control, survives.
Counterpart: `schema/migrations` makes the tables. Never: a decision; what is asked for is done, or StoreError is raised.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import uuid_utils

from control_plane.schema.address import Address
from control_plane.store.chain import Chain
from control_plane.store.interface import AwayError, MovedError, StoreError, Transaction
from control_plane.store.postgres import carrying, statements
from control_plane.store.postgres.connections import greeting, store_errors
from control_plane.store.postgres.earlier import AS_IT_IS, Fit, fit_of
from control_plane.store.postgres.event_store import PostgresEvents
from control_plane.store.postgres.reader import PostgresReader
from control_plane.store.postgres.transaction import PostgresTransaction
from control_plane.store.records import Installation, Position, Record, StoredAudit
from control_plane.store.retention import KEYS_KEPT, MARKS_KEPT, SIGN_INS_KEPT, TABLES_KEPT

if TYPE_CHECKING:
    from control_plane.store.postgres.connections import Connection

ACQUIRE_TIMEOUT_S = 5.0  # a request waits no longer for a free connection
COMMAND_TIMEOUT_S = 30.0
LOCK_TIMEOUT_S = 20  # a writer waits no longer for the one before it
PROBE_TIMEOUT_S = 3.0  # who does not greet within this time is away


class PostgresStore(PostgresReader):
    """A pool of connections to one database."""

    def __init__(self, address: Address, *, connections_max: int, chain: Chain) -> None:
        super().__init__(self._acquire)
        self._address = address
        self._connections_max = connections_max
        self._chain = chain
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._fit: Fit = AS_IT_IS

    async def open(self) -> None:
        """Connect; raises StoreError."""
        if self._pool is not None:
            return
        options = self._options()
        if self._address.pooled:
            options["reset"] = _leave_as_it_is
        with store_errors(), greeting():
            self._pool = await asyncpg.create_pool(
                **options,
                min_size=1,
                max_size=self._connections_max,
                command_timeout=COMMAND_TIMEOUT_S,
            )

    async def fit(self) -> None:
        """Read `position` and `records` from whatever earlier schema is there; nothing else can be asked then."""
        with store_errors():
            async with self._acquire() as connection:
                self._fit = await fit_of(connection, statements.ALL)

    @property
    def events(self) -> PostgresEvents:
        """What sidecars told, in the same database."""
        return PostgresEvents(self._acquire)

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

    async def abandon(self) -> None:
        """Let go at once of connections that nobody answers on; whoever waits on one hears AwayError. `open` connects anew."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def ping(self) -> None:
        """Raises StoreError if the store is away."""
        await self._row("SELECT 1")

    async def probe(self) -> None:
        """Raises AwayError if the server does not greet a new connection, however busy the others are.

        One that says that there is no such database greets: whoever brings the schema up to date creates it.
        """
        options = self._options()
        with store_errors(), greeting():
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                try:
                    connection = await asyncpg.connect(**{**options, "timeout": PROBE_TIMEOUT_S})
                except asyncpg.InvalidCatalogNameError:
                    return
            connection.terminate()

    async def whose(self) -> str | None:
        """The installation whose history the database says it holds, whatever its schema; None where it does not say.

        Asked over a connection of its own, before anything is brought up to date. Raises StoreError.
        """
        options = self._options()
        with store_errors():
            try:
                connection = await asyncpg.connect(**options)
            except asyncpg.InvalidCatalogNameError:
                return None
            try:
                found: str | None = await connection.fetchval(statements.WHOSE, timeout=COMMAND_TIMEOUT_S)
            except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError):
                return None
            finally:
                connection.terminate()
        return found

    @asynccontextmanager
    async def transaction(self, changeset: str | None = None) -> AsyncIterator[Transaction]:
        """Changes are saved when the block ends, and undone when it raises; one transaction at a time.

        `changeset`: the UUID of a transaction that was made elsewhere and is repeated here.
        """
        with store_errors():
            async with self._alone() as connection:
                yield await self._begun(connection, changeset)

    async def entries_of(self, changeset: str) -> list[StoredAudit]:
        """The audit entries of a changeset, in order; none where it never happened here."""
        query = "SELECT @audit FROM layout_mutation.audit_entries WHERE changeset = $1::text::uuid ORDER BY number"
        return [statements.audit(row) for row in await self._rows(statements.sql(None, query), changeset)]

    async def newest_change(self) -> int:
        """Number of the newest change that is there; 0 for none. Unlike the position's, it knows nothing of what was undone."""
        return int((await self._row(statements.NEWEST_CHANGE))["change"])

    async def found(self, installation: Installation) -> Installation:
        """Write down whose data this is where nobody has yet; whose it is now."""
        present = await self.position()  # a start beside a standby has nothing to write
        if present.installation is not None:
            return present.installation
        with store_errors():
            async with self._alone() as connection:
                present = await self._present(connection)
                if present.installation is not None:
                    return present.installation
                await carrying.name(connection, installation)
                return installation

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All that the store holds, or what came after a position, as of one moment."""
        with store_errors():
            async with (
                self._acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                async for record in carrying.everything(connection, since, self._fit):
                    yield record

    async def load(
        self, records: AsyncIterable[Record], installation: Installation | None = None, *, onto: Position | None = None
    ) -> int:
        """Write records as they are, all or nothing; how many. Raises MovedError unless the store is at `onto`, where given."""
        with store_errors():
            async with self._alone() as connection:
                if onto is not None:
                    await self._check_position(connection, onto)
                return await _load(connection, records, installation)

    async def replace(self, records: AsyncIterable[Record], installation: Installation | None = None) -> int:
        """As `load`, but of what was there before nothing stays, save events; all in one transaction. Takes the tables' owner."""
        with store_errors():
            async with self._alone() as connection:
                await carrying.clear(connection)
                return await _load(connection, records, installation)

    async def position(self) -> Position:
        """Whose data this is, and how far it has come."""
        with store_errors():
            async with self._acquire() as connection:
                return await self._present(connection)

    async def identify(self) -> list[tuple[str, str]]:
        """Fill in the identity of mutations that have none; ids of live ones that are equal to another, and the other's."""
        with store_errors():
            async with self._alone() as connection:
                await carrying.identify(connection)
                return [(row["id"], row["other"]) for row in await connection.fetch(statements.COPIES)]

    async def use_sign_in(self, sign_in_id: str, expires_at: datetime) -> bool:
        """Remember that a one-time id was used; False if it was used before."""
        with store_errors():
            async with self._alone() as connection:
                done = await connection.execute(
                    "INSERT INTO layout_mutation.used_sign_ins (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                    sign_in_id,
                    expires_at,
                )
        return done == "INSERT 0 1"

    async def forget_old(self) -> None:
        """Remove what has served its time."""
        await self._execute("DELETE FROM layout_mutation.idempotency_keys WHERE at < now() - $1::interval", KEYS_KEPT)
        await self._execute(
            "DELETE FROM layout_mutation.used_sign_ins WHERE expires_at < now() - $1::interval", SIGN_INS_KEPT
        )
        for name in statements.SHELVES.values():
            await self._execute(f"DELETE FROM {name} WHERE deleted AND at < now() - $1::interval", MARKS_KEPT)  # noqa: S608 - names of ours
        await self._execute(
            "UPDATE layout_mutation.published_tables SET sealed = NULL WHERE sealed IS NOT NULL "
            "AND version <= (SELECT max(version) FROM layout_mutation.published_tables) - $1",
            TABLES_KEPT,
        )

    def _options(self) -> dict[str, Any]:
        try:
            return self._address.connect_options
        except ValueError as error:
            raise StoreError(str(error)) from error

    async def _begun(self, connection: "Connection", changeset: str | None) -> PostgresTransaction:
        position = await self._present(connection)
        return PostgresTransaction(connection, position, changeset or str(uuid_utils.uuid7()), self._chain)

    async def _check_position(self, connection: "Connection", expected: Position) -> None:
        present = await self._present(connection)
        newest = await connection.fetchval(statements.NEWEST_CHANGE)
        # Numbers of changes that were undone are lost to the sequence, so it may be ahead of what is there.
        if newest > expected.change or msgspec.structs.replace(present, change=expected.change) != expected:
            raise MovedError("PostgreSQL: somebody else has written meanwhile")

    async def _present(self, connection: "Connection") -> Position:
        row = await connection.fetchrow(self._fit(statements.POSITION))
        if row is None:
            raise StoreError("PostgreSQL: layout_mutation.ledger has lost its row")
        return statements.position(row)

    @asynccontextmanager
    async def _alone(self) -> "AsyncIterator[Connection]":
        """A transaction that no other writer is in."""
        try:
            async with self._acquire() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
                await connection.execute("SELECT FROM layout_mutation.ledger FOR UPDATE")
                yield connection
        except asyncpg.ReadOnlySQLTransactionError:
            # This was a primary when we connected, or is to be one: the next question asks for the way anew.
            if self._pool is not None:
                await self._pool.expire_connections()
            raise

    @asynccontextmanager
    async def _acquire(self) -> "AsyncIterator[Connection]":
        if self._pool is None:
            raise AwayError("the database is not connected")
        async with AsyncExitStack() as stack:
            with greeting():
                connection = await stack.enter_async_context(self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S))
            yield connection


async def _load(connection: "Connection", records: AsyncIterable[Record], installation: Installation | None) -> int:
    count, batch = 0, list[Record]()
    async for record in records:
        batch.append(record)
        count += 1
        if len(batch) >= carrying.BATCH:
            await carrying.load(connection, batch)
            batch.clear()
    await carrying.load(connection, batch)
    await carrying.settle(connection)
    if installation is not None:
        await carrying.name(connection, installation)
    return count


async def _leave_as_it_is(_: object) -> None:
    """Behind a pooler there is no session of ours to clean up."""

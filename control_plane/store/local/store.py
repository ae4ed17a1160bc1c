"""The store in one SQLite file: one connection writes, several read beside it, each in a thread of its own.

SQLite's write-ahead log lets readers see the moment before a change while it is made. A commit is on the disk before it
is answered. Another process may use the file too; writers wait for each other. The file has to be on a disk of this
machine: the log does not work over a network. Counterpart: `migrations/` has its schema, `control_plane.store.postgres` is
the same for many instances. Never: a decision; what is asked for is done, or StoreError is raised.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import uuid_utils

from control_plane.store.chain import Chain
from control_plane.store.interface import StoreError
from control_plane.store.local import carrying, migrating, outbox, salvage, statements
from control_plane.store.local.connections import WAIT_S, Connection, create_file, store_errors
from control_plane.store.local.outbox import Provisional
from control_plane.store.local.reader import LocalReader, Run
from control_plane.store.local.salvage import Salvaged
from control_plane.store.local.transaction import LocalTransaction, next_change
from control_plane.store.records import Installation, Position, Record, SignInRecord
from control_plane.store.retention import KEYS_KEPT, MARKS_KEPT, SIGN_INS_KEPT, TABLES_KEPT

T = TypeVar("T")

READERS = 4


class LocalStore(LocalReader):
    """One file. Raises Damaged, a StoreError, where it is not sound."""

    def __init__(self, path: Path, *, chain: Chain, wait_s: float = WAIT_S) -> None:
        """`wait_s`: how long a writer waits for another one, in this process or in another."""
        super().__init__(self._read)
        self._path = path
        self._chain = chain
        self._wait_s = wait_s
        self._writer: Connection | None = None
        self._readers: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        self._opened: list[Connection] = []
        self._writing = asyncio.Lock()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

    async def open(self) -> None:
        """Create the file where missing, check it, bring its schema up to date; raises StoreError, SchemaError."""
        if self._writer is not None:
            return
        try:
            with store_errors(self._path):
                await asyncio.to_thread(create_file, self._path)
                writer = await self._connected(writes=True)
                await writer.run(lambda connection: migrating.check(connection, self._path))
                await writer.run(lambda connection: migrating.migrate(connection, self._path))
                for _ in range(READERS):
                    self._readers.put_nowait(await self._connected(writes=False))
        except BaseException:
            await self.close()
            raise
        self._writer = writer

    async def close(self) -> None:
        """Let go of everything, after what is being done."""
        opened, self._opened, self._writer = self._opened, [], None
        self._readers = asyncio.LifoQueue()
        for connection in reversed(opened):  # the writer last: it brings the log into the file
            await connection.close()

    async def ping(self) -> None:
        """Raises StoreError if the store is away."""
        await self._rows("SELECT change FROM ledger")

    @asynccontextmanager
    async def transaction(self, *, provisional: bool = False) -> AsyncIterator[LocalTransaction]:
        """Changes are saved when the block ends, and undone when it raises; one transaction at a time.

        `provisional`: what was written also waits in the outbox from then on, as part of the same transaction.
        """
        async with self._alone() as writer:
            begun = await self._begun(writer)
            yield begun
            if provisional and begun.written:
                await writer.run(lambda connection: outbox.add(connection, begun.changeset, begun.base, begun.written))

    async def found(self, installation: Installation) -> Installation:
        """Write down whose data this is where nobody has yet; whose it is now."""
        async with self._alone() as writer:
            present = (await self._position(writer)).installation
            if present is None:
                await writer.run(lambda connection: carrying.name(connection, installation))
        return present or installation

    async def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All that the store holds, or what came after a position, as of one moment."""
        if self._writer is None:
            raise self._closed()
        with store_errors(self._path):
            reader = Connection(self._path, writes=False)
            try:
                await reader.open()
                await reader.run(lambda connection: connection.execute("BEGIN"))
                records = await reader.run(lambda connection: carrying.everything(connection, since))
                while batch := await reader.run(lambda _: list(islice(records, carrying.BATCH))):
                    for record in batch:
                        yield record
            finally:
                await reader.close()

    async def load(self, records: AsyncIterable[Record], installation: Installation | None = None) -> int:
        """Write records as they are, all or nothing; how many."""
        async with self._alone() as writer:
            return await self._load(writer, records, installation)

    async def replace(self, records: AsyncIterable[Record], installation: Installation) -> int:
        """As `load`, but of what was there before nothing stays, except the outbox. For mirrors: what a primary says goes."""
        async with self._alone() as writer:
            await writer.run(carrying.clear)
            return await self._load(writer, records, installation)

    async def outbox(self) -> list[Provisional]:
        """What was written provisionally and is not settled, in order."""
        return await self._read(outbox.waiting)

    async def salvage(self, damaged: Path, beside: Sequence[Provisional] = ()) -> Salvaged:
        """Let what can be read of another file's outbox wait in this one's, with what a copy has of it `beside`, in the order in
        which it was written; raises StoreError."""
        found = await asyncio.to_thread(salvage.read, damaged, self._chain)
        known = {one.changeset: one for one in (*beside, *found.changesets)}
        waiting = sorted(known.values(), key=lambda one: (one.base.change, one.base.audit_number))

        def work(connection: sqlite3.Connection) -> None:
            for one in waiting:
                outbox.put(connection, one)

        async with self._alone() as writer:
            await writer.run(work)
        return Salvaged(tuple(waiting), found.lost)

    async def settled(self, *changesets: str) -> None:
        """Take changesets out of the outbox, all by one write: the other store has them, or keeps them as conflicts. Harmless again."""
        if changesets:
            async with self._alone() as writer:
                await writer.run(lambda connection: outbox.remove(connection, changesets))

    async def identify(self) -> list[tuple[str, str]]:
        """Fill in the identity of mutations that have none; ids of live ones that are equal to another, and the other's."""

        def work(connection: sqlite3.Connection) -> list[tuple[str, str]]:
            carrying.identify(connection)
            return [(row["id"], row["other"]) for row in connection.execute(statements.COPIES)]

        async with self._alone() as writer:
            return await writer.run(work)

    async def use_sign_in(self, sign_in_id: str, expires_at: datetime, *, provisional: bool = False) -> bool:
        """Remember that a one-time id was used; False if it was used before. `provisional`: as in `transaction`."""
        async with self._alone() as writer:
            begun = await self._begun(writer)

            def work(connection: sqlite3.Connection) -> bool:
                if connection.execute("SELECT 1 FROM used_sign_ins WHERE id = ?", (sign_in_id,)).fetchall():
                    return False
                change = next_change(connection)
                connection.execute(statements.ADD_SIGN_IN, (sign_in_id, statements.instant(expires_at), change))
                if provisional:
                    record = SignInRecord(id=sign_in_id, expires_at=expires_at, change=change)
                    outbox.add(connection, begun.changeset, begun.base, [record])
                return True

            return await writer.run(work)

    async def is_older(self, than: datetime) -> bool:
        """Whether it has things on shelves, and none of them was put there since; a service renews some every few minutes."""
        newest = (await self._rows("SELECT max(at) AS at FROM shelves"))[0]["at"]
        return newest is not None and newest < statements.instant(than)

    async def forget_old(self) -> None:
        """Remove what has served its time."""
        now = datetime.now(UTC)

        def work(connection: sqlite3.Connection) -> None:
            keys, sign_ins = statements.instant(now - KEYS_KEPT), statements.instant(now - SIGN_INS_KEPT)
            connection.execute("DELETE FROM idempotency_keys WHERE at < ?", (keys,))
            connection.execute("DELETE FROM used_sign_ins WHERE expires_at < ?", (sign_ins,))
            connection.execute("DELETE FROM shelves WHERE deleted AND at < ?", (statements.instant(now - MARKS_KEPT),))
            connection.execute(
                "UPDATE published_tables SET sealed = NULL WHERE sealed IS NOT NULL "
                "AND version <= (SELECT max(version) FROM published_tables) - ?",
                (TABLES_KEPT,),
            )

        async with self._alone() as writer:
            await writer.run(work)

    async def _load(self, writer: Connection, records: AsyncIterable[Record], installation: Installation | None) -> int:
        count, batch = 0, list[Record]()
        async for record in records:
            batch.append(record)
            count += 1
            if len(batch) >= carrying.BATCH:
                full, batch = batch, []
                await writer.run(_loading(full))
        await writer.run(_loading(batch))
        await writer.run(carrying.settle)
        if installation is not None:
            await writer.run(lambda connection: carrying.name(connection, installation))
        return count

    async def _begun(self, writer: Connection) -> LocalTransaction:
        position = await self._position(writer)
        return LocalTransaction(self._erring(writer), position, str(uuid_utils.uuid7()), self._chain)

    async def _position(self, writer: Connection) -> Position:
        row = await writer.run(lambda connection: connection.execute(statements.POSITION).fetchone())
        if row is None:
            raise StoreError(f"{self._path}: the ledger has lost its row")
        return statements.position(row)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Connection]:
        """A transaction that no other writer is in; it is over when the block is."""
        with store_errors(self._path):
            async with self._turn():
                writer = self._writer
                if writer is None:
                    raise self._closed()
                try:
                    await writer.run(lambda connection: connection.execute("BEGIN IMMEDIATE"))
                    yield writer
                    await writer.run(lambda connection: connection.execute("COMMIT"))
                finally:
                    await writer.run(_undo)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._writing.acquire()
        except TimeoutError:
            raise StoreError(f"{self._path}: the change before this one takes more than {self._wait_s:.0f} s") from None
        try:
            yield
        finally:
            self._writing.release()

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A question over a connection that nobody uses, or that is free next."""
        if self._writer is None:
            raise self._closed()
        readers = self._readers
        with store_errors(self._path):
            reader = await readers.get()
            try:
                return await reader.run(work)
            finally:
                readers.put_nowait(reader)

    async def _connected(self, *, writes: bool) -> Connection:
        connection = Connection(self._path, writes=writes, wait_s=self._wait_s)
        self._opened.append(connection)
        await connection.open()
        return connection

    def _closed(self) -> StoreError:
        return StoreError(f"{self._path} is not open")

    def _erring(self, writer: Connection) -> Run:
        """Work in the writer's thread, with errors that are the store's own already inside the transaction."""

        async def run(work: Callable[[sqlite3.Connection], T]) -> T:
            with store_errors(self._path):
                return await writer.run(work)

        return run


def _loading(batch: list[Record]) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: carrying.load(connection, batch)


def _undo(connection: sqlite3.Connection) -> None:
    """Undo what was not committed."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")

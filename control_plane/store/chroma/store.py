"""The store for who wants everything in ChromaDB: a SQLite file that has the say, and ChromaDB behind it.

ChromaDB has neither transactions nor constraints nor an order. So order, history, audit and constraints are kept in SQLite,
which commits first; then the documents go to ChromaDB, where they are searched. What ChromaDB could not take is written
again after the next change, or at the next start. Counterpart: `control_plane.store.local` is the file. Never: an answer
out of ChromaDB that the file does not confirm.
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from control_plane.store.chain import Chain
from control_plane.store.chroma.index import Index
from control_plane.store.interface import StoreError
from control_plane.store.local import LocalStore
from control_plane.store.local.transaction import LocalTransaction
from control_plane.store.records import DocumentRecord, Installation, Record

log = structlog.get_logger("chroma")


class ChromaStore(LocalStore):
    """A file, and a folder beside it."""

    def __init__(self, path: Path, *, chain: Chain) -> None:
        """`path`: of the file."""
        super().__init__(path, chain=chain)
        self.index = Index(path.with_name(f"{path.name}.chroma"))

    async def open(self) -> None:
        """Open both, and bring ChromaDB to where the file is; raises StoreError, SchemaError."""
        await super().open()
        try:
            await self.index.open()
            await self.index.follow(self)
            await self.index.fill_up(self)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of both."""
        await self.index.close()
        await super().close()

    @asynccontextmanager
    async def transaction(self, *, provisional: bool = False) -> AsyncIterator[LocalTransaction]:
        """Changes are saved when the block ends, and undone when it raises; then ChromaDB hears of them."""
        async with super().transaction(provisional=provisional) as transaction:
            yield transaction
        if any(isinstance(record, DocumentRecord) for record in transaction.written):
            await self._tell()

    async def load(self, records: AsyncIterable[Record], installation: Installation | None = None) -> int:
        """Write records as they are, all or nothing; then ChromaDB hears of them."""
        count = await super().load(records, installation)
        await self._tell()
        return count

    async def _tell(self) -> None:
        """The change stands by now, whatever ChromaDB says: it is told again next time."""
        try:
            await self.index.follow(self)
        except StoreError as error:
            log.warning("chroma_not_written", problem=str(error))

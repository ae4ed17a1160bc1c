"""Questions that either of two stores answers, and the blocks in which callers work with one.

Counterpart: `control_plane.store.mirrored` says which store. Never: a change.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from control_plane.store.interface import Store, StoreError
from control_plane.store.records import Kept, Kind, Position, Shelf, Stored, StoredAudit, StoredTable, StoredVersion

T = TypeVar("T")


class EitherReader:
    """Each question goes through `_read`."""

    async def _read(self, question: Callable[[Store], Awaitable[T]]) -> T:
        raise NotImplementedError

    async def find(self, kind: Kind, document_id: str) -> Stored | None:
        """The present version, deleted ones included."""
        return await self._read(lambda store: store.find(kind, document_id))

    async def versions(self, kind: Kind, document_id: str) -> list[StoredVersion]:
        """The history, newest first."""
        return await self._read(lambda store: store.versions(kind, document_id))

    async def version(self, kind: Kind, document_id: str, version: int) -> StoredVersion | None:
        """One version of the history."""
        return await self._read(lambda store: store.version(kind, document_id, version))

    async def everything(self, kind: Kind) -> list[Stored]:
        """All documents of a kind that are not deleted, by id."""
        return await self._read(lambda store: store.everything(kind))

    async def ids(self, kind: Kind) -> list[str]:
        """Ids of the documents that are not deleted, in their order."""
        return await self._read(lambda store: store.ids(kind))

    async def names(self, kind: Kind, limit: int) -> list[tuple[str, str]]:
        """Id and name of the documents that are not deleted, the last changed first."""
        return await self._read(lambda store: store.names(kind, limit))

    async def same_mutation(self, identity: str, other_than: str) -> Stored | None:
        """The live mutation with that identity and another id."""
        return await self._read(lambda store: store.same_mutation(identity, other_than))

    async def containing(self, text: str, after: str, limit: int) -> list[Stored]:
        """Live mutations whose JSON has the text in it, by id."""
        return await self._read(lambda store: store.containing(text, after, limit))

    async def deleted(self, kind: Kind, before: int | None, limit: int) -> list[Stored]:
        """Documents that are deleted, the last changed first."""
        return await self._read(lambda store: store.deleted(kind, before, limit))

    async def served(self) -> list[Stored]:
        """The mutations that are switched on, by id."""
        return await self._read(lambda store: store.served())

    async def was_live(self, experiment_id: str) -> bool:
        """Whether a mutation that names the experiment, or one that requires it, was ever switched on."""
        return await self._read(lambda store: store.was_live(experiment_id))

    async def page(self, kind: Kind, filters: Mapping[str, object], before: int | None, limit: int) -> list[Stored]:
        """Documents that are not deleted, the last changed first, those changed earlier than `before`."""
        return await self._read(lambda store: store.page(kind, filters, before, limit))

    async def latest_table(self) -> StoredTable | None:
        """The newest published table."""
        return await self._read(lambda store: store.latest_table())

    async def table_version(self) -> int:
        """The version of the newest published table; cheap."""
        return await self._read(lambda store: store.table_version())

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """Audit entries, newest first, with numbers below `before`."""
        return await self._read(lambda store: store.audit_page(kind, subject, before, limit))

    async def kept(self, shelf: Shelf, thing_id: str) -> Kept | None:
        """One thing of a shelf."""
        return await self._read(lambda store: store.kept(shelf, thing_id))

    async def shelf(self, shelf: Shelf) -> list[Kept]:
        """All things of a shelf, the last changed first."""
        return await self._read(lambda store: store.shelf(shelf))

    async def position(self) -> Position:
        """Whose data this is, and how far it has come."""
        return await self._read(lambda store: store.position())


class Block:
    """A block within a transaction. Its own errors stay what they are: a store takes a TimeoutError for one of its own."""

    def __init__(self) -> None:
        self.ended = False
        self._error: BaseException | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Around the block alone."""
        try:
            yield
        except BaseException as error:
            self._error = error
            raise
        self.ended = True

    @contextmanager
    def around(self) -> Iterator[None]:
        """Around block and store."""
        try:
            yield
        except StoreError:
            if self._error is not None and not isinstance(self._error, StoreError):
                raise self._error from None
            raise

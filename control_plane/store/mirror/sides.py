"""The two stores that a mirrored one stands on, as it needs them.

Counterpart: `control_plane.store.postgres` and `control_plane.store.local` are what is handed in. Never: a store.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from control_plane.store.events import EventStore
from control_plane.store.interface import Reader, Store, Transaction
from control_plane.store.local import LocalStore
from control_plane.store.records import Installation, Kind, Position, Record, StoredAudit

Approve = Callable[[Transaction, Kind, str, bytes, bool], Awaitable[str]]
"""What is wrong with a document (kind, id, content, whether it is deleted) among those of a transaction; empty if nothing."""
Sources = tuple[Callable[[], Awaitable["Source | None"]], ...]
"""Where to restore from when mirror and database are both gone, in the order in which they are asked.

Each gives None where it has nothing. The first that has something wins: its records are loaded into the empty database.
"""

Mirror = LocalStore
"""The store beside the service."""


async def nothing_wrong(*_: object) -> str:
    """What is approved of where nobody asks."""
    return ""


class Source(Protocol):
    """Something that everything can be restored from."""

    @property
    def name(self) -> str:
        """What people call it, for example `backup of 2030-01-01`."""

    @property
    def installation(self) -> Installation:
        """Whose data it is."""

    def records(self) -> AsyncIterable[Record]:
        """All of it; raises StoreError where it can't be read."""


class Primary(Store, Protocol):
    """The system of record."""

    @property
    def events(self) -> EventStore:
        """What sidecars told; in no mirror."""

    async def abandon(self) -> None:
        """Let go at once of connections that nobody answers on."""

    async def probe(self) -> None:
        """Raises AwayError if the server does not greet a new connection."""

    async def whose(self) -> str | None:
        """Id of the installation whose history it says it holds, whatever its schema; None where it does not say."""

    def transaction(self, changeset: str | None = None) -> AbstractAsyncContextManager[Transaction]:
        """As every store's; `changeset`: of a transaction that was made elsewhere and is repeated here."""

    async def entries_of(self, changeset: str) -> list[StoredAudit]:
        """The audit entries of a changeset, in order."""

    async def newest_change(self) -> int:
        """Number of the newest change that is there; 0 for none."""

    async def load(
        self, records: AsyncIterable[Record], installation: Installation | None = None, *, onto: Position | None = None
    ) -> int:
        """As every store's; raises MovedError unless the store is at `onto`, where given."""


async def entry(reader: Reader, number: int) -> StoredAudit | None:
    """The audit entry with a number."""
    found = await reader.audit_page(None, None, number + 1, 1)
    return found[0] if found and found[0].number == number else None

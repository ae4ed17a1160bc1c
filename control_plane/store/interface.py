"""What a store is, so that another one can take PostgreSQL's place.

A store knows documents as JSON bytes with a version, not what they mean; services decode them. All that a store holds
can be read as records and written from them (`records.py`): that is how a store is mirrored, backed up and moved.
Counterpart: `postgres/` has all of PostgreSQL's SQL. Never: a rule about who may do what.
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from control_plane.store.records import (
    Installation,
    Kept,
    Kind,
    Position,
    Record,
    Shelf,
    Stored,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
)


class StoreError(Exception):
    """The store can't be used right now, and nothing was saved. The message says why, without secrets."""


class AwayError(StoreError):
    """The store can't be reached, or it has lost what it is made of: another one may answer in its place."""


class OutcomeUnknownError(StoreError):
    """The store went away while it saved: whether it did is not known before it is back."""


class ReadOnlyError(StoreError):
    """Only reading is possible right now. The message says why, and who may write."""


class MovedError(StoreError):
    """The store is no longer where it was expected to be; nothing was saved."""


class Reader(Protocol):
    """What can be asked; every method raises StoreError when the store is away."""

    async def find(self, kind: Kind, document_id: str) -> Stored | None:
        """The present version, deleted ones included."""

    async def versions(self, kind: Kind, document_id: str) -> list[StoredVersion]:
        """The history, newest first."""

    async def version(self, kind: Kind, document_id: str, version: int) -> StoredVersion | None:
        """One version of the history."""

    async def everything(self, kind: Kind) -> list[Stored]:
        """All documents of a kind that are not deleted, by id."""

    async def ids(self, kind: Kind) -> list[str]:
        """Ids of the documents that are not deleted, in their order."""

    async def names(self, kind: Kind, limit: int) -> list[tuple[str, str]]:
        """Id and name of the documents that are not deleted, the last changed first, without their contents."""

    async def same_mutation(self, identity: str, other_than: str) -> Stored | None:
        """The live mutation (neither deleted nor archived) with that identity and another id; the first by id, if old copies are there.

        Stores work the identity out of what they are given (`identity.identity_in`) and keep it beside the present version.
        """

    async def containing(self, text: str, after: str, limit: int) -> list[Stored]:
        """Live mutations whose JSON has the text in it, by id, those whose ids come after `after`."""

    async def deleted(self, kind: Kind, before: int | None, limit: int) -> list[Stored]:
        """Documents that are deleted, the last changed first, those changed earlier than `before`."""

    async def served(self) -> list[Stored]:
        """The mutations that are switched on, by id."""

    async def was_live(self, experiment_id: str) -> bool:
        """Whether a mutation that names the experiment, or one that requires it, was ever switched on."""

    async def page(self, kind: Kind, filters: Mapping[str, object], before: int | None, limit: int) -> list[Stored]:
        """Documents that are not deleted, the last changed first, those changed earlier than `before`."""

    async def latest_table(self) -> StoredTable | None:
        """The newest published table."""

    async def table_version(self) -> int:
        """The version of the newest published table; cheap."""

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """Audit entries, newest first, with numbers below `before`."""

    async def kept(self, shelf: Shelf, thing_id: str) -> Kept | None:
        """One thing of a shelf, None where there is none or it was discarded."""

    async def shelf(self, shelf: Shelf) -> list[Kept]:
        """All things of a shelf that were not discarded, the last changed first."""

    async def position(self) -> Position:
        """Whose data this is, and how far it has come."""


class Transaction(Reader, Protocol):
    """Changes that happen together or not at all, one transaction at a time."""

    @property
    def changeset(self) -> str:
        """A UUID of the transaction; its audit entries carry it."""

    @property
    def written(self) -> Sequence[Record]:
        """What was written so far, with the numbers that the store gave."""

    async def put(self, kind: Kind, document_id: str, version: StoredVersion, *, deleted: bool = False) -> None:
        """Save a version as the present one and as part of the history."""

    async def add_audit(self, entry: StoredAudit) -> StoredAudit:
        """Append to the audit; the entry with its number and its place in the chain."""

    async def raise_table_version(self, at_least: int) -> int:
        """Count the table version up: one more than before, or `at_least` if that is more. The new version."""

    async def add_table(self, table: StoredTable) -> None:
        """Keep a published table."""

    async def answer(self, actor: str, key: str) -> StoredAnswer | None:
        """What came of an earlier request with this key."""

    async def remember(self, actor: str, key: str, answer: StoredAnswer) -> None:
        """Keep what came of a request."""

    async def keep(self, shelf: Shelf, thing_id: str, content: bytes, at: datetime) -> None:
        """Put a thing, a JSON object, on a shelf, in place of the one with its id."""

    async def discard(self, shelf: Shelf, thing_id: str, at: datetime) -> None:
        """Take a thing off a shelf; nothing happens where there is none."""


class Store(Reader, Protocol):
    """The store as a whole."""

    async def open(self) -> None:
        """Connect; raises StoreError."""

    async def close(self) -> None:
        """Let go of everything."""

    async def ping(self) -> None:
        """Raises StoreError if the store is away."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Changes are saved when the block ends, and undone when it raises."""

    async def found(self, installation: Installation) -> Installation:
        """Write down whose data this is where nobody has yet; whose it is now."""

    def records(self, since: Position | None = None) -> AsyncIterator[Record]:
        """All that the store holds, or what came after a position of the same installation, as of one moment.

        Documents come with all their versions, oldest first; what others refer to comes before them.
        """

    async def load(self, records: AsyncIterable[Record], installation: Installation | None = None) -> int:
        """Write records as they are, all or nothing; how many. What is there already stays, so a repetition is harmless.

        A document's present version, a thing of a shelf and a counter are replaced by newer ones only. `installation`
        says whose data it is from now on; None leaves that as it is.
        """

    async def identify(self) -> list[tuple[str, str]]:
        """Fill in the identity of mutations that have none, from before there were any. Ids of live ones that are equal to
        another, and the other's; they are marked, and otherwise left as they are."""

    async def use_sign_in(self, sign_in_id: str, expires_at: datetime) -> bool:
        """Remember that a one-time id was used; False if it was used before."""

    async def forget_old(self) -> None:
        """Remove what has served its time: old idempotency keys, expired sign-in ids, bytes of old tables."""

"""What a store is, so that another one can take PostgreSQL's place.

A store knows documents as JSON bytes with a version, not what they mean; services decode them. Counterpart:
`postgres.py` has all the SQL. Never: a rule about who may do what.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class StoreError(Exception):
    """The store can't be used right now, and nothing was saved. The message says why, without secrets."""


class Kind(StrEnum):
    """The kinds of documents."""

    MUTATION = "mutation"
    EXPERIMENT = "experiment"
    MODULE = "module"
    SEGMENT = "segment"
    ATTRIBUTE = "attribute"
    SAVED_GROUP = "saved_group"
    TOGGLE = "toggle"

    @property
    def noun(self) -> str:
        """What people call one of them."""
        return self.value.replace("_", " ")


class Stored(Struct, frozen=True):
    """The present version of a document. `change` orders the changes of all documents."""

    id: str
    version: int
    content: bytes
    deleted: bool = False
    change: int = 0


class StoredVersion(Struct, frozen=True, kw_only=True):
    """One version in a document's history."""

    version: int
    content: bytes
    action: str
    actor: str
    reason: str
    at: datetime


class StoredTable(Struct, frozen=True, kw_only=True):
    """A published decision table."""

    version: int
    digest: str
    key_id: str
    sealed: bytes
    mutations: int
    actor: str
    reason: str
    at: datetime


class StoredAudit(Struct, frozen=True, kw_only=True):
    """One audit entry; `number` is given by the store."""

    number: int = 0
    at: datetime
    actor: str
    role: str
    action: str
    kind: str
    subject: str
    reason: str = ""
    version_before: int | None = None
    version_after: int | None = None
    table_version: int | None = None


class StoredAnswer(Struct, frozen=True):
    """What came of a request with an idempotency key."""

    fingerprint: str
    answer: bytes


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


class Transaction(Reader, Protocol):
    """Changes that happen together or not at all, one transaction at a time."""

    async def put(self, kind: Kind, document_id: str, version: StoredVersion, *, deleted: bool = False) -> None:
        """Save a version as the present one and as part of the history."""

    async def add_audit(self, entry: StoredAudit) -> None:
        """Append to the audit."""

    async def raise_table_version(self, at_least: int) -> int:
        """Count the table version up: one more than before, or `at_least` if that is more. The new version."""

    async def add_table(self, table: StoredTable) -> None:
        """Keep a published table."""

    async def answer(self, actor: str, key: str) -> StoredAnswer | None:
        """What came of an earlier request with this key."""

    async def remember(self, actor: str, key: str, answer: StoredAnswer) -> None:
        """Keep what came of a request."""


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

    async def use_sign_in(self, sign_in_id: str, expires_at: datetime) -> bool:
        """Remember that a one-time id was used; False if it was used before."""

    async def forget_old(self) -> None:
        """Remove what has served its time: old idempotency keys, expired sign-in ids, bytes of old tables."""

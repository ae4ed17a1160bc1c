"""Who wants a change, why, and seen from which version; and what came of it.

Every write of every service takes an `Intent` and gives a `Saved`, so that audit, conflict check, idempotency and
publishing are the same everywhere. Never: behaviour.
"""

from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from control_plane.tokens import Actor

Document = TypeVar("Document")


class Action(StrEnum):
    """What a change was; the word in histories and in the audit."""

    CREATED = "created"
    UPDATED = "updated"
    ACTIVATED = "activated"
    DEACTIVATED = "deactivated"
    ARCHIVED = "archived"
    ROLLED_BACK = "rolled_back"
    DELETED = "deleted"
    RESTORED = "restored"
    UNDONE = "undone"
    IMPORTED = "imported"
    PUBLISHED = "published"
    ACKNOWLEDGED = "acknowledged"
    RESTORED_BACKUP = "restored_backup"
    CONFLICT_KEPT = "conflict_kept"
    CONFLICT_SETTLED = "conflict_settled"
    DATABASE_RESTORED = "database_restored"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    HEALED = "healed"
    """The database's schema was repaired."""


class Intent(Struct, frozen=True, kw_only=True):
    """The circumstances of one change."""

    actor: Actor
    reason: str = ""
    origin: str = "system"
    """From where it comes (`control_plane.origin`)."""
    expected_version: int | None = None
    """The version that the author saw; None takes whatever is there."""
    idempotency_key: str | None = None
    fingerprint: str = ""
    """Digest of what was asked; tells a repeated request from another one with the same key."""


class Publication(Struct, frozen=True, rename="camel"):
    """Whether visitors get the present active set."""

    published: bool
    """The table with the present active set is in Redis."""
    table_version: int
    """0 before the first table."""
    reason: str = ""
    """Empty: published by this change. Otherwise `unchanged`, or what is in the way; it is then retried."""


class Saved(Struct, Generic[Document], frozen=True):
    """What a write gives back."""

    document: Document
    version: int
    publication: Publication
    replayed: bool = False
    """Answered from the idempotency key; nothing was done now."""
    existing: bool = False
    """An equal one was there already, and this is it; nothing was saved."""
    second_opinion: str = ""
    """What came of trying the change on a sample page before it was saved; empty where there was nothing to try."""
    caching: str = ""
    """What the change costs the site's shared caches; empty for nothing."""


class Version(Struct, Generic[Document], frozen=True, rename="camel"):
    """One entry of a document's history."""

    document: Document
    version: int
    action: Action
    actor: str
    reason: str
    at: datetime


class Page(Struct, Generic[Document], frozen=True, rename="camel"):
    """A part of a list. `next_cursor` asks for the part after it; None at the end."""

    items: tuple[Document, ...]
    next_cursor: str | None = None

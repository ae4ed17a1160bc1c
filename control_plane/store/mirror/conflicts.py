"""A change made while the database was away that met another one: both sides, kept until a person has settled it.

Counterpart: `replay.py` finds them, `control_plane.conflicts` lists and settles them. Never: a side that is thrown away.
"""

from datetime import datetime

import msgspec
from msgspec import Struct

from control_plane.alerts import Alerts, Severity
from control_plane.store.records import DocumentRecord, Kind, Record, StoredVersion

CONFLICTS = "conflicts_open"


class Side(Struct, frozen=True, kw_only=True, rename="camel"):
    """A document as one side has it."""

    version: int
    content: msgspec.Raw
    deleted: bool
    action: str
    actor: str
    reason: str
    at: datetime


class ConflictDocument(Struct, frozen=True, kw_only=True, rename="camel"):
    """One document of the change."""

    kind: Kind
    id: str
    ours: Side
    """As it was written while the database was away."""
    theirs: Side | None
    """As the database has it; null where it has none."""


class Met(ConflictDocument, frozen=True, kw_only=True, rename="camel"):
    """The same, with what became of it since."""

    present: Side | None
    """As it stands now; null where it does not."""


class Conflict(Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole change. None of it is in force; what the database has is."""

    id: str
    """The changeset: a UUID."""
    at: datetime
    """When the change was made."""
    found_at: datetime
    actor: str
    reason: str
    problem: str
    """What is in the way, in words for people."""
    documents: tuple[ConflictDocument, ...]
    records: tuple[Record, ...]
    """All that the change wrote, as it wrote it."""


def side(version: StoredVersion, *, deleted: bool) -> Side:
    """A side out of a version."""
    return Side(
        version=version.version,
        content=msgspec.Raw(version.content),
        deleted=deleted,
        action=version.action,
        actor=version.actor,
        reason=version.reason,
        at=version.at,
    )


def ours(record: DocumentRecord) -> Side:
    """Our side of a document."""
    return side(record.version, deleted=record.deleted)


def tell(alerts: Alerts, count: int) -> None:
    """Let people know that so many are open; 0: none is any more."""
    if not count:
        alerts.settle(CONFLICTS)
        return
    alerts.report(
        CONFLICTS,
        Severity.WARNING,
        "Changes made while the database was away met others.",
        "Neither side is lost, and what the database has is in force. Settle each on the admin page Conflicts, or by "
        "POST /api/layout-mutation/conflicts/{id}: `ours` takes the change that was made meanwhile, `theirs` keeps what stands.",
        "1 waits for a person" if count == 1 else f"{count} wait for a person",
    )

"""How one store stands to another: empty, behind, the same, ahead, parted from it, or somebody else's.

Two stores of one installation are told apart by the audit's chain: the head of the one that is behind lies in the other's
chain. Counterpart: `moves.py` acts on it. Never: a change.
"""

from enum import StrEnum
from typing import Protocol

from control_plane.store import Position, StoredAudit


class Comparable(Protocol):
    """What a store, or a file of one, says of its history."""

    async def position(self) -> Position:
        """Whose data this is, and how far it has come."""

    async def audit_page(
        self, kind: str | None, subject: str | None, before: int | None, limit: int
    ) -> list[StoredAudit]:
        """Audit entries, newest first, with numbers below `before`."""


class Standing(StrEnum):
    """How a target stands to a source."""

    EMPTY = "empty"
    """Nobody has written there."""
    BEHIND = "behind"
    """It is the same history, and lacks a part of it."""
    SAME = "same"
    """It has come as far."""
    AHEAD = "ahead"
    """It has all that the source has, and more."""
    PARTED = "parted"
    """It is the same installation, and another history since some point."""
    FOREIGN = "foreign"
    """It is another installation's."""


async def standing(source: Comparable, target: Comparable) -> Standing:
    """How `target` stands to `source`; raises StoreError."""
    from_, to = await source.position(), await target.position()
    if is_empty(to):
        return Standing.EMPTY
    if from_.installation is None or to.installation is None or from_.installation.id != to.installation.id:
        return Standing.FOREIGN
    if from_.audit_number == to.audit_number:
        if from_.audit_hash != to.audit_hash:
            return Standing.PARTED
        # What has no audit entry, such as an alert, still counts as a change.
        if from_.change == to.change:
            return Standing.SAME
        return Standing.BEHIND if to.change < from_.change else Standing.AHEAD
    if to.audit_number < from_.audit_number:
        return Standing.BEHIND if await _knows(source, to) else Standing.PARTED
    return Standing.AHEAD if await _knows(target, from_) else Standing.PARTED


def is_empty(position: Position) -> bool:
    """Whether nobody has written yet."""
    return position.installation is None and position.audit_number == 0 and position.table_version == 0


async def _knows(reader: Comparable, other: Position) -> bool:
    """Whether the other store's newest audit entry is one of this one's."""
    if other.audit_number == 0:
        return True
    found = await reader.audit_page(None, None, other.audit_number + 1, 1)
    return bool(found) and found[0].number == other.audit_number and (found[0].hash or b"") == other.audit_hash

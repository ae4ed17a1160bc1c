"""Whose data a database holds, seen from what the mirror knows, and so what may be done with it.

Two histories are compared by their audit: the same entry at the head means the same history; a head that lies in the
other's chain is behind; otherwise they have parted. Counterpart: `recovery.py` finds the facts and does what is judged.
Never: I/O, or a doubt that ends in a change: what is not understood is left as it is.
"""

from enum import StrEnum

from msgspec import Struct

from control_plane.store.records import Position, StoredAudit


class Verdict(StrEnum):
    """What a database is to this mirror."""

    FOUND = "found"
    """Nobody has written anywhere yet."""
    ADOPT = "adopt"
    """The mirror knows nothing: it takes what the database has, and whose it is."""
    FOLLOW = "follow"
    """The database has all that the mirror has, and perhaps more."""
    REPLAY = "replay"
    """The database is where the outbox begins: what waits in it fits as it is."""
    REBASE = "rebase"
    """The database has gone on since the outbox began."""
    RESTORE = "restore"
    """The database is empty."""
    ADVANCE = "advance"
    """The database was set back: its history is the beginning of the mirror's."""
    PARTED = "parted"
    """Both have something that the other one has not."""
    FOREIGN = "foreign"
    """Somebody else's data."""

    @property
    def goes_on(self) -> bool:
        """Whether the database, once that was done, has the mirror's history and goes on from it."""
        return self in (Verdict.FOLLOW, Verdict.REPLAY, Verdict.REBASE, Verdict.ADVANCE)


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of the two."""

    theirs: Position
    """Where the database is."""
    newest: int
    """Number of the newest change that is in the database; its position also counts those that were undone."""
    ours: Position
    """Where the mirror is."""
    base: Position
    """Where the mirror was before its outbox; `ours` where that is empty."""
    waiting: bool
    """Whether there is something in the outbox."""
    theirs_in_base: bool
    """The database's newest audit entry is in the mirror, and from before the outbox."""
    base_in_theirs: bool
    """The mirror's newest audit entry from before the outbox is in the database."""


def judge(facts: Facts) -> Verdict:
    """What the database is to the mirror."""
    theirs, ours, base = facts.theirs, facts.ours, facts.base
    empty = theirs.audit_number == 0 and facts.newest == 0
    if ours.installation is None:
        # What waits was salvaged from a damaged file; it says whose it is.
        if (
            base.installation is not None
            and theirs.installation is not None
            and theirs.installation.id != base.installation.id
        ):
            return Verdict.FOREIGN
        return Verdict.FOUND if empty and theirs.installation is None else Verdict.ADOPT
    if empty and (base.audit_number or base.change or facts.waiting):
        return Verdict.RESTORE
    if empty:
        return Verdict.FOLLOW if theirs.installation == ours.installation else Verdict.ADOPT
    if theirs.installation is not None and theirs.installation.id != ours.installation.id:
        return Verdict.FOREIGN
    if theirs.installation is None and not facts.theirs_in_base:
        return Verdict.FOREIGN
    if theirs.audit_number == base.audit_number and facts.theirs_in_base:
        behind = theirs.change < base.change or theirs.table_version < base.table_version
        if behind or theirs.installation is None:
            return Verdict.ADVANCE
        level = facts.newest <= base.change and theirs.table_version == base.table_version
        return Verdict.FOLLOW if not facts.waiting else Verdict.REPLAY if level else Verdict.REBASE
    if facts.base_in_theirs:
        return Verdict.REBASE if facts.waiting else Verdict.FOLLOW
    return Verdict.ADVANCE if facts.theirs_in_base else Verdict.PARTED


def same_entry(one: StoredAudit, other: StoredAudit) -> bool:
    """Whether two stores have the same audit entry; those from before the chain are compared by what they say."""
    if one.hash is not None and other.hash is not None:
        return one.hash == other.hash
    return one == other

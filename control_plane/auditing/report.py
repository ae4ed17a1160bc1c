"""What a look at the audit found, and what it is compared with.

Counterpart: `following.py` and `contents.py` find faults. Never: a value of a document.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

FAULTS_KEPT = 100
"""Faults that are named; all are counted."""


class What(StrEnum):
    """What is wrong with an entry, or with what it sealed."""

    CHANGED = "changed"
    """The entry is not what was sealed."""
    MISSING = "missing"
    """The entry is gone, and later ones are there."""
    REORDERED = "reordered"
    """The entry was sealed under another number."""
    INSERTED = "inserted"
    """The entry has a number that another one has, or none."""
    UNLINKED = "unlinked"
    """The entry is sealed after another entry than the one before it."""
    UNSEALED = "unsealed"
    """The entry has no seal, though the chain had begun."""
    TRUNCATED = "truncated"
    """The audit ends before an entry that is known elsewhere."""
    REWRITTEN = "rewritten"
    """Another entry is known elsewhere under this number."""
    BEFORE_CHAIN = "before_chain"
    """Entries from before the chain are not those that its first entry sealed."""
    UNKNOWN_KEY = "unknown_key"
    """The entry is sealed with a key that is not in the settings: nothing can be said of it."""
    CONTENT = "content"
    """A version has another content than its entry sealed."""
    HEAD = "head"
    """A document's present content is not that of its present version."""
    NO_ENTRY = "no_entry"
    """A version has no entry."""
    NO_VERSION = "no_version"
    """An entry's version is gone."""


class Fault(Struct, frozen=True):
    """One thing that is wrong. `number`: of the audit entry; null where there is none."""

    what: What
    number: int | None
    detail: str


class Anchor(Struct, frozen=True):
    """An entry that something outside the store knows: the head of the audit as of some moment."""

    where: str
    """What knows it, for people: `the mirror`, `the backup NAME`."""
    number: int
    hash: bytes
    """Its hash, or the first bytes of it; empty where the chain had not begun."""
    at: datetime | None = None
    """When that was; None where nobody knows. One from before a restore that the audit tells of may differ."""


class Known(Struct, frozen=True):
    """What is known outside the store of its audit."""

    anchors: tuple[Anchor, ...] = ()
    away: tuple[str, ...] = ()
    """What has anchors and could not be asked, with the reason."""


class Restore(Struct, frozen=True):
    """A sealed entry which says that the history was set back to an earlier state, on purpose or by the service itself."""

    number: int
    at: datetime


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Up to where the audit was found sound."""

    installation: str
    number: int
    hash: bytes
    change: int
    """Number of the newest change of that moment."""
    at: datetime
    whole_at: datetime
    """When everything was looked at last, and not only what is new."""
    chained_since: int
    restores: tuple[Restore, ...] = ()
    """All until then, so that what they explain needs no look at everything."""


class AuditReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was looked at, and what was found."""

    sound: bool
    """Nothing is wrong, as far as the keys reach."""
    entries: int
    versions: int
    chained_since: int | None
    """Number of the first entry that has a seal; null where the chain has not begun."""
    given_up: int = 0
    """Entries whose key was given up as lost."""
    contents_unsealed: int = 0
    """Versions from before the chain, whose content no entry sealed."""
    since: int = 0
    """Number of the entry after which it was looked at, as all before was sound a while ago; 0 where all was looked at."""
    anchors: int = 0
    """Heads of the audit, known outside the store, that it was compared with."""
    anchors_superseded: int = 0
    """Those of them that differ because of a restore, of which the audit tells."""
    anchors_away: tuple[str, ...] = ()
    """What has anchors and could not be asked."""
    faults: tuple[Fault, ...] = ()
    """The first ones that were found."""
    faults_total: int = 0


class Faults:
    """What was found so far; the first are kept, all are counted."""

    def __init__(self) -> None:
        self.kept: list[Fault] = []
        self.total = 0

    def add(self, what: What, number: int | None, detail: str) -> None:
        """One more."""
        self.total += 1
        if len(self.kept) < FAULTS_KEPT:
            self.kept.append(Fault(what, number, detail))

"""What an audit entry says was done, as words for people and a link to what it was done to.

Counterpart: `control_plane.audit` has the entries; the pages of the history show this. Pure. Never: why, or by whom; the entry says that itself.
"""

from msgspec import Struct

from control_plane.admin import addresses
from control_plane.audit import KINDS, AuditEntry
from control_plane.intent import Action
from control_plane.store import Kind

WORDS = {
    Action.SIGNED_IN: "signed in",
    Action.SIGNED_OUT: "signed out",
    Action.PUBLISHED: "published table",
    Action.ROLLED_BACK: "rolled back the",
    Action.UNDONE: "took back what was done to the",
    Action.RESTORED_BACKUP: "restored the backup",
    Action.CONFLICT_KEPT: "kept a change that met another one as conflict",
    Action.CONFLICT_SETTLED: "settled the conflict",
    Action.DATABASE_RESTORED: "brought the database up to date, of installation",
    Action.HEALED: "repaired the schema:",
}
"""Where the action and the kind alone would not read well."""


class Deed(Struct, frozen=True):
    """What was done, and to what."""

    words: str
    subject: str
    """Empty where it says nothing to people."""
    address: str
    """Of the page of what it was done to; empty where there is none."""


def deed_of(entry: AuditEntry) -> Deed:
    """An entry's deed; actions of a newer program are said by their own name."""
    action = entry.action.replace("_", " ")
    words = WORDS[Action(entry.action)] if entry.action in set(WORDS) else f"{action} the"
    if words.endswith(" the"):
        words = f"{words} {entry.kind.replace('_', ' ')}"
    return Deed(words, "" if entry.kind == "session" else entry.subject, address_of(entry.kind, entry.subject))


def address_of(kind: str, subject: str) -> str:
    """The page of what it was done to."""
    if kind == Kind.MUTATION:
        return addresses.mutation(subject)
    return {Kind.TOGGLE.value: addresses.TOGGLES, "setting": addresses.SETTINGS, "alert": addresses.ALERTS}.get(
        kind, ""
    )


def is_document(entry: AuditEntry) -> bool:
    """Whether it was done to a document, which has versions."""
    return entry.kind in KINDS

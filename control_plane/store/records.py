"""What a store is made of, as records: the one form in which data is mirrored, backed up, exported and moved.

Counterpart: `interface.py` reads and writes them. Never: I/O.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


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


class Shelf(StrEnum):
    """Tables of small things beside the rules, each a JSON object with an id. They have no history."""

    ALERT = "alert"
    BACKUP = "backup"
    CONFLICT = "conflict"
    PEER = "peer"
    QUARANTINE = "quarantine"
    """Rows of the database that fitted nowhere any more, with the reason."""
    SCHEDULE = "schedule"
    SETTING = "setting"
    SUGGESTION = "suggestion"


MADE_AGAIN = "tables-made-again"
"""Id of what `Shelf.QUARANTINE` has once tables were lost and made again: everybody with a copy of their rows gives what it has then."""


class Installation(Struct, frozen=True):
    """Whose data a store holds."""

    id: str
    """A UUID, made once; it moves with the data."""
    epoch: int
    """Grows by one whenever the data is put into another database."""
    created_at: datetime


class Position(Struct, frozen=True):
    """How far a store has come. Equal positions of one installation mean equal contents."""

    installation: Installation | None
    """None where nobody has written yet."""
    change: int
    audit_number: int
    audit_hash: bytes
    """Hash of the newest audit entry; empty where the chain has not begun."""
    table_version: int


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
    """The signed bytes; empty once the table is too old to be needed."""
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
    origin: str = ""
    """From where: the way it came in, and the network it came from."""
    digest: str | None = None
    """SHA-256, hexadecimal, of the document's content after it; None for what is no document."""
    changeset: str | None = None
    """UUID of the transaction, given by the store; None before there were any."""
    key_id: str | None = None
    """Which key made `hash`; this and the hashes are given by the store. None where the chain has not begun."""
    previous_hash: bytes | None = None
    hash: bytes | None = None


class StoredAnswer(Struct, frozen=True):
    """What came of a request with an idempotency key."""

    fingerprint: str
    answer: bytes


class Kept(Struct, frozen=True):
    """A thing on a shelf. `change` orders the changes of all things and documents."""

    id: str
    content: bytes
    change: int
    at: datetime


class DocumentRecord(Struct, frozen=True, kw_only=True, tag="document", tag_field="record"):
    """One version of a document, and whether it is the present one."""

    kind: Kind
    id: str
    version: StoredVersion
    change: int | None = None
    """Number of the change that made it the present version; None for earlier versions."""
    deleted: bool = False


class AuditRecord(Struct, frozen=True, tag="audit", tag_field="record"):
    """One audit entry."""

    entry: StoredAudit


class TableRecord(Struct, frozen=True, tag="table", tag_field="record"):
    """One published table."""

    table: StoredTable


class CounterRecord(Struct, frozen=True, tag="counter", tag_field="record"):
    """The version of the newest table, also of one that was not kept."""

    table_version: int


class AnswerRecord(Struct, frozen=True, kw_only=True, tag="answer", tag_field="record"):
    """What came of a request with an idempotency key."""

    actor: str
    key: str
    answer: StoredAnswer
    at: datetime
    change: int


class SignInRecord(Struct, frozen=True, kw_only=True, tag="sign_in", tag_field="record"):
    """A one-time id that was used."""

    id: str
    expires_at: datetime
    change: int


class KeptRecord(Struct, frozen=True, kw_only=True, tag="kept", tag_field="record"):
    """A thing on a shelf; one that was discarded goes on saying so."""

    shelf: Shelf
    id: str
    content: bytes
    change: int
    at: datetime
    deleted: bool = False


Record = DocumentRecord | AuditRecord | TableRecord | CounterRecord | AnswerRecord | SignInRecord | KeptRecord
"""JSON and MessagePack tell them apart by the member `record`."""

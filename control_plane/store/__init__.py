"""Where the control plane keeps things: an interface, and PostgreSQL behind it.

Counterpart: services ask through `interface.py`; `records.py` says what a store is made of; `postgres/` has the SQL.
Never: a rule about who may do what.
"""

from control_plane.store.chain import Chain
from control_plane.store.interface import (
    AwayError,
    MovedError,
    OutcomeUnknownError,
    Reader,
    ReadOnlyError,
    Store,
    StoreError,
    Transaction,
)
from control_plane.store.records import (
    AnswerRecord,
    AuditRecord,
    CounterRecord,
    DocumentRecord,
    Installation,
    Kept,
    KeptRecord,
    Kind,
    Position,
    Record,
    Shelf,
    SignInRecord,
    Stored,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    TableRecord,
)

__all__ = [
    "AnswerRecord",
    "AuditRecord",
    "AwayError",
    "Chain",
    "CounterRecord",
    "DocumentRecord",
    "Installation",
    "Kept",
    "KeptRecord",
    "Kind",
    "MovedError",
    "OutcomeUnknownError",
    "Position",
    "ReadOnlyError",
    "Reader",
    "Record",
    "Shelf",
    "SignInRecord",
    "Store",
    "StoreError",
    "Stored",
    "StoredAnswer",
    "StoredAudit",
    "StoredTable",
    "StoredVersion",
    "TableRecord",
    "Transaction",
]

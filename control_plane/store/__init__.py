"""Where the control plane keeps things: an interface, and PostgreSQL behind it.

Counterpart: services ask through `interface.py`; `postgres.py` has all the SQL. Never: a rule about who may do what.
"""

from control_plane.store.interface import (
    Kind,
    Reader,
    Store,
    Stored,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    StoreError,
    Transaction,
)

__all__ = [
    "Kind",
    "Reader",
    "Store",
    "StoreError",
    "Stored",
    "StoredAnswer",
    "StoredAudit",
    "StoredTable",
    "StoredVersion",
    "Transaction",
]

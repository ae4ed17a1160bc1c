"""The store in one SQLite file, and all of its SQL: a small installation's only store, or a mirror of a large one's.

Counterpart: `store.py` is what the rest of the service sees. Never: SQL anywhere else.
"""

from control_plane.store.local.connections import Damaged
from control_plane.store.local.outbox import Provisional
from control_plane.store.local.salvage import Salvaged
from control_plane.store.local.store import LocalStore
from control_plane.store.local.transaction import LocalTransaction

__all__ = ["Damaged", "LocalStore", "LocalTransaction", "Provisional", "Salvaged"]

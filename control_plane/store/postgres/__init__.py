"""The store in PostgreSQL, and all of its SQL.

Counterpart: `store.py` is what the rest of the service sees. Never: SQL anywhere else.
"""

from control_plane.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]

"""What a store needs to go on without its database: whose data is there, what is replayed, what becomes a conflict.

Counterpart: `control_plane.store.mirrored` is the store that services see. Never: SQL.
"""

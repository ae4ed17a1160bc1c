"""The decision table: followed in Redis, verified, kept on disk.

Counterparts: `rules.table` has the format, `control_plane.publishing` the other end. Never: a table that was not verified.
"""

"""The system of record: mutations are written, versioned, signed and published here.

Counterpart: `sidecar` carries what is published; the two meet in Redis and nowhere else. A page load never waits for
anything in this package. Never: a decision or a rewrite of its own; preview and `/apply` run `rules`.
"""

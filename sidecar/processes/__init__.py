"""The processes of a sidecar: a supervisor, its workers, the channel between them, the internal listener.

Counterpart: `sidecar.app` is what a worker runs. Never: a page.
"""

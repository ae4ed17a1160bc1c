"""The pure core: what a mutation is, which ones apply to a visit, and how they change a page.

Counterpart: `sidecar` carries what is decided here, `control_plane` publishes it; preview, `/apply` and the command line
run the same code. Never: I/O, a clock, randomness or logging; they arrive as arguments.
"""

"""What HTTP asks of a rewriting proxy, decided from heads alone: pure functions of what came in.

Counterparts: `sidecar.proxy` asks them, `sidecar.origin` and `sidecar.visitor` are the two ends of the wire.
Never: I/O, a clock, or a body but for its coding.
"""

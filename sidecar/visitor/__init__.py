"""The end of the wire where the visitor is: connections, and responses as they leave.

Counterparts: `sidecar.origin` is the other end, `sidecar.proxy` stands between. Never: a decision.
"""

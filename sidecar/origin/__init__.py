"""The end of the wire where the site is: connections, requests, heads and bodies of responses.

Counterparts: `sidecar.visitor` is the other end, `sidecar.proxy` stands between. Never: a byte respelled.
"""

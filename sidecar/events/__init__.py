"""What is told of visits and by pages: made, bounded, batched, spooled, sent.

Counterparts: `service.events` has the schema, `sidecar.proxy` calls. Never: a visitor who waits for it.
"""

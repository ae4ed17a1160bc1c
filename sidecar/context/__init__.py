"""A request as rules see it: who asks, from where, with what.

Counterparts: `rules.context` has the registry of attributes; `sidecar.question` asks for a context, `sidecar.remembering` adds
what a browser keeps. Never: I/O or a clock.
"""

"""Traces of requests, for those who installed the extra `otel`; loaded only where SIDECAR_TRACES_ENDPOINT is set.

Counterparts: `exchange.Trace`, which is all that the rest knows of it, and `app`, which loads it.
"""

"""One request as a trace: a server span, a client span for the origin, and spans for deciding and rewriting.

W3C Trace Context: `traceparent` and `tracestate` are taken from a request only where SIDECAR_TRACES_TRUST says so, and the
origin gets those of the client span, sampled or not. Attributes are of OpenTelemetry's HTTP conventions, and
`layout_mutation.*`.
Counterparts: `exchange` says what is asked of a trace, `delivery` sends spans, `proxy` says when.
Never: a query, an address of a visitor, a cookie or another field of the request; a failure that reaches the request.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from rules.reasons import Reason
from sidecar.exchange import Exchange
from sidecar.heads.headers import Field
from sidecar.trace_settings import TraceSettings

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""What may stand in a span's name; a visitor can make up any other word."""
TEXT_CHARACTERS_MAX = 1024
LEFT = "visitor_left"
"""What became of a request whose visitor did not wait for the answer."""
CRASHED = "crashed"
"""A request that ended in a bug of ours, outside the fail-open seam: the visitor got 500."""

_FAILED = frozenset({Reason.DECIDE_FAILED.value, Reason.REWRITE_FAILED.value})
_LIMITS = {"max_events": 0, "max_links": 0, "max_attributes": 32, "max_span_attributes": 32}
_LIMITS |= {"max_event_attributes": 0, "max_link_attributes": 0}
_LIMITS |= {"max_attribute_length": TEXT_CHARACTERS_MAX, "max_span_attribute_length": TEXT_CHARACTERS_MAX}

_log = structlog.get_logger("sidecar.tracing")

Self = TypeVar("Self")
Given = ParamSpec("Given")
Step = Callable[Concatenate[Self, Given], None]


def _harmless(step: Step[Self, Given]) -> Step[Self, Given]:
    """A step of a trace that fails is skipped: the visitor's request goes on without it."""

    @wraps(step)
    def guarded(self: Self, /, *given: Given.args, **named: Given.kwargs) -> None:
        try:
            step(self, *given, **named)
        except Exception:  # noqa: BLE001 - law 1: no bug in a trace may cost a visitor the page
            _complain()

    return guarded


_complained_at = [float("-inf")]
COMPLAINT_S = 60.0


def _complain() -> None:
    """Say that a trace failed, now and then: each request would say the same."""
    now = time.monotonic()
    if now - _complained_at[0] >= COMPLAINT_S:
        _complained_at[0] = now
        _log.exception("trace_failed")


class SpanTracing:
    """Begins traces of one worker. `processor` gets each span that has ended."""

    def __init__(self, settings: TraceSettings, processor: SpanProcessor) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it repeats what visitors send
        self._trusts = settings.traces_trust
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.traces_share)),
            resource=Resource(
                {
                    "service.name": settings.traces_service,
                    "service.instance.id": f"{socket.gethostname()}/{os.getpid()}",
                    "telemetry.sdk.name": "opentelemetry",
                    "telemetry.sdk.language": "python",
                }
            ),
            span_limits=SpanLimits(**_LIMITS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("layout_mutation")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, exchange: Exchange) -> "SpanTrace | None":
        """The trace of a request whose head has come; None where it fails."""
        try:
            return self._begun(exchange)
        except Exception:  # noqa: BLE001 - law 1, as above
            _complain()
            return None

    def _begun(self, exchange: Exchange) -> "SpanTrace":
        given = exchange.request.headers
        context = Context()
        if self._trusts and len(parents := given.getall("traceparent", [])) == 1:
            carrier = {"traceparent": parents, "tracestate": given.getall("tracestate", [])}
            context = self._propagator.extract(carrier, context)
        method = exchange.request.method if exchange.request.method in METHODS else "_OTHER"
        attributes: Attributes = {
            "http.request.method": method,
            "url.path": exchange.path,
            "server.address": exchange.authority,
        }
        name = method if method != "_OTHER" else "HTTP"
        span = self._tracer.start_span(name, context=context, kind=SpanKind.SERVER, attributes=attributes)
        return SpanTrace(self, span)

    def child(self, parent: Span, name: str, kind: SpanKind, attributes: Attributes, start_ns: int | None) -> Span:
        """A span below `parent`; `start_ns` None: it begins now."""
        above = set_span_in_context(parent, Context())
        return self._tracer.start_span(name, context=above, kind=kind, attributes=attributes, start_time=start_ns)

    def fields(self, span: Span) -> list[Field]:
        """`traceparent` and `tracestate` of a span, as the origin gets them."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span, Context()))
        return [(name.encode(), value.encode()) for name, value in carrier.items()]


class SpanTrace:
    """The trace of one request; all of it is over when the response has left."""

    __slots__ = ("_asking", "_over", "_server", "_tracing")

    def __init__(self, tracing: SpanTracing, server: Span) -> None:
        self._tracing = tracing
        self._server = server
        self._asking: Span | None = None
        self._over = False

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits where the trace is told; empty where it is not."""
        context = self._server.get_span_context()
        return f"{context.trace_id:032x}" if context.trace_flags.sampled else ""

    def asks(self) -> list[Field]:
        """The origin is asked: the fields that go with the request; none where that fails."""
        try:
            return self._asked()
        except Exception:  # noqa: BLE001 - law 1, as above
            _complain()
            return []

    def _asked(self) -> list[Field]:
        if not self._server.is_recording():
            return self._tracing.fields(self._server)
        self._asking = self._tracing.child(self._server, "origin", SpanKind.CLIENT, None, None)
        return self._tracing.fields(self._asking)

    @_harmless
    def answered(self, status: int) -> None:
        """The head of the origin's response has come."""
        if self._asking is not None:
            self._asking.set_attribute("http.response.status_code", status)
            if status >= 500:
                self._asking.set_status(Status(StatusCode.ERROR))
            self._asking.end()
            self._asking = None

    @_harmless
    def responded(self, exchange: Exchange, reason: str, status: int) -> None:
        """The response has left, or all of it that will."""
        self._end(exchange, reason, status)

    @_harmless
    def left(self, exchange: Exchange) -> None:
        """Nothing more comes of this request; what has responded is over already."""
        crashed = isinstance(sys.exc_info()[1], Exception) and not isinstance(sys.exc_info()[1], ConnectionError)
        self._end(exchange, CRASHED if crashed else LEFT, 500 if crashed else None)

    def _end(self, exchange: Exchange, reason: str, status: int | None) -> None:
        if self._over:
            return
        self._over = True
        if self._server.is_recording():
            self._tell(exchange, reason, status)
        self._server.end()

    def _tell(self, exchange: Exchange, reason: str, status: int | None) -> None:
        if self._asking is not None:  # the origin never answered
            self._asking.set_attribute("error.type", reason)
            self._asking.set_status(Status(StatusCode.ERROR))
            self._asking.end()
        applied = sum(outcome is Reason.APPLIED for outcome in exchange.explanation.values())
        said: dict[str, str | int | float] = {"layout_mutation.reason": reason}
        if exchange.table is not None:
            said["layout_mutation.table_version"] = exchange.table.version
        if exchange.decision is not None:
            said["layout_mutation.mutations"] = applied
        self._server.set_attributes(said)
        if status is not None:
            self._server.set_attribute("http.response.status_code", status)
        if status is not None and status >= 500:
            self._server.set_attribute("error.type", reason)
            self._server.set_status(Status(StatusCode.ERROR))
        self._lasted("decide", exchange.decide_began, exchange.decide_s, said)
        self._lasted("rewrite", exchange.rewrite_began, exchange.rewrite_s, said)

    def _lasted(self, name: str, began: float, took_s: float, said: dict[str, str | int | float]) -> None:
        """A span for what is over: `began` by time.perf_counter, 0 if it never did."""
        if not began:
            return
        start_ns = time.time_ns() - round((time.perf_counter() - began) * 1e9)
        attributes = {**said, "layout_mutation.ms": round(took_s * 1000, 3)}
        span = self._tracing.child(self._server, name, SpanKind.INTERNAL, attributes, start_ns)
        if said["layout_mutation.reason"] == f"{name}_failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end(start_ns + round(took_s * 1e9))

"""A collector: takes OTLP over HTTP on a port of its own, and decodes what comes.

Counterpart: `sidecar.tracing.delivery` sends. Never: anything of ours to encode or decode with; the messages are
OpenTelemetry's published ones.
"""

import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.sidecar.waiting import until


@dataclass
class Told:
    """One span as it came."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    error: bool
    start_ns: int
    end_ns: int
    state: str

    @property
    def ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


@dataclass
class Collector:
    """What a collector has been sent. `statuses` are the next answers; then 200."""

    port: int = 0
    scheme: str = "http"
    spans: list[Told] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    fields: list[dict[str, str]] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1/traces"

    async def several(self, count: int) -> list[Told]:
        """The spans, once there are so many."""
        await until(lambda: len(self.spans) >= count)
        return self.spans

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked += 1
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            assert request.headers["Content-Type"] == "application/x-protobuf"
            self.fields.append(dict(request.headers))
            # aiohttp's server has undone the content coding already, where there was one
            raw = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
            self.bodies.append(raw)
            self._keep(ExportTraceServiceRequest.FromString(raw))
        return web.Response(status=status)

    def _keep(self, message: ExportTraceServiceRequest) -> None:
        for of_resource in message.resource_spans:
            self.resources.append(_read(of_resource.resource.attributes))
            for scope in of_resource.scope_spans:
                self.spans.extend(_told(span) for span in scope.spans)


def _told(span: Span) -> Told:
    return Told(
        name=span.name,
        kind=Span.SpanKind.Name(span.kind),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes=_read(span.attributes),
        error=span.status.code == Status.STATUS_CODE_ERROR,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        state=span.trace_state,
    )


def _read(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@asynccontextmanager
async def collecting(*statuses: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Collector]:
    """A collector that runs until the block ends."""
    collector = Collector(statuses=list(statuses), scheme="https" if tls else "http")
    application = web.Application()
    application.add_routes([web.post("/v1/traces", collector.take)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    collector.port = runner.addresses[0][1]
    try:
        yield collector
    finally:
        await runner.cleanup()

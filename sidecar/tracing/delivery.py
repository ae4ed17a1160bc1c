"""Spans on their way to the collector: a bounded queue, and one task that sends what is in it.

OTLP over HTTP, protobuf (OpenTelemetry protocol 1.x): encoded in a thread, sent by the worker's own HTTP client. While the
collector is away the queue fills; then new spans are dropped and counted.
Counterpart: `spans` makes them. Never: a wait for whoever ends a span, a line in the log for each failure, a proxy, a
redirect or a password that an environment variable or a file names.
"""

import asyncio
import gzip
import random
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum

import aiohttp
import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from sidecar.trace_settings import TraceSettings

QUEUE_SPANS_MAX = 4096
"""Some 4 KB each at most."""
BATCH_SPANS_MAX = 512
EVERY_S = 2.0
"""A span waits at most this long for others."""
TIMEOUT_S = 10.0
BACK_OFF_S_MAX = 30.0
CLOSE_S_MAX = 2.0
"""How long the end of a worker waits for its last spans."""
AGAIN = frozenset({429, 502, 503, 504})
"""Answers after which the same batch may be sent again (OTLP specification, Retryable Response Codes)."""

_log = structlog.get_logger("sidecar.tracing")


class Outcome(StrEnum):
    """What became of a span: the metric's label."""

    SENT = "sent"
    FULL = "full"
    """The queue was full: the collector is away, or slower than the spans come."""
    REFUSED = "refused"
    """The collector will not have it, or the worker stopped first."""


class Delivery(SpanProcessor):
    """Takes ended spans of one worker and sends them. `count` hears what became of how many."""

    def __init__(self, settings: TraceSettings, count: Callable[[str, int], None], *, every_s: float = EVERY_S) -> None:
        self._settings = settings
        self._count = count
        self._every_s = every_s
        self._waiting: deque[ReadableSpan] = deque()
        self._ready = asyncio.Event()
        self._failures = 0
        self._sending: asyncio.Task[None] | None = None
        self._closing = False

    def on_end(self, span: ReadableSpan) -> None:
        """Keep a span, if there is room. Called on the event loop."""
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        if len(self._waiting) >= QUEUE_SPANS_MAX:
            self._count(Outcome.FULL, 1)
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH_SPANS_MAX:
            self._ready.set()

    def start(self) -> None:
        """Send in the background."""
        self._sending = asyncio.create_task(self._for_ever())

    async def close(self) -> None:
        """Send what is left, within a bound."""
        self._closing = True
        self._ready.set()
        if self._sending is not None:
            _, late = await asyncio.wait((self._sending,), timeout=CLOSE_S_MAX)
            for task in late:
                task.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        if self._waiting:
            self._count(Outcome.REFUSED, len(self._waiting))
            self._waiting.clear()

    async def _for_ever(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._settings.traces_tls(), limit=1)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=self._settings.traces_fields,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            while not (self._closing and (not self._waiting or self._failures)):
                await self._pause()
                try:
                    await self._send(session)
                except Exception:  # noqa: BLE001 - a loop that a bug can end would stop all traces unseen
                    self._count(Outcome.REFUSED, len(self._waiting))
                    self._waiting.clear()
                    _log.exception("traces_failed")

    async def _pause(self) -> None:
        """Until a batch is full or old enough; after failures longer and longer, whatever is waiting."""
        if self._closing:
            return
        seconds = self._every_s
        if self._failures:
            seconds = min(BACK_OFF_S_MAX, self._every_s * 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        elif len(self._waiting) >= BATCH_SPANS_MAX:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
                self._ready.clear()
                while self._failures and not self._closing:  # a full batch is no reason to ask a collector that is away
                    await self._ready.wait()
                    self._ready.clear()
        except TimeoutError:
            return

    async def _send(self, session: aiohttp.ClientSession) -> None:
        """Send one batch, if there is one; it leaves the queue when it is settled what became of it."""
        batch = [self._waiting[at] for at in range(min(BATCH_SPANS_MAX, len(self._waiting)))]
        if not batch:
            return
        body = await asyncio.to_thread(_encoded, batch)
        fields = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        try:
            async with session.post(
                self._settings.traces_endpoint, data=body, headers=fields, allow_redirects=False
            ) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._failed(f"{type(error).__name__}: {error}"[:200])
            return
        if status in AGAIN:
            self._failed(f"status {status}")
            return
        for _ in batch:
            self._waiting.popleft()
        self._count(Outcome.SENT if 200 <= status < 300 else Outcome.REFUSED, len(batch))
        if 200 <= status < 300:
            self._recovered()
        else:
            self._failed(f"status {status}")

    def _failed(self, error: str) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("traces_wait", error=error, meanwhile="spans are kept within a bound; pages are as ever")

    def _recovered(self) -> None:
        if self._failures:
            _log.info("traces_flow", after_failures=self._failures)
        self._failures = 0


def _encoded(batch: Sequence[ReadableSpan]) -> bytes:
    """The body of one export request."""
    return gzip.compress(encode_spans(batch).SerializeToString(), compresslevel=1)

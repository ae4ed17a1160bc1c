"""Visitors' connections: aiohttp's, with manners of our own.

A request that is not HTTP gets a plain 400 that says nothing about the server and repeats nothing of what was sent. A body
that stops being HTTP half-way fails at once, instead of being waited for until the visitor leaves. A head may be so long,
and take so long, and no longer. Where a balancer announces its visitors, the announcement is read first.
Counterparts: `proxy`, which sees only requests whose head is valid; `arrivals`, which takes connections; `endings`. Never: leniency;
two readings of one request are how requests are smuggled.
"""

import asyncio
from collections.abc import Awaitable, Callable
from heapq import nlargest
from operator import itemgetter
from typing import Any, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo
from msgspec import Struct

from sidecar.telemetry import Telemetry
from sidecar.visitor import proxy_protocol
from sidecar.visitor.endings import Considerate, speaks
from sidecar.visitor.relay import Written

FIELD_BYTES_MAX = 64 * 1024
"""One header field of a request: the longest real one is Cookie."""
IDLE_S_MIN = 1.0
"""Who has been idle for less is about to ask."""
PROTOCOLS = frozenset({"websocket"})
"""What aiohttp's parser lets a request change to."""
LINGER_S = 2.0
"""How long a visitor who is refused in the middle of a request may go on sending before the connection is gone: closed at
once, the system would throw away the refusal with what was not read (RFC 9112 9.6)."""

_LINES = {
    400: b"400 Bad Request",
    408: b"408 Request Timeout",
    414: b"414 URI Too Long",
    431: b"431 Request Header Fields Too Large",
    500: b"500 Internal Server Error",
}
_TEXTS = {
    400: b"The request is not valid HTTP.\n",
    408: b"The request did not come in time.\n",
    414: b"The address is too long.\n",
    431: b"The head of the request is too large.\n",
    500: b"Something went wrong here.\n",
}
_TOO_MANY_FIELDS = "Too many headers received"
"""What aiohttp's parser says of them, without an exception of its own."""


class HeadLimits(Struct, frozen=True):
    """What the head of a request may take."""

    line_bytes: int
    fields: int
    bytes: int
    seconds: float


class HeadTooLargeError(BadHttpMessage):
    """A head that is larger as a whole than it may be."""

    def __init__(self) -> None:
        super().__init__("the head is too large")


class Refusal(Written):
    """A last word: a short text, after which the connection ends."""

    def __init__(self, status: int) -> None:
        super().__init__(keep_alive=False)
        self.message = _last_word(status)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it."""
        await request.writer.write(self.message)


def _last_word(status: int) -> bytes:
    text = _TEXTS[status]
    fields = b"Content-Type: text/plain\r\nCache-Control: no-store\r\nConnection: close\r\n"
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (_LINES[status], fields, len(text), text)


class Connection(Considerate):
    """One visitor's connection."""

    __slots__ = ("_head_bytes", "_head_timer", "_limits", "_telemetry")

    def __init__(self, server: "VisitorServer", *, telemetry: Telemetry, limits: HeadLimits, **options: Any) -> None:
        super().__init__(server, **options)
        self._telemetry = telemetry
        self._limits = limits
        self._head_bytes = 0
        """What has come of a head that is not whole yet."""
        self._head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages and getattr(self._messages[-1][0], "upgrade", False):
            self._mind_the_rest(data)
        request = self._current_request
        if request is None:
            if not self._messages:
                self._head_goes_on(len(data))
            elif self._head_timer is not None or len(data) > self._limits.bytes:
                self._head_is_whole(len(data))
            return
        if not self._messages or request.content.is_eof():
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(RequestPayloadError("the body is not valid HTTP"))

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _mind_the_rest(self, data: bytes) -> None:
        """End the connection after a request for another protocol behind which there may be more.

        aiohttp's parser stops behind such a request, and drops the rest of what was read unless it knows the protocol.
        """
        message, content = self._messages[-1]
        if not isinstance(message, RawRequestMessage) or message.headers.get("Upgrade", "").lower() in PROTOCOLS:
            return
        if message.chunked or "Content-Length" in message.headers or data.find(b"\r\n\r\n") + 4 != len(data):
            self._messages[-1] = (message._replace(should_close=True), content)

    # ---- the head

    def _head_goes_on(self, size: int) -> None:
        """More of a head has come, and it is not whole; or else the body of a request that nobody has begun to answer."""
        between = self._waiter is not None and not self._waiter.done()
        if self._close or self._force_close or not (between or self._request_count == 0):
            return
        self._head_bytes += size
        if self._head_bytes > self._limits.bytes:
            self._refuse(431)
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(self._limits.seconds, self._head_is_late)

    def _head_is_whole(self, size: int) -> None:
        self._head_bytes += size
        message = self._messages[0][0]
        if self._head_bytes > self._limits.bytes and isinstance(message, RawRequestMessage):
            fields = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
            if len(message.path) + fields > self._limits.bytes:
                self._messages.clear()
                self._messages.append((_ErrInfo(431, HeadTooLargeError(), ""), EMPTY_PAYLOAD))
        self._forget_head()

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Say the last word in the middle of a head, and let the visitor hear it."""
        self._forget_head()
        self._telemetry.requests_refused.labels(str(status)).inc()
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(_last_word(status))
        transport.write_eof()
        super().close()
        self._loop.call_later(LINGER_S, transport.abort)

    # ---- the end

    def idle_s(self, now: float) -> float:
        """For how long nobody has asked anything here, by the loop's clock; 0 for one who is being answered, or is just asking."""
        if self._waiter is None or self._messages or self._head_timer is not None or self._close or self._force_close:
            return 0.0
        return now - (self._next_keepalive_close_time - self._keepalive_timeout)

    @property
    def _is_amid_a_head(self) -> bool:
        return self._head_timer is not None

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer where none could be made. Raises ConnectionError where another one has begun."""
        if request.writer.output_size > 0:
            self._telemetry.crashed(exc)
            raise ConnectionError("a response has begun already")
        if isinstance(exc, HttpProcessingError):
            return Refusal(self._status_of(exc))
        self._telemetry.crashed(exc)
        return Refusal(500)

    def _status_of(self, error: HttpProcessingError) -> int:
        """Count a request whose head can't be used; what to answer."""
        status = 400
        if isinstance(error, LineTooLong):
            status = 414 if error.args[1] == self._limits.line_bytes else 431
        elif isinstance(error, HeadTooLargeError) or error.message == _TOO_MANY_FIELDS:
            status = 431
        if status == 400:
            self._telemetry.bad_requests.inc()
        else:
            self._telemetry.requests_refused.labels(str(status)).inc()
        return status


class Announced(Connection):
    """A connection whose visitor is somebody else than who connected: a balancer said so."""

    __slots__ = ("_source",)

    def __init__(self, server: "VisitorServer", source: tuple[str, int], **options: Any) -> None:
        super().__init__(server, **options)
        self._source = source

    @property
    def peername(self) -> tuple[str, int]:
        """The visitor's address and port."""
        return self._source


class Preamble(asyncio.Protocol):
    """A connection before its PROXY protocol header has come; then it is a `Connection` like others."""

    def __init__(self, server: "VisitorServer", *, within_s: float, telemetry: Telemetry) -> None:
        self._server = server
        self._telemetry = telemetry
        self._within_s = within_s
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait."""
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(self._within_s, self._refuse, "late")
        self._server.preambles.add(self)

    def data_received(self, data: bytes) -> None:
        """Look for the header in what has come."""
        if self._transport is None or self._transport.is_closing():
            return
        self._buffer += data
        try:
            header = proxy_protocol.read(self._buffer)
        except ValueError:
            self._refuse("broken")
            return
        if header is not None:
            self._hand_over(self._transport, header)

    def connection_lost(self, _error: Exception | None) -> None:
        """It ended before it began."""
        self._over()
        self._server.has_left()

    def close(self) -> None:
        """End it, unless the header is just coming."""
        if self._transport is not None and not self._buffer and not speaks(self._transport):
            self._transport.close()

    def abort(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()

    def _hand_over(self, transport: asyncio.Transport, header: proxy_protocol.Header) -> None:
        self._over()
        connection = self._server.connection(header.source)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if rest := self._buffer[header.size :]:
            connection.data_received(rest)

    def _refuse(self, reason: str) -> None:
        self._telemetry.connections_refused.labels(reason).inc()
        self.abort()

    def _over(self) -> None:
        self._server.preambles.discard(self)
        if self._timer is not None:
            self._timer.cancel()


class VisitorServer(web.Server):
    """Makes a `Connection` for each visitor."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        telemetry: Telemetry,
        limits: HeadLimits,
        proxy_protocol: bool = False,
        **options: Any,
    ) -> None:
        # A field may be one byte shorter where it could be as long as the line: so errors say which of them it was.
        field_bytes = min(FIELD_BYTES_MAX, limits.bytes)
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=limits.line_bytes,
            max_field_size=field_bytes - (field_bytes == limits.line_bytes),
            max_headers=limits.fields,
            **options,
        )
        self._telemetry = telemetry
        self._limits = limits
        self._announced = proxy_protocol
        self.preambles: set[Preamble] = set()
        self.has_left: Callable[[], None] = _nobody_waits
        """Called when a connection has ended."""

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]  # where PROXY headers come, it is not yet one of aiohttp's
        if self._announced:
            return Preamble(self, within_s=self._limits.seconds, telemetry=self._telemetry)
        return self.connection(None)

    def connection(self, source: tuple[str, int] | None) -> Connection:
        """A connection; `source` is the visitor's address where a balancer said it."""
        loop = asyncio.get_running_loop()
        options = {"loop": loop, "telemetry": self._telemetry, "limits": self._limits, **self._kwargs}
        return Connection(self, **options) if source is None else Announced(self, source, **options)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.has_left()

    def make_room(self, count: int) -> int:
        """End connections that have been idle longest, so many at most; how many those were."""
        now = asyncio.get_running_loop().time()
        idle = ((one.idle_s(now), one) for one in self._connections if isinstance(one, Connection))
        longest = nlargest(count, (found for found in idle if found[0] >= IDLE_S_MIN), key=itemgetter(0))
        for _, connection in longest:
            connection.close()
        return len(longest)

    @property
    def serves(self) -> bool:
        """Whether anybody is here."""
        return bool(self._connections) or bool(self.preambles)

    def pre_shutdown(self) -> None:
        """End what is idle, and have the rest end after its present response."""
        for preamble in tuple(self.preambles):
            preamble.close()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's
        for preamble in tuple(self.preambles):
            preamble.abort()
        await super().shutdown(timeout)


def _nobody_waits() -> None:
    return

"""Visitors' connections: aiohttp's, with two manners of our own.

A request that is not HTTP gets a plain 400 that says nothing about the server and repeats nothing of what was sent. A body
that stops being HTTP half-way fails at once, instead of being waited for until the visitor leaves.
Counterpart: `proxy`, which sees only requests whose head is valid. Never: leniency; two readings of one request are how
requests are smuggled.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError, RawRequestMessage
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from sidecar.telemetry import Telemetry
from sidecar.visitor.relay import Written

FIELD_BYTES_MAX = 64 * 1024
"""One header field of a request: the longest real one is Cookie."""
FIELDS_MAX = 256
"""Fields in one request."""

_BAD_REQUEST = b"The request is not valid HTTP.\n"
_FAILURE = b"Something went wrong here.\n"


class Refusal(Written):
    """A last word: a short text, after which the connection ends."""

    def __init__(self, status_line: bytes, text: bytes) -> None:
        super().__init__(keep_alive=False)
        fields = b"Content-Type: text/plain\r\nCache-Control: no-store\r\nConnection: close\r\n"
        self._message = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status_line, fields, len(text), text)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it."""
        await request.writer.write(self._message)


class Connection(RequestHandler):
    """One visitor's connection."""

    __slots__ = ("_telemetry",)

    def __init__(self, server: "VisitorServer", *, telemetry: Telemetry, **options: Any) -> None:
        super().__init__(server, **options)
        self._telemetry = telemetry

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(RequestPayloadError("the body is not valid HTTP"))

    def close(self) -> None:
        """End after the present response; at once where there is none. (aiohttp leaves an idle connection open here.)"""
        idle = self._waiter is not None
        super().close()
        if idle and self.transport is not None:
            self.transport.close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer where none could be made. Raises ConnectionError where another one has begun."""
        if request.writer.output_size > 0:
            self._telemetry.crashed(exc)
            raise ConnectionError("a response has begun already")
        if isinstance(exc, HttpProcessingError):
            self._telemetry.bad_requests.inc()
            return Refusal(b"400 Bad Request", _BAD_REQUEST)
        self._telemetry.crashed(exc)
        return Refusal(b"500 Internal Server Error", _FAILURE)


class VisitorServer(web.Server):
    """Makes a `Connection` for each visitor."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        telemetry: Telemetry,
        **options: Any,
    ) -> None:
        super().__init__(handler, handler_cancellation=True, access_log=None, auto_decompress=False, **options)
        self._telemetry = telemetry

    def __call__(self) -> Connection:
        loop = asyncio.get_running_loop()
        return Connection(self, loop=loop, telemetry=self._telemetry, **self._kwargs)

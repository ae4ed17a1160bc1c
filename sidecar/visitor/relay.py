"""The visitor's end of an exchange: heads and bodies are written as they are, bodies as they come.

Responses are not aiohttp's: it would add Server, Date and Content-Type, respell names and lose values that are not
UTF-8. A handler writes through here and gives aiohttp `KEEP` or `CLOSE`, which say what happens to the connection.
Counterpart: `proxy`. Never: a decision, or a body that looks complete when the origin's was not.
"""

import asyncio
from collections.abc import Callable
from typing import cast

import aiohttp
from aiohttp import web
from aiohttp.http import HttpVersion11, RawResponseMessage, StreamWriter

from sidecar.heads.headers import HOP_BY_HOP, Field, connection_names, serialise, to_client, without
from sidecar.origin.upstream import OriginResponse, Trouble, UpstreamError
from sidecar.shadow import Copy

_BODILESS = frozenset({204, 304})
_INTERIM_DROPPED = HOP_BY_HOP | {b"content-length"}
"""A 1xx has no body, and must not seem to (RFC 9110 8.6)."""

SLICE_BYTES = 256 * 1024
"""How much is given to a connection at once."""
WAITING_BYTES_MAX = 64 * 1024
"""Above this much that the visitor has not taken yet, the rest waits, and a 1xx is left out."""
COPIED_BYTES_MAX = 32 * 1024
"""What is longer is not copied behind its head: uvloop sends both in one call, and a copy of 100 KB is a tenth of the sending."""


class Written(web.StreamResponse):
    """A response that has left already; aiohttp needs only know whether the connection goes on."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._keep_alive = keep_alive

    async def prepare(self, _request: web.BaseRequest) -> None:
        """Nothing is left to prepare."""
        return

    async def write_eof(self, _data: bytes = b"") -> None:
        """Nothing is left to write."""
        return


KEEP = Written(keep_alive=True)
CLOSE = Written(keep_alive=False)


class Visitor:
    """Writes one response to one visitor."""

    __slots__ = ("_draining", "_keep_alive", "_modern", "_request", "_stall_s", "copy")

    def __init__(self, request: web.BaseRequest, *, draining: Callable[[], bool], stall_s: float) -> None:
        self._request = request
        self._stall_s = stall_s
        self._modern = request.version >= HttpVersion11
        self._keep_alive = request.keep_alive
        self._draining = draining
        self.copy: Copy | None = None
        """Gets what is relayed of a body, too."""

    @property
    def answered(self) -> bool:
        """Whether a response's head has left."""
        return self.sent_bytes > 0

    @property
    def sent_bytes(self) -> int:
        return int(self._request.writer.output_size)

    def close_after(self) -> None:
        """End the connection after this response."""
        self._keep_alive = False

    def inform(self, message: RawResponseMessage) -> None:
        """Pass on a 1xx response; HTTP/1.0 does not know any (RFC 9110 15.2).

        A visitor who does not take them has those left out that would have more than WAITING_BYTES_MAX wait: nobody could wait
        for a visitor here without blaming the origin for the time, and the answer itself says all that counts.
        """
        fields = without(message.raw_headers, _INTERIM_DROPPED)
        head = serialise(_status_line(message.code, _reason(message.reason)), fields)
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size() + len(head) <= WAITING_BYTES_MAX:
            self._interim(head)

    def invite(self) -> None:
        """Tell a visitor who waits for it to send the body."""
        self._interim(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _interim(self, head: bytes) -> None:
        transport = self._request.transport
        if self._modern and transport is not None and not self.answered:
            transport.write(head)

    async def send(self, status: int, reason: bytes, fields: list[Field], body: bytes) -> Written:
        """A whole response; `fields` without framing. Its body stays away where HTTP says so."""
        request = self._request
        if status not in _BODILESS:
            fields.append((b"Content-Length", b"%d" % len(body)))
        self._add_connection(fields, delimited=True)
        head = serialise(_status_line(status, reason), fields)
        bodiless = request.method == "HEAD" or status in _BODILESS
        await self._write_behind(head, b"" if bodiless else body)
        return KEEP if self._keep_alive else CLOSE

    async def _write_behind(self, head: bytes, body: bytes) -> None:
        """A head and what there is of the body."""
        if len(body) > COPIED_BYTES_MAX:
            await self._write(head)
            await self._write(body)
        else:
            await self._write(head + body)

    async def _write(self, data: bytes) -> None:
        """Give data to the connection, a slice at a time as the visitor takes it; ConnectionError for one who doesn't.

        So a page that nobody reads holds a slice of memory, and not for ever.
        """
        writer, transport = cast(StreamWriter, self._request.writer), self._request.transport
        for start in range(0, len(data), SLICE_BYTES):
            await writer.write(data if len(data) <= SLICE_BYTES else data[start : start + SLICE_BYTES], drain=False)
            if transport is None or transport.get_write_buffer_size() <= WAITING_BYTES_MAX:
                continue
            try:
                async with asyncio.timeout(self._stall_s):
                    await writer.drain()
            except TimeoutError:
                transport.abort()
                raise ConnectionAbortedError("the visitor takes nothing") from None

    async def relay(self, origin: OriginResponse, fields: list[Field], prefix: bytes) -> Written:
        """The origin's response: `prefix` is what was read of its body, the rest streams. Raises UpstreamError."""
        method = self._request.method
        if method == "HEAD" or origin.status in _BODILESS:
            if origin.status == 204:
                fields = without(fields, {b"content-length"})  # RFC 9110 8.6: there must be none
            self._add_connection(fields, delimited=True)
            await self._write(_head(origin, fields))
            return KEEP if self._keep_alive else CLOSE
        chunked = "Transfer-Encoding" in origin.headers
        sized = "Content-Length" in origin.headers and not chunked
        if chunked and "Content-Length" in origin.headers:
            fields = without(fields, {b"content-length"})
        if not sized and self._modern:
            fields.append((b"Transfer-Encoding", b"chunked"))
        self._add_connection(fields, delimited=sized or self._modern)
        head = _head(origin, fields)
        try:
            await self._stream(origin, head, prefix, chunked=not sized and self._modern)
        except UpstreamError:
            self._break_off(delimited=sized or self._modern)
            raise
        return KEEP if self._keep_alive else CLOSE

    async def _stream(self, origin: OriginResponse, head: bytes, prefix: bytes, *, chunked: bool) -> None:
        """Head and body, each piece as soon as it is there; what is there already leaves in one write."""
        content = origin.content
        piece = self._copied(prefix or _waiting(content))
        if not chunked:
            await self._write_behind(head, piece)
            while not content.at_eof():
                await self._write(self._copied(await _next(content)))
            return
        start = b"%s%x\r\n%s\r\n" % (head, len(piece), piece) if piece else head
        if content.at_eof():
            await self._write(start + b"0\r\n\r\n")
            return
        await self._write(start)
        while not content.at_eof():
            if piece := self._copied(await _next(content)):
                await self._write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await self._write(b"0\r\n\r\n")

    def _copied(self, piece: bytes) -> bytes:
        if self.copy is not None:
            self.copy.take(piece)
        return piece

    def _add_connection(self, fields: list[Field], *, delimited: bool) -> None:
        if not delimited or self._draining():
            self._keep_alive = False
        if not self._keep_alive:
            fields.append((b"Connection", b"close"))
        elif not self._modern:
            fields.append((b"Connection", b"keep-alive"))

    def _break_off(self, *, delimited: bool) -> None:
        """End the connection so that nobody takes what came for the whole."""
        transport = self._request.transport
        if not delimited and transport is not None:
            transport.abort()


def end_to_end(origin: OriginResponse) -> list[Field]:
    """The fields of the origin's response that go on to the visitor."""
    if "Connection" not in origin.headers:
        return to_client(origin.fields, dropped=())
    return to_client(origin.fields, dropped=connection_names(",".join(origin.headers.getall("Connection"))))


def _waiting(content: aiohttp.StreamReader) -> bytes:
    """What has come already; also what came before the origin broke off, which `read_nowait` would not give."""
    return content.read_nowait(-1) if content.exception() is None else content._read_nowait(-1)  # noqa: SLF001  see above


async def _next(content: aiohttp.StreamReader) -> bytes:
    try:
        return await content.readany()
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, RuntimeError) as error:
        if left := _waiting(content):
            return left
        trouble = Trouble.STALLED if isinstance(error, TimeoutError) else Trouble.BROKEN_OFF
        raise UpstreamError(trouble, " ".join(str(error).split())[:200]) from error


def _head(origin: OriginResponse, fields: list[Field]) -> bytes:
    try:
        return serialise(_status_line(origin.status, origin.reason), fields)
    except ValueError as error:
        raise UpstreamError(Trouble.BAD_RESPONSE, str(error)) from error


def _status_line(status: int, reason: bytes) -> bytes:
    return b"HTTP/1.1 %d %s" % (status, reason)


def _reason(reason: str | None) -> bytes:
    return (reason or "").encode("utf-8", "surrogateescape")

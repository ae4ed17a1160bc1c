"""HTTP/1.1 to the origin: connections are pooled, bytes are sent and received as they are.

aiohttp's connector gives connections (pool, DNS, TLS) and its parser reads responses; the head of a request is written
here, byte for byte, because aiohttp's client would respell what a proxy must not touch: the target (`%7E`, an empty
query), the order and case of fields, and values that are not UTF-8. There is no cookie jar, no redirect is followed,
no content coding undone, and no limit on how long a response may last.
Counterpart: `proxy`, which brings heads made by `headers`. Never: a request sent twice unless it is safe to.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError
from multidict import CIMultiDictProxy
from yarl import URL

from sidecar.heads.headers import Fields
from sidecar.origin.protocol import HeadLimits, HeadTooLargeError, OriginProtocol
from sidecar.settings import SidecarSettings

LINE_BYTES_MAX = 16 * 1024
"""A request or status line; sites with long queries stay well below."""
INTERIM_MAX = 64
"""Responses of 1xx before the final one: a minute of `102 Processing` every second, and nothing that floods a visitor."""
READ_BYTES = 256 * 1024
"""How far a response is read ahead of a slow visitor."""
CONTINUE_WAIT_S = 1.0
"""How long a request body waits for the origin's 100 before it is sent all the same (RFC 9110 10.1.1)."""

_QUOTATION = re.compile(r"""\n\s*\n|(?<!\w)b?['"]""")
"""Where a parser's message begins to repeat what it read."""
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Trouble(StrEnum):
    """What went wrong with the origin: the log field and the metric label."""

    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    RESPONSE_TIMEOUT = "response_timeout"
    DISCONNECTED = "disconnected"
    """It closed the connection before it answered."""
    BAD_RESPONSE = "bad_response"
    """What it sent is not HTTP/1.1."""
    HEAD_TOO_LARGE = "head_too_large"
    """More header fields, or a longer one, than the settings allow."""
    BROKEN_OFF = "broken_off"
    """It stopped in the middle of a body."""


class UpstreamError(Exception):
    """The origin's fault. `status` is what the visitor is told: 502 or 504."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(f"{trouble.value}: {detail}")
        self.trouble = trouble
        self.status = 504 if trouble in {Trouble.CONNECT_TIMEOUT, Trouble.RESPONSE_TIMEOUT} else 502


class BrokenUploadError(Exception):
    """The visitor's fault: the request's body broke off, or is not valid chunked coding."""


class StalledUploadError(BrokenUploadError):
    """The visitor's fault: nothing came of the request's body for too long."""


class Upload:
    """A request's body on its way: `length` bytes, or chunked where that is None."""

    def __init__(
        self, content: StreamReader, *, length: int | None, invite: Callable[[], None] | None, stall_s: float
    ) -> None:
        self.content = content
        self.length = length
        self.invite = invite
        """Tells a visitor who waits for it to go on; None for one who doesn't wait."""
        self.continued = asyncio.Event()
        self.answered = False
        """The head of the response has come: from now on the origin says how long it waits for the rest."""
        self.broken = False
        """The visitor's side failed: what the origin got is not the whole body."""
        self.stalled = False
        """It failed because nothing came for too long."""
        self._stall_s = stall_s

    async def send(self, writer: StreamWriter) -> None:
        """Send the body as it comes in. An origin that closes early ends it; its response says why."""
        if self.invite is not None:
            try:
                await asyncio.wait_for(self.continued.wait(), CONTINUE_WAIT_S)
            except TimeoutError:
                self.continued.set()
            self.invite()
        if self.length is None:
            writer.enable_chunking()
        try:
            while chunk := await self._chunk():
                await writer.write(chunk)
            if not self.broken:
                await writer.write_eof()
        except ConnectionError:
            return

    async def _chunk(self) -> bytes:
        """The next piece; nothing at the end, and where the visitor's side fails."""
        try:
            while True:
                try:
                    async with asyncio.timeout(None if self.answered else self._stall_s):
                        return await self.content.readany()
                except TimeoutError:
                    if not self.answered:
                        self.broken = self.stalled = True
                        return b""
        except (ConnectionError, RequestPayloadError):
            self.broken = True
            return b""


class OriginResponse:
    """A response whose head has come. `content` is its body, still encoded, as a stream."""

    __slots__ = ("_connection", "_upload", "content", "fields", "headers", "reason", "status")

    def __init__(
        self,
        message: RawResponseMessage,
        content: StreamReader,
        connection: Connection,
        upload: asyncio.Task[None] | None,
    ) -> None:
        self.status: int = message.code
        self.reason: bytes = message.reason.encode("utf-8", "surrogateescape")
        self.fields: Fields = message.raw_headers
        self.headers: CIMultiDictProxy[str] = message.headers
        self.content = content
        self._connection: Connection | None = connection
        self._upload = upload
        if self.status != 101:
            content.on_eof(self._received)

    @property
    def connection(self) -> Connection:
        """The connection itself, for a protocol that takes it over."""
        assert self._connection is not None
        return self._connection

    def _received(self) -> None:
        """The body is complete: the connection can serve another request, unless this one is still being sent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._upload is None or self._upload.done():
            connection.release()
        else:
            self._upload.cancel()
            connection.close()

    def close(self) -> None:
        """Give up what is still to come. Safe to call at any time."""
        if self._upload is not None:
            self._upload.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


Inform = Callable[[RawResponseMessage], None]
"""Told of each 1xx response but 100 and 101."""


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool of connections, of our own protocol."""

    def __init__(self, limits: HeadLimits, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(OriginProtocol, self._loop, limits))


class Upstream:
    """The origin. Made and used on one event loop."""

    def __init__(self, settings: SidecarSettings) -> None:
        url = URL(settings.upstream)
        self.scheme = url.scheme
        self.authority = _authority(url)
        """Host and port as a Host field has them."""
        self._response_s = settings.upstream_response_s
        self._limits = HeadLimits(settings.upstream_fields_max, settings.upstream_field_bytes_max)
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=settings.upstream_connect_s, sock_connect=settings.upstream_connect_s
        )
        self._loop = asyncio.get_running_loop()
        tls = _tls(settings.upstream_ca_file) if url.scheme == "https" else True
        limit, idle_s = settings.upstream_connections, settings.upstream_idle_s
        self._connector = (
            _Connector(self._limits, limit=limit, ssl=tls, keepalive_timeout=idle_s)
            if idle_s
            else _Connector(self._limits, limit=limit, ssl=tls, force_close=True)
        )
        self._address = aiohttp.ClientRequest("GET", url, loop=self._loop)
        """Tells the connector where to; never sent."""

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()

    async def send(self, method: str, head: bytes, upload: Upload | None, inform: Inform) -> OriginResponse:
        """Send a request and wait for the head of its response.

        A connection that the origin closed while it was idle is noticed only when it is used: a request without a body
        whose method may be repeated (RFC 9110 9.2.2) is then sent once more.
        Raises UpstreamError, or BrokenUploadError where the request itself can't be completed.
        """
        try:
            return await self._send(method, head, upload, inform)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if upload is not None and upload.broken:
                raise (StalledUploadError if upload.stalled else BrokenUploadError) from error
            if upload is not None or method not in _REPEATABLE:
                raise UpstreamError(Trouble.DISCONNECTED, str(error)) from error
        try:
            return await self._send(method, head, upload, inform)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise UpstreamError(Trouble.DISCONNECTED, str(error)) from error

    async def _send(self, method: str, head: bytes, upload: Upload | None, inform: Inform) -> OriginResponse:
        connection = await self._connect()
        task: asyncio.Task[None] | None = None
        try:
            protocol = connection.protocol
            assert protocol is not None
            protocol.set_response_params(
                skip_payload=method == hdrs.METH_HEAD,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_BYTES,
                max_line_size=LINE_BYTES_MAX,
                max_field_size=self._limits.field_bytes,
                max_headers=self._limits.fields,
            )
            writer = StreamWriter(protocol, self._loop)
            await writer.write(head)
            async with asyncio.timeout(self._response_s if upload is None else None) as waiting:
                if upload is not None:
                    task = self._loop.create_task(upload.send(writer))
                    task.add_done_callback(lambda _: self._sent(upload, connection, waiting))
                message, content = await _head(protocol, upload, inform)
            _check_transfer_coding(message)
        except TimeoutError as error:
            _drop(connection, task)
            raise UpstreamError(Trouble.RESPONSE_TIMEOUT, f"no response within {self._response_s:g} s") from error
        except HttpProcessingError as error:
            _drop(connection, task)
            trouble = Trouble.HEAD_TOO_LARGE if isinstance(error, HeadTooLargeError) else Trouble.BAD_RESPONSE
            raise UpstreamError(trouble, _without_quotations(error.message)) from None
        except BaseException:
            _drop(connection, task)
            raise
        return OriginResponse(message, content, connection, task)

    async def _connect(self) -> Connection:
        try:
            return await self._connector.connect(self._address, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise UpstreamError(Trouble.CONNECT_TIMEOUT, f"no connection within {self._timeout.connect:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(Trouble.CONNECT_FAILED, _one_line(str(error))) from error

    def _sent(self, upload: Upload, connection: Connection, waiting: asyncio.Timeout) -> None:
        """The whole request is sent: from now on the origin has its time to answer. A broken one it must not act on."""
        if upload.broken:
            connection.close()
        elif waiting.when() is None and not waiting.expired():
            try:
                waiting.reschedule(self._loop.time() + self._response_s)
            except RuntimeError:
                return  # the response was faster than the upload


async def _head(
    protocol: ResponseHandler, upload: Upload | None, inform: Inform
) -> tuple[RawResponseMessage, StreamReader]:
    for _ in range(INTERIM_MAX + 1):
        message, content = await protocol.read()
        if message.code == 101 or message.code >= 200:
            if upload is not None:
                upload.answered = True
            return message, content
        if message.code < 100:
            raise UpstreamError(Trouble.BAD_RESPONSE, f"status {message.code:03}")
        if message.code != 100:
            inform(message)
        elif upload is not None:
            upload.continued.set()
    raise UpstreamError(Trouble.BAD_RESPONSE, f"more than {INTERIM_MAX} responses of 1xx")


def _check_transfer_coding(message: RawResponseMessage) -> None:
    """Only chunked can be undone; another coding would be passed on without its name (RFC 9112 6.1)."""
    codings = message.headers.getall(hdrs.TRANSFER_ENCODING, None)
    if codings is not None and ",".join(codings).strip().lower() != "chunked":
        raise UpstreamError(Trouble.BAD_RESPONSE, "its transfer coding is not chunked")


def _drop(connection: Connection, upload: asyncio.Task[None] | None) -> None:
    if upload is not None:
        upload.cancel()
    connection.close()


def _authority(url: URL) -> bytes:
    host = url.raw_host or ""
    text = f"[{host}]" if ":" in host else host
    return (text if url.is_default_port() else f"{text}:{url.port}").encode()


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _without_quotations(text: str) -> str:
    """What a parser says is wrong, without the bytes that it quotes: they may be a cookie's, and this is for the log."""
    return _one_line(_QUOTATION.split(text, maxsplit=1)[0]).rstrip(" :") or "it is not HTTP"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]

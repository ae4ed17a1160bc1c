"""HTTP/1.1 to one origin: connections are pooled, bytes are sent and received as they are.

aiohttp's connector gives connections (pool, DNS, TLS) and its parser reads responses; the head of a request is written
here, byte for byte, because aiohttp's client would respell what a proxy must not touch: the target (`%7E`, an empty
query), the order and case of fields, and values that are not UTF-8. There is no cookie jar, no redirect is followed,
no content coding undone, and no limit on how long a response may last.
Counterparts: `sites` says which origin gets a request, and whether another one may have it afterwards; `proxy` brings
heads made by `headers`. Never: a request sent twice.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Coroutine
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
from sidecar.site_origins import OriginAddress

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
RESTED_S_MAX = 1.0
"""How long a connection may have been idle that gets a request which must not be sent twice: origins close what rests."""
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be repeated (RFC 9110 9.2.2)."""


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
    STALLED = "stalled"
    """It sent nothing for too long in the middle of a body (SIDECAR_UPSTREAM_STALL_S)."""


class UpstreamError(Exception):
    """The origin's fault. `status` is what the visitor is told: 502 or 504.

    `begun`: something of a response had come, so that nobody may ask again. `stale`: the connection had served requests
    before and ended without a word, which says nothing of the origin but that it closes what rests.
    """

    def __init__(self, trouble: Trouble, detail: str, *, begun: bool = False, stale: bool = False) -> None:
        super().__init__(f"{trouble.value}: {detail}")
        self.trouble = trouble
        self.begun = begun
        self.stale = stale
        self.origin = ""
        """Which origin it was, where that is known."""
        self.status = 504 if trouble in {Trouble.CONNECT_TIMEOUT, Trouble.RESPONSE_TIMEOUT} else 502

    def __str__(self) -> str:
        return f"{self.origin}: {super().__str__()}" if self.origin else super().__str__()


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
        self.untaken = False
        """The origin took nothing of it for too long, and had not answered."""
        self._stall_s = stall_s

    async def send(self, writer: StreamWriter, taken_s: float) -> None:
        """Send the body as it comes in, to an origin that takes some of it at least every `taken_s` seconds.

        An origin that closes early ends it; its response says why.
        """
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
                await self._taken(writer, writer.write(chunk), taken_s)
            if not self.broken:
                await self._taken(writer, writer.write_eof(), taken_s)
        except ConnectionError:
            return

    async def _taken(self, writer: StreamWriter, writing: Coroutine[Any, Any, None], taken_s: float) -> None:
        """Wait until the connection has room again; ConnectionError where an origin makes none for so long."""
        try:
            async with asyncio.timeout(None if self.answered else taken_s):
                await writing
        except TimeoutError:
            if not self.answered:
                self.untaken = True
                raise ConnectionAbortedError("the origin takes nothing") from None
            await writer.drain()

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

    __slots__ = ("_connection", "_origin", "_upload", "content", "fields", "headers", "reason", "status")

    def __init__(
        self,
        message: RawResponseMessage,
        content: StreamReader,
        connection: Connection,
        upload: asyncio.Task[None] | None,
        origin: "OriginConnections",
    ) -> None:
        self._origin = origin
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
        self._origin.in_progress -= 1
        if self._upload is None or self._upload.done():
            cast(OriginProtocol, connection.protocol).rest(self.headers.get("Keep-Alive"))
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
            self._origin.in_progress -= 1
            connection.close()


Inform = Callable[[RawResponseMessage], None]
"""Told of each 1xx response but 100 and 101."""


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool of connections, of our own protocol."""

    def __init__(self, limits: HeadLimits, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(OriginProtocol, self._loop, limits))


class OriginConnections:
    """The connections to one origin. Made and used on one event loop.

    `tls` is for an https origin. `connections_max` are open at once, `idle_s` is how long one that rests is kept.
    """

    def __init__(
        self,
        address: OriginAddress,
        settings: SidecarSettings,
        *,
        tls: ssl.SSLContext | None,
        connections_max: int,
        idle_s: float,
    ) -> None:
        self.in_progress = 0
        """Requests whose response has not ended."""
        self._response_s = settings.upstream_response_s
        self._stall_s = settings.upstream_stall_s
        self._limits = HeadLimits(settings.upstream_fields_max, settings.upstream_field_bytes_max)
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=settings.upstream_connect_s, sock_connect=settings.upstream_connect_s
        )
        self._loop = asyncio.get_running_loop()
        pool: dict[str, Any] = {"keepalive_timeout": idle_s} if idle_s else {"force_close": True}
        self._connector = _Connector(self._limits, limit=connections_max, ssl=tls or True, **pool)
        url = URL.build(scheme=address.scheme, host=address.host, port=address.port)
        name = address.name if tls is not None else None
        self._address = aiohttp.ClientRequest("GET", url, loop=self._loop, server_hostname=name)
        """Tells the connector where to; never sent."""

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()

    async def send(
        self,
        method: str,
        head: bytes,
        upload: Upload | None,
        inform: Inform,
        *,
        fresh: bool = False,
        response_s: float | None = None,
    ) -> OriginResponse:
        """Send a request once and wait for the head of its response, `response_s` or as long as the settings say.

        `fresh`: on a new connection. Raises UpstreamError, or BrokenUploadError where the request itself can't be
        completed.
        """
        self.in_progress += 1
        try:
            connection = await self._connect(fresh=fresh, careful=upload is not None or method not in REPEATABLE)
            return await self._send(connection, method, head, upload, inform, response_s or self._response_s)
        except BaseException:
            self.in_progress -= 1
            raise

    async def _send(
        self,
        connection: Connection,
        method: str,
        head: bytes,
        upload: Upload | None,
        inform: Inform,
        response_s: float,
    ) -> OriginResponse:
        task: asyncio.Task[None] | None = None
        protocol = cast(OriginProtocol, connection.protocol)
        reused = protocol.rested_since is not None
        try:
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
            async with asyncio.timeout(response_s if upload is None else None) as waiting:
                if upload is not None:
                    task = self._loop.create_task(upload.send(writer, response_s))
                    task.add_done_callback(lambda _: self._sent(upload, connection, waiting, response_s))
                message, content = await _head(protocol, upload, inform)
            _check_transfer_coding(message)
        except TimeoutError as error:
            _drop(connection, task)
            text = f"no response within {response_s:g} s"
            raise UpstreamError(Trouble.RESPONSE_TIMEOUT, text, begun=protocol.begun) from error
        except HttpProcessingError as error:
            _drop(connection, task)
            trouble = Trouble.HEAD_TOO_LARGE if isinstance(error, HeadTooLargeError) else Trouble.BAD_RESPONSE
            raise UpstreamError(trouble, _without_quotations(error.message), begun=True) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError) as error:
            # The last one: it ended between being chosen and being written to. As a ConnectionError it would pass for the
            # visitor's.
            _drop(connection, task)
            if upload is not None and upload.broken:
                raise (StalledUploadError if upload.stalled else BrokenUploadError) from error
            if upload is not None and upload.untaken:
                text = f"it took nothing of the request for {response_s:g} s"
                raise UpstreamError(Trouble.RESPONSE_TIMEOUT, text, begun=protocol.begun) from error
            begun, text = protocol.begun, _one_line(str(error))
            raise UpstreamError(Trouble.DISCONNECTED, text, begun=begun, stale=reused and not begun) from error
        except BaseException:
            _drop(connection, task)
            raise
        if self._stall_s and message.code >= 200 and not _lasts(message):
            protocol.bound_silence(self._stall_s)
        return OriginResponse(message, content, connection, task, self)

    async def _connect(self, *, fresh: bool, careful: bool) -> Connection:
        """A connection: a new one where it must be `fresh`, one that has not rested for long where care is needed, and never one
        on which the origin has spoken since."""
        try:
            connection = await self._connector.connect(self._address, traces=[], timeout=self._timeout)
            rested_s_max = 0.0 if fresh else RESTED_S_MAX if careful else None
            # The pool gives what rested longest, so the first that will do ends this.
            while _is_of_no_use(cast(OriginProtocol, connection.protocol), rested_s_max):
                connection.close()
                connection = await self._connector.connect(self._address, traces=[], timeout=self._timeout)
            return connection
        except TimeoutError as error:
            raise UpstreamError(Trouble.CONNECT_TIMEOUT, f"no connection within {self._timeout.connect:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError(Trouble.CONNECT_FAILED, _one_line(str(error))) from error

    def _sent(self, upload: Upload, connection: Connection, waiting: asyncio.Timeout, response_s: float) -> None:
        """The whole request is sent: from now on the origin has its time to answer. A broken one it must not act on."""
        if upload.broken or upload.untaken:
            if upload.untaken and connection.transport is not None:
                connection.transport.abort()  # what waits to be sent would keep the connection open
            connection.close()
        elif waiting.when() is None and not waiting.expired():
            try:
                waiting.reschedule(self._loop.time() + response_s)
            except RuntimeError:
                return  # the response was faster than the upload


def _is_of_no_use(protocol: OriginProtocol, rested_s_max: float | None) -> bool:
    """Whether a connection that rested can't have the next request; None for the seconds: however long it did."""
    return protocol.has_unread() if rested_s_max is None else protocol.may_have_ended(rested_s_max)


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


def _lasts(message: RawResponseMessage) -> bool:
    """Whether silence is nothing unusual: server-sent events come when there is news."""
    return message.headers.get(hdrs.CONTENT_TYPE, "").lower().startswith("text/event-stream")


def _without_quotations(text: str) -> str:
    """What a parser says is wrong, without the bytes that it quotes: they may be a cookie's, and this is for the log."""
    return _one_line(_QUOTATION.split(text, maxsplit=1)[0]).rstrip(" :") or "it is not HTTP"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]

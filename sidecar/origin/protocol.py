"""What an origin sends on one connection: heads are looked at whole, and bytes that nobody asked for end the connection.

aiohttp's parser reads a response with all that came in the same read, and keeps nothing of it where something behind the
response is wrong. Here it gets the head by itself, so that a visitor has whatever is right of a response (RFC 9112 6.3);
and the things that it refuses or misreads are settled before: Content-Length twice, names with a space behind them, and heads
beyond the limits.
Counterpart: `upstream`, which sends requests and waits. Never: a byte of a body held back, or two readings of one head.
"""

import math
import re
import select
from asyncio import AbstractEventLoop
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, HttpVersion11, RawResponseMessage
from aiohttp.streams import StreamReader
from msgspec import Struct

KEPT_MARGIN_S = 1.0
"""So much sooner than it says an origin's connection counts as ended: a request is on its way for a while."""

LONG_FIELDS_MAX = 8
"""So many fields as long as one may be make the longest head: half a megabyte where nothing else is set."""

_HEAD_END = re.compile(rb"\n\r?\n")
_LENGTH_LINE = re.compile(rb"(?im)^content-length:([^\r\n]*)\r?\n")
_KEPT = re.compile(r"(?i)\btimeout\s*=\s*(\d{1,9})\b")
_FIELD_LINE = re.compile(rb"(?m)^[^ \t\r\n]")
_SPACED_NAME = re.compile(rb"(?m)^([^\s:]+) +:")
_BODILESS = frozenset({204, 304})


class HeadLimits(Struct, frozen=True):
    """How large a response's head may be; the names of the settings are for whoever has to raise them."""

    fields: int
    field_bytes: int


class HeadTooLargeError(HttpProcessingError):
    """A head beyond the limits."""


class OriginProtocol(ResponseHandler):
    """One connection to the origin. A response is begun with `set_response_params`, as aiohttp does."""

    _payload_parser: Any
    """Who reads after a change of protocol; aiohttp declares it as None."""

    def __init__(self, loop: AbstractEventLoop, limits: HeadLimits) -> None:
        super().__init__(loop)
        self._limits = limits
        self._head = b""
        self._answered = False
        self._over = False
        """Nothing more is due: the response is complete."""
        self.begun = False
        """Something has come of the response to the present request."""
        self.rested_since: float | None = None
        """When the last response ended, by the loop's clock; None on a connection that is new."""
        self._kept_s = math.inf
        self._poll: select.poll | None = None

    def rest(self, said: str | None) -> None:
        """The response is complete, and the connection may serve another request. `said`: its Keep-Alive field, in which an
        origin may say for how many seconds it keeps an idle connection (RFC 2068 19.7.1.1)."""
        self.rested_since = self._loop.time()
        if said is not None:
            match = _KEPT.search(said)
            self._kept_s = math.inf if match is None else float(match[1])

    def may_have_ended(self, rested_s_max: float) -> bool:
        """Whether the origin may have closed the connection while it rested: longer than that, or something is there to be
        read."""
        if self.rested_since is None:
            return False
        rested_s_max = min(rested_s_max, max(0.0, self._kept_s - KEPT_MARGIN_S))
        return self._loop.time() - self.rested_since >= rested_s_max or self.has_unread()

    def has_unread(self) -> bool:
        """Whether something is there that the event loop has not come to: the connection's end, or what nobody asked for, which
        would be taken for the response to the next request. False on a connection that is new."""
        if self.rested_since is None:
            return False
        if self.transport is None:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def bound_silence(self, silence_s: float) -> None:
        """From now on the body fails when nothing comes of it for so long; a visitor who is slow to take it does not count."""
        if self._payload is None or self._payload.is_eof():
            return
        self._read_timeout = silence_s
        if not self._reading_paused:
            self.start_timeout()

    def set_response_params(self, **options: Any) -> None:
        """Expect the response to one request."""
        self._head, self._answered, self._over, self.begun = b"", False, False, False
        super().set_response_params(**options)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """A head that the parser has read, on its way to who waits for it."""
        message = data[0]
        if message.code >= 200 or message.code == 101:
            self._answered = True
            if self._skip_payload or message.code in _BODILESS:
                self._over, self._payload = True, None
            elif message.chunked and message.version < HttpVersion11:
                self.force_close()  # RFC 9112 6.1: its framing is faulty
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        """Bytes of the origin's; none at all when the parser is to go on after a pause."""
        if self._upgraded or self._payload_parser is not None or self._parser is None:
            super().data_received(data)
        elif self._answered:
            self._body(data)
        else:
            self._heads(data)

    def _heads(self, data: bytes) -> None:
        """Give the parser every head that is whole, up to the final one, and then what follows that."""
        self.begun = self.begun or bool(data)
        begun = max(len(self._head) - 3, 0)
        self._head = self._head + data if self._head else data
        try:
            while not self._answered:
                end = _HEAD_END.search(self._head, begun)
                if end is None:
                    _check_size(self._head, self._limits)
                    if not _may_be_http(self._head):
                        super().data_received(self._head)  # which says what is wrong with it
                    return
                head, self._head, begun = self._head[: end.end()], self._head[end.end() :], 0
                _check_size(head, self._limits)
                super().data_received(_with_one_length(_with_plain_names(head)))
                if self._exception is not None:
                    return
        except HttpProcessingError as error:
            self._end()
            self.set_exception(error)
            return
        rest, self._head = self._head, b""
        if rest:
            self.data_received(rest)

    def _body(self, data: bytes) -> None:
        if self._over:
            if data.strip(b"\r\n"):  # an empty line too many is an old mistake, and harmless
                self._end()
            return
        super().data_received(data)
        payload = self._payload
        if payload is None:
            return
        if self._exception is not None:
            if not payload.is_eof() and payload.exception() is None:
                payload.set_exception(aiohttp.ClientPayloadError(str(self._exception)))
        elif payload.is_eof():
            self._over = True
            if self._has_begun_another():
                self._end()

    def _has_begun_another(self) -> bool:
        """Whether the parser has seen more than one response; it says so when it is told that nothing more comes."""
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except HttpProcessingError:
            return True

    def _end(self) -> None:
        """Neither this response nor another one is read on."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()


def _check_size(head: bytes, limits: HeadLimits) -> None:
    """Refuse a head, complete or not, beyond the limits. A line that is folded belongs to the field before it.

    What has come is looked at anew with each read, so that all of it has a bound too.
    """
    if len(head) > LONG_FIELDS_MAX * limits.field_bytes:
        text = f"a head of more than {LONG_FIELDS_MAX * limits.field_bytes} bytes (SIDECAR_UPSTREAM_FIELD_BYTES_MAX)"
        raise HeadTooLargeError(message=text)
    if head.count(b"\n") > limits.fields + 2 and len(_FIELD_LINE.findall(head)) > limits.fields + 1:
        raise HeadTooLargeError(message=f"more than {limits.fields} header fields (SIDECAR_UPSTREAM_FIELDS_MAX)")
    if len(head) > limits.field_bytes and max(map(len, head.splitlines())) > limits.field_bytes:
        text = f"a header field of more than {limits.field_bytes} bytes (SIDECAR_UPSTREAM_FIELD_BYTES_MAX)"
        raise HeadTooLargeError(message=text)


def _may_be_http(head: bytes) -> bool:
    begun = head.lstrip(b"\r\n")[:5]
    return b"HTTP/".startswith(begun)


def _with_plain_names(head: bytes) -> bytes:
    """The head without spaces between a name and its colon (RFC 9112 5.1): the parser sees the field all the same, and what is
    done here by name, to framing, caching and cookies, would miss it."""
    return _SPACED_NAME.sub(rb"\1:", head) if b" :" in head else head


def _with_one_length(head: bytes) -> bytes:
    """The head with one Content-Length where it says the same one several times (RFC 9110 8.6).

    Raises HttpProcessingError for different ones: who reads which is how responses are split. (Content-Length beside
    Transfer-Encoding is refused by the parser.)
    """
    lower = head.lower()
    mentioned = lower.count(b"length:")
    if mentioned == 0 or (mentioned == 1 and b"," not in lower[(at := lower.find(b"length:")) : lower.find(b"\n", at)]):
        return head
    lines = list(_LENGTH_LINE.finditer(head))
    values = {value.strip(b" \t") for line in lines for value in line[1].split(b",")}
    if len(values) > 1:
        raise HttpProcessingError(message="several Content-Lengths that differ")
    if not lines:
        return head
    start, end = lines[0].span()
    rest = _LENGTH_LINE.sub(b"", head[end:])
    return b"%sContent-Length: %s\r\n%s" % (head[:start], values.pop(), rest)

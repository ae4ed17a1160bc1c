"""A connection that changed its protocol: bytes go both ways until one side ends.

WebSocket passes through here untouched: its handshake is an ordinary exchange, and after the 101 nothing is parsed.
Counterpart: `proxy`. Never: a frame, a timeout, or a byte held back; a slow reader slows the other side down.
"""

import asyncio
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from sidecar.heads.headers import Field, serialise
from sidecar.origin.upstream import OriginResponse
from sidecar.visitor.relay import CLOSE, Written, end_to_end

WAITING_BYTES_MAX = 256 * 1024
"""What may wait in each direction before its source is asked to pause."""


class Pump:
    """One direction. aiohttp's protocols take it for a parser of whatever comes after the upgrade."""

    def __init__(self, source: asyncio.Transport) -> None:
        self._source = source
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._ended = False
        self._paused = False
        self._changed = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes that came; (False, b"") says to aiohttp that there is no end and nothing left over."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._changed.set()
        if self._waiting_bytes > WAITING_BYTES_MAX and not self._paused and not self._source.is_closing():
            self._source.pause_reading()
            self._paused = True
        return False, b""

    def feed_eof(self) -> None:
        """The source has ended."""
        self._ended = True
        self._changed.set()

    async def run(self, target: AbstractStreamWriter) -> None:
        """Carry bytes to `target` until the source ends. Raises ConnectionError when the target does."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            data, self._waiting, self._waiting_bytes = b"".join(self._waiting), [], 0
            if data:
                await target.write(data)
            if self._paused and not self._source.is_closing():
                self._source.resume_reading()
                self._paused = False
            if self._ended and not self._waiting:
                return


async def splice(request: web.BaseRequest, origin: OriginResponse, extra: list[Field]) -> Written:
    """Answer 101 as the origin did, then join the two connections. Returns when either has ended."""
    protocol, connection = request.protocol, origin.connection
    client_side, origin_side = request.transport, connection.transport
    if client_side is None or origin_side is None or connection.protocol is None:
        return CLOSE
    upgrade = [field for field in origin.fields if field[0].lower() == b"upgrade"]
    fields = [*end_to_end(origin), (b"Connection", b"Upgrade"), *upgrade, *extra]
    await request.writer.write(serialise(b"HTTP/1.1 101 %s" % origin.reason, fields))
    protocol.keep_alive(False)
    upward, downward = Pump(client_side), Pump(origin_side)
    protocol.set_parser(cast(Any, upward))
    connection.protocol.set_parser(cast(Any, downward), cast(Any, downward))
    loop = asyncio.get_running_loop()
    to_origin = StreamWriter(connection.protocol, loop)
    pumps = [loop.create_task(upward.run(to_origin)), loop.create_task(downward.run(request.writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    return CLOSE

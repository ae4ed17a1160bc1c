"""A large value of Redis, read in a thread into one piece of memory.

The client of the event loop would put it together from pieces of 64 KB, three times over: 10 ms and more of turns that visitors wait
for. Here the system fills the memory that the table stays in, and Python's lock is free meanwhile: half a millisecond.
Counterpart: `feed.py` asks for the size first, and decides what becomes of the value. Never: more than what was asked for; a
connection that is left open.
"""

import asyncio
import socket
import time
from contextlib import suppress
from typing import Any

from redis import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

READ_S_MAX = 30.0
"""For one value, however slowly it comes."""
HEADER_BYTES_MAX = 512
INTERRUPT_S = 0.1
"""A thread that nobody waits for any more is told so this often: it may be connecting, where it can't be told."""


class Large:
    """Values of one Redis. `timeout_s` is for each connection and each read. Raises ValueError for an unusable URL."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._pool = ConnectionPool.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2
        )

    async def read(self, key: str, bytes_max: int) -> bytearray:
        """The value, or as much of it; empty if there is none. Raises RedisError, OSError and TimeoutError."""
        connection: Any = self._pool.make_connection()  # which the library leaves untyped
        reading = asyncio.create_task(asyncio.to_thread(_read, connection, key, bytes_max))
        reading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # also if nobody waits any more
        try:
            return await asyncio.shield(reading)
        finally:
            while not reading.done():
                _interrupt(connection)
                await asyncio.wait({reading}, timeout=INTERRUPT_S)


def _read(connection: Any, key: str, bytes_max: int) -> bytearray:
    try:
        connection.connect()
        connection.send_command("GETRANGE", key, 0, bytes_max - 1)
        return _bulk_string(connection._sock, bytes_max)  # noqa: SLF001 - there is no other way to it
    finally:
        connection.disconnect()


def _bulk_string(source: socket.socket, bytes_max: int) -> bytearray:
    """What RESP answers with: `$`, a length, a line's end, and so many bytes; the line's end behind them is left."""
    deadline = time.monotonic() + READ_S_MAX
    header = b""
    while not header.endswith(b"\r\n"):
        received = source.recv(1)
        header += received
        if not received or len(header) > HEADER_BYTES_MAX:
            raise RedisConnectionError("closed, or no answer of Redis")
    kind, text = header[:1], header[1:-2]
    if kind == b"-":
        raise ResponseError(text.decode("utf-8", "replace"))
    if kind != b"$" or not text.isdigit() or len(text) > len(str(bytes_max)) or int(text) > bytes_max:
        raise RedisConnectionError("an answer to another question")
    value = bytearray(int(text))
    left = memoryview(value)
    while left:
        count = source.recv_into(left)
        if not count:
            raise RedisConnectionError("closed amid an answer")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not read whole after {READ_S_MAX:g} s")
        left = left[count:]
    return value


def _interrupt(connection: Any) -> None:
    """Whoever waits for this socket hears that nothing more comes."""
    with suppress(OSError):
        if connection._sock is not None:  # noqa: SLF001
            connection._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001

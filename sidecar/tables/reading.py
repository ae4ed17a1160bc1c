"""A large value of Redis, read in a thread into one piece of memory.

The client of the event loop would put it together from pieces of 64 KB, three times over: 10 ms and more of turns that visitors wait
for. Here the system fills the memory that the table stays in, and Python's lock is free meanwhile: half a millisecond.
Counterpart: `feed.py` asks for the size first, and decides what becomes of the value. Never: more than what was asked for; a
connection that is left open.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from redis import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

READ_S_MAX = 30.0
"""For one value, from the connection's beginning to the last byte, however slowly they come."""
HEADER_BYTES_MAX = 512
"""Of the line before a value, and so of the digits of a length too, for which int() would take its time."""
PIECE_BYTES = 256 * 1024
"""Of a value, copied in one go: the system gives the core to nobody else meanwhile, and 4 MB take it 3 ms."""


class Large:
    """Values of one Redis. `timeout_s` is for each connection and each read. Raises ValueError for an unusable URL."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        pool = ConnectionPool.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=2)
        # Not by the pool itself: it counts the connections that it has made, and gives no more than a hundred.
        self._connection: Callable[[], Any] = partial(pool.connection_class, **pool.connection_kwargs)

    async def read(self, key: str, bytes_max: int) -> bytearray:
        """The value, or as much of it; empty if there is none. Raises RedisError, OSError and TimeoutError."""
        reading = _Reading(self._connection())
        thread = asyncio.create_task(asyncio.to_thread(reading.read, key, bytes_max))
        thread.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # also if nobody waits any more
        whole = asyncio.timeout(READ_S_MAX)
        try:
            async with whole:
                return await asyncio.shield(thread)
        except TimeoutError as error:
            raise TimeoutError(f"not read whole after {READ_S_MAX:g} s") if whole.expired() else error from None
        finally:
            reading.leave()
            if not thread.done():
                await asyncio.wait({thread})


class _Reading:
    """One value by one connection of the client library, which leaves its type open."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._left = False
        connection.redis_connect_func = self._greet

    def read(self, key: str, bytes_max: int) -> bytearray:
        """In a thread. Raises RedisError and OSError."""
        connection = self._connection
        try:
            connection.connect()
            connection.send_command("GETRANGE", key, 0, bytes_max - 1)
            return _bulk_string(connection._sock, bytes_max)  # noqa: SLF001 - there is no other way to it
        finally:
            connection.disconnect()

    def leave(self) -> None:
        """The thread ends soon: it hears that nothing more comes, or finds that nobody waits once it is connected."""
        self._left = True
        source = self._connection._sock  # noqa: SLF001
        if source is not None:
            with suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)

    def _greet(self, connection: Any) -> None:
        """Called with a socket that `leave` can see from now on, and did not before."""
        if self._left:
            raise RedisConnectionError("nobody waits any more")
        connection.on_connect()


def _bulk_string(source: socket.socket, bytes_max: int) -> bytearray:
    """What RESP answers with: `$`, a length, a line's end, and so many bytes; the line's end behind them is left."""
    header = b""
    while not header.endswith(b"\r\n"):
        received = source.recv(1)
        header += received
        if not received or len(header) > HEADER_BYTES_MAX:
            raise RedisConnectionError("closed, or no answer of Redis")
    kind, text = header[:1], header[1:-2]
    if kind == b"-":
        raise ResponseError(text.decode("utf-8", "replace"))
    if kind != b"$" or not text.isdigit() or int(text) > bytes_max:
        raise RedisConnectionError("an answer to another question")
    value = bytearray(int(text))
    left = memoryview(value)
    while left:
        count = source.recv_into(left[:PIECE_BYTES])
        if not count:
            raise RedisConnectionError("closed amid an answer")
        left = left[count:]
    return value

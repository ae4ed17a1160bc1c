"""Answers of Redis that have a bound: whoever owns it, or may announce something, makes no worker run out of memory.

The client library reads a text as long as its sender says, and a list of as many. What the event loop asks for is short; tables,
which are not, come by `reading.py`. Counterpart: `feed.py`. Never: an answer that is cut; the connection ends instead.
"""

from typing import Any

from redis._parsers import _AsyncRESP3Parser
from redis.exceptions import ConnectionError as RedisConnectionError

ANSWER_BYTES_MAX = 1024 * 1024
"""In one answer or message, lines included; real ones have some hundred bytes."""


class BoundedParser(_AsyncRESP3Parser):
    """Reads both versions of the protocol, as the library's own."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)  # type: ignore[no-untyped-call]
        self._left = ANSWER_BYTES_MAX

    async def read_response(self, *arguments: Any, **named: Any) -> Any:
        """One answer. Raises RedisError, of which an answer that is too long is one."""
        self._left = ANSWER_BYTES_MAX
        return await super().read_response(*arguments, **named)

    async def _read(self, length: int) -> Any:
        if length < 0:
            return None  # the null of the protocol before, which the library leaves to another class
        self._spend(length)
        return await super()._read(length)

    async def _readline(self) -> bytes:
        line = await super()._readline()  # has a bound of its own, asyncio's for lines
        self._spend(len(line) + 2)
        return line

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise RedisConnectionError(f"an answer of more than {ANSWER_BYTES_MAX:,} bytes")

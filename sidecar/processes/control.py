"""The channel between the supervisor and one worker: questions down, answers up, over a socket pair.

Frames are a length (4 bytes, big-endian) and MessagePack. Whoever sees the other end close knows that it has ended, even
by SIGKILL; so no worker outlives its supervisor.
Counterparts: `supervisor` asks, `workers` answers. Never: anything from a network.
"""

import asyncio
import itertools
import signal
import socket
from collections.abc import Callable
from typing import Any

import msgspec

FRAME_BYTES_MAX = 64 * 1024 * 1024
"""The mutations of the largest table, listed."""

NEWS = -1
"""Number of an answer without a question: a `Held` of pages and mutations that did harm in this worker; or REPLACE."""

REPLACE = "replace"
"""As news: the worker was told by SIGHUP to have another one take its place."""

SWITCH_OFF, SWITCH_ON = signal.SIGUSR1, signal.SIGUSR2
"""Signals to the supervisor, which asyncio, uvloop and aiohttp leave free: every page passes from now on, and no more."""

_encode = msgspec.msgpack.Encoder().encode


class Question(msgspec.Struct, frozen=True, array_like=True):
    """`ask` names what is wanted; number 0 expects no answer."""

    number: int
    ask: str
    arguments: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """The answer to the question of that number; number 0 is the worker's greeting, NEWS what nobody had asked."""

    number: int
    value: Any = None


class Channel:
    """One end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """The channel on a connected socket, which belongs to it from now on."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end))

    def send(self, message: Question | Answer) -> None:
        """Send one message; what the other end is too slow to take waits in memory."""
        body = _encode(message)
        self._writer.write(len(body).to_bytes(4, "big") + body)

    async def receive(self) -> bytes | None:
        """The next message's bytes, None once the other end is gone."""
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            return await self._reader.readexactly(size) if size <= FRAME_BYTES_MAX else None
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        self._writer.close()


class Asker:
    """The supervisor's end: asks, and gives each answer to whoever waits for it."""

    def __init__(self, channel: Channel, on_news: Callable[[Any], None] = lambda _: None) -> None:
        self.greeted = asyncio.Event()
        """The worker serves."""
        self._on_news = on_news
        self._channel = channel
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._decode = msgspec.msgpack.Decoder(Answer).decode

    async def run(self) -> None:
        """Receive answers until the worker is gone."""
        while (body := await self._channel.receive()) is not None:
            answer = self._decode(body)
            if answer.number == 0:
                self.greeted.set()
            elif answer.number == NEWS:
                self._on_news(answer.value)
            elif (future := self._waiting.pop(answer.number, None)) is not None and not future.done():
                future.set_result(answer.value)

    def tell(self, ask: str, **arguments: Any) -> None:
        """Ask for something that has no answer."""
        self._channel.send(Question(0, ask, arguments))

    async def ask(self, ask: str, within_s: float, **arguments: Any) -> Any:
        """The worker's answer; TimeoutError if it does not come within `within_s` seconds."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._channel.send(Question(number, ask, arguments))
            async with asyncio.timeout(within_s):
                return await future
        finally:
            self._waiting.pop(number, None)

    def close(self) -> None:
        self._channel.close()

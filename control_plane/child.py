"""A child process that answers orders one by one: what may crash or hang over a page does so in there.

Messages are msgpack, each after its length in four bytes, over the child's standard input and output.
Counterparts: `rewriter.py` and `judge.py` ask, each a child of its own. Never: our secrets in the child's environment.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

LENGTH_BYTES = 4
ADDRESS_SPACE_BYTES_MAX = 2 * 1024 * 1024 * 1024
"""What needs more than this for a page of 4 MiB would take the machine's memory before its time is over."""

Answer = TypeVar("Answer")


class ChildEndedError(Exception):
    """The child ended over an order, or could not be started."""


class ChildProcess(Generic[Answer]):
    """One child running the module `program`, started when it is first needed, replaced when it ends or takes too long."""

    def __init__(self, program: str, answer: type[Answer], *, timeout_s: float) -> None:
        self._program = program
        self._answer = answer
        self._timeout_s = timeout_s
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._child is None else self._child.pid

    async def ask(self, order: Any) -> Answer:
        """What the child answers; raises TimeoutError, ChildEndedError."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._ask(order)
            except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
                await self._end()
                if isinstance(error, TimeoutError):
                    raise
                raise ChildEndedError(f"{self._program} ended") from error
            except BaseException:
                # Whoever asked has gone; the answer that still comes must not be taken for the next one's.
                await self._end()
                raise

    async def close(self) -> None:
        """End the child."""
        async with self._turn:
            await self._end()

    async def _ask(self, order: Any) -> Answer:
        child = await self._running()
        assert child.stdin is not None
        assert child.stdout is not None
        message = msgspec.msgpack.encode(order)
        child.stdin.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        await child.stdin.drain()
        length = int.from_bytes(await child.stdout.readexactly(LENGTH_BYTES), "big")
        return msgspec.msgpack.decode(await child.stdout.readexactly(length), type=self._answer)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is for the service; it ends its child itself
            )
        return self._child

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def _environment() -> dict[str, str]:
    """What a Python needs to start, and none of our secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def confine() -> None:
    """Bound what this process may take (Linux), and leave no core with somebody's page in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))


def serve(source: BinaryIO, sink: BinaryIO, order: type[Any], obey: Callable[[Any], Any]) -> None:
    """In the child: orders from `source`, answers to `sink`, until the parent closes."""
    while len(prefix := source.read(LENGTH_BYTES)) == LENGTH_BYTES:
        given = msgspec.msgpack.decode(source.read(int.from_bytes(prefix, "big")), type=order)
        answer = msgspec.msgpack.encode(obey(given))
        sink.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        sink.flush()

"""The child process in which preview and `/apply` rewrite pages.

A parser that crashes or hangs on a hostile page takes the child with it, never the service. Messages are msgpack, each
after its length in four bytes, over the child's standard input and output.
Counterpart: `preview.py` asks. Never: a decision; the child is told which groups to apply.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import BinaryIO

import msgspec

from rules.decision import Group, Outcome
from rules.html import Rewritten, apply_groups
from rules.reasons import Reason

LENGTH_BYTES = 4
TIMEOUT_S = 5.0  # 4 MB parse in 10 ms; what takes seconds is a trap
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class Order(msgspec.Struct, frozen=True):
    """A page and what to do with it."""

    page: bytes
    groups: tuple[Group, ...]
    charset: str | None


class Done(msgspec.Struct, frozen=True):
    """What came of it. `passed`: empty, or why the page stayed as it was."""

    page: bytes
    outcomes: tuple[Outcome, ...]
    passed: str = ""
    detail: str = ""


class Rewriter:
    """One child, started when it is first needed, replaced when it ends or takes too long."""

    def __init__(self) -> None:
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def rewrite(self, order: Order) -> Done:
        """The rewritten page; the page as it was, with the reason, where the child fails. Never raises for a page."""
        async with self._turn:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._ask(order)
            except TimeoutError:
                passed, detail = Reason.OVER_BUDGET, f"the page took longer than {TIMEOUT_S:.0f} s"
            except (OSError, asyncio.IncompleteReadError):
                passed, detail = Reason.REWRITE_FAILED, "the rewriter ended over this page"
            except BaseException:
                # Whoever asked has gone; the answer that still comes must not be taken for the next one's.
                await self._end()
                raise
            await self._end()
        return Done(order.page, (), passed.value, detail)

    async def close(self) -> None:
        """End the child."""
        async with self._turn:
            await self._end()

    async def _ask(self, order: Order) -> Done:
        child = await self._running()
        assert child.stdin is not None
        assert child.stdout is not None
        message = msgspec.msgpack.encode(order)
        child.stdin.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        await child.stdin.drain()
        length = int.from_bytes(await child.stdout.readexactly(LENGTH_BYTES), "big")
        return msgspec.msgpack.decode(await child.stdout.readexactly(length), type=Done)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "control_plane.rewriter",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_child_environment(),
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


def _child_environment() -> dict[str, str]:
    """What a Python needs to start, and none of our secrets."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def obey(order: Order) -> Done:
    """Carry out one order; what the child does, callable anywhere."""
    result = apply_groups(order.page, order.groups, charset=order.charset)
    if isinstance(result, Rewritten):
        return Done(result.page, tuple(result.outcomes))
    return Done(order.page, tuple(result.outcomes), result.reason.value, result.detail)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Orders from `source`, answers to `sink`, until the parent closes."""
    while len(prefix := source.read(LENGTH_BYTES)) == LENGTH_BYTES:
        order = msgspec.msgpack.decode(source.read(int.from_bytes(prefix, "big")), type=Order)
        answer = msgspec.msgpack.encode(obey(order))
        sink.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        sink.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)

"""How long an answer of the database is waited for, and how it is found out that none will come.

Nobody who waits on a broken wire hears of it: a server whose machine is gone says nothing any more. So the server is asked for
a greeting over a new connection meanwhile. Slow is not away. Counterpart: `control_plane.store.mirrored` waits with these.
Never: a question of its own to the data.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from control_plane.store.interface import AwayError

T = TypeVar("T")

PATIENCE_S = 1.0  # an answer that takes longer makes us ask whether the server is there at all
WATCH_S = 5.0  # work that takes its time, such as a migration, is watched by asking so often
UNGREETED_MAX = 3  # times in a row: a server without a place for one more connection may be working all the same

Probe = Callable[[], Awaitable[None]]
"""Raises AwayError if the server does not greet a new connection."""


async def patiently(answer: Awaitable[T], probe: Probe) -> T:
    """An answer, of something that ends by itself at some time; where it takes long, AwayError unless the server greets."""
    task = asyncio.ensure_future(answer)
    try:
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            await probe()
        return await task
    except BaseException:
        _give_up(task)
        raise


async def watched(work: Awaitable[T], probe: Probe, *, every_s: float = WATCH_S) -> T:
    """What comes of work that may take as long as it likes; AwayError once the server no longer greets anybody."""
    task, ungreeted = asyncio.ensure_future(work), 0
    try:
        while not (await asyncio.wait({task}, timeout=every_s))[0]:
            try:
                await probe()
            except AwayError:
                ungreeted += 1
                if ungreeted == UNGREETED_MAX:
                    raise
            else:
                ungreeted = 0
        return await task
    except BaseException:
        _give_up(task)
        raise


def unheard(task: "asyncio.Future[T]") -> None:
    """Nobody waits for it any more."""
    if not task.cancelled():
        task.exception()


def _give_up(task: "asyncio.Future[T]") -> None:
    if not task.done():
        task.add_done_callback(unheard)
        task.cancel()

"""How long the database is waited for: as long as its server lives, and no longer.

Counterpart: `control_plane.store.mirrored` asks everything through it. Never: a bound on a question that is only slow.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from control_plane.store.mirror.sides import Primary

T = TypeVar("T")

PATIENCE_S = 1.0  # an answer that takes longer makes us ask whether the server is there at all


class Patience:
    """Waits for answers of one database."""

    def __init__(self, primary: Primary) -> None:
        self._primary = primary

    async def __call__(self, answer: Awaitable[T]) -> T:
        """The answer; where it takes long, AwayError unless the server still greets a new connection."""
        task = asyncio.ensure_future(answer)
        try:
            done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
            if not done:
                await self._primary.probe()
            return await task
        except BaseException:
            if not task.done():
                task.add_done_callback(unheard)
                task.cancel()
            raise


def unheard(task: "asyncio.Task[object]") -> None:
    """Nobody waits for what this task brings any more."""
    if not task.cancelled():
        task.exception()

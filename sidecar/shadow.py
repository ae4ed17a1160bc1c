"""Shadow mode: pages are decided and rewritten, and visitors get the origin's all the same.

A visitor's page streams through as on any site without rules, and a copy is kept as it goes by. After it has left, the copy
is decided and rewritten, and what would have become of the page is counted. An operator's page is tried out before, so that
its response can tell.
Counterparts: `proxy` decides, `relay` fills the copy, `telemetry` counts.
Never: a cookie, a field for caches, or a wait that an untouched page does not have; more copies than a bound.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

COPIES_MAX = 16
"""Pages that are being tried, per worker. Each may have `page_bytes_max`."""


class Copy:
    """What went by of one body, while it is not too large."""

    def __init__(self, bytes_max: int) -> None:
        self._pieces: list[bytes] = []
        self._room = bytes_max

    def take(self, piece: bytes) -> None:
        """The next piece, as it leaves."""
        self._room -= len(piece)
        if self._room >= 0:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    @property
    def whole(self) -> bytes | None:
        """All of it, None where it was too large to be rewritten."""
        return b"".join(self._pieces) if self._room >= 0 else None


class Shadow:
    """Tries pages of one worker after they have left."""

    def __init__(self, copies_max: int = COPIES_MAX) -> None:
        self._copies_max = copies_max
        self._trials: set[asyncio.Task[None]] = set()

    def begin(self, trial: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Try a page that has left, while nobody waits for it; False if too many others are being tried."""
        if len(self._trials) >= self._copies_max:
            return False
        task = asyncio.create_task(trial())
        self._trials.add(task)
        task.add_done_callback(self._trials.discard)
        return True

    async def close(self) -> None:
        """Give up what is still being tried."""
        for task in tuple(self._trials):
            task.cancel()
        await asyncio.gather(*self._trials, return_exceptions=True)

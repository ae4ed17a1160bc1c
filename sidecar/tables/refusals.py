"""What was read and refused, so that whoever publishes it again and again, or something else each time, costs little.

A table is known again by its size and its beginning, where the signature stands: another one that a trusted key has signed begins
differently, whatever version is announced, so that a good one in the place of a bad one is read at once. What is the same there
may still have been mended further behind, and is read again after a pause that doubles each time.
Pure but for the clock it is given. Counterpart: `feed.py`, which looks before it reads. Never: a version; anybody can announce any.
"""

from collections.abc import Callable

from msgspec import Struct

LOOK_BYTES = 1024
"""Of a table's beginning: the signature ends before 150."""
PAUSE_S_MIN = 5.0
PAUSE_S_MAX = 320.0
SPARED_BYTES = 128 * 1024 * 1024
"""Refused without any wait, if each time it is something else: the two largest tables, or a hundred usual ones."""
FORGIVEN_BYTES_PER_S = 1024 * 1024
"""Of what was refused. Beyond what is spared no more is read than this: of 64 MB, one in a minute."""


class Look(Struct, frozen=True):
    """As much of a table as is known before it is read."""

    size: int
    """Bytes of the whole."""
    beginning: bytes


def look_of(sealed: bytes | bytearray) -> Look:
    """How a table that was read looks from outside."""
    return Look(len(sealed), bytes(sealed[:LOOK_BYTES]))


class Refusals:
    """Those since the last table that was taken. `now` gives seconds that only grow."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: Look | None = None
        self._pause_s = 0.0
        self._until = 0.0
        self._bytes = 0.0
        self._at = 0.0

    def allow(self, look: Look) -> bool:
        """Whether something that looks like this should be read now."""
        now = self._now()
        if look == self._last and now < self._until:
            return False
        return look.size == 0 or self._left(now) < SPARED_BYTES

    def add(self, look: Look) -> None:
        """What looks like this was read, and refused."""
        now = self._now()
        self._pause_s = min(PAUSE_S_MAX, self._pause_s * 2) if look == self._last else PAUSE_S_MIN
        self._last, self._until = look, now + self._pause_s
        self._bytes, self._at = self._left(now) + look.size, now

    def forget(self) -> None:
        """A table was taken."""
        self._last, self._bytes = None, 0.0

    def _left(self, now: float) -> float:
        """Bytes that were refused and are not forgiven yet."""
        return max(0.0, self._bytes - (now - self._at) * FORGIVEN_BYTES_PER_S)

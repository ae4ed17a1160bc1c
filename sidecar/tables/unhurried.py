"""A table is loaded in a thread beside the visitors, who come first: a bit of work, then a rest, and no collector meanwhile.

Two threads of one Python take turns of 5 ms each, and a visitor's request needs several. So the loading thread gives up its
turn by itself after half a millisecond, and sleeps four times as long: 10,000 mutations take 0.3 s in place of 0.06, and a
visitor waits for a piece of it, not for the whole. What C does in one piece can't be divided: of 10,000 mutations 2 to 5 ms.
Counterparts: `rules.sealing.unseal` calls `pause` between its pieces, `tables` decides when to hurry.
Never: a rest while nobody is served.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WORK_S = 0.0005
"""Processor time of the thread between two rests."""
TURN_S = 0.001
"""How long somebody who waits lets another thread go on; Python's own 5 ms are for programs without visitors."""
REST_S = 0.002


class Unhurried:
    """A `pause` for one load: `pause()` rests when it is time to. Used by one thread.

    `clock` gives seconds of the thread's own processor time, `rest` takes so many seconds.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.thread_time, rest: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._rest = rest
        self._rested_at: float | None = None

    def __call__(self) -> None:
        now = self._clock()
        if self._rested_at is None:
            self._rested_at = now
        elif now - self._rested_at >= WORK_S:
            self._rest(REST_S)
            self._rested_at = self._clock()


def at_once() -> None:
    """A pause of nobody's."""


@contextmanager
def beside_visitors() -> Iterator[None]:
    """Turns are short in the block, and nothing is collected: a table being made is no garbage, and looking at it again and
    again takes longer than making it. One block at a time."""
    collects, turn_s = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(turn_s)
        if collects:
            gc.enable()

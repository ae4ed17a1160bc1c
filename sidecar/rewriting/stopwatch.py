"""How long each mutation of a page took by itself, so that one that is slow is found.

Counterpart: `rules.html.apply_groups` says whose work begins; `rewriter.py` (or the worker, where it rewrites itself) reads the
clocks, `guard.py` judges what was slow. Time in which the processor was somebody else's counts for nobody: a busy machine must
not make a mutation slow. The wall's clock is read for each mutation, since it costs a tenth of the processor's (0.06 µs beside
0.6), and the processor's once a page, and once more where somebody may be slow.
Never: a mutation charged for the parsing of the page, or for a proof, which all of them share.
"""

import time
from collections.abc import Callable

from rules.watch import EVERYBODYS, NOBODYS

PAGE_BYTES = 128 * 1024
"""The bound on one mutation is for a page of up to so many bytes; a larger one may take that much longer."""

Clock = Callable[[], int]


class Stopwatch:
    """For one page, from its making on; called with whose work begins. Both clocks give nanoseconds."""

    __slots__ = ("_began", "_marks", "_processor", "_wall")

    def __init__(self, wall: Clock = time.perf_counter_ns, processor: Clock = time.thread_time_ns) -> None:
        self._wall = wall
        self._processor = processor
        self._began = processor()
        self._marks: list[tuple[str, int]] = [(NOBODYS, wall())]

    def __call__(self, whose: str) -> None:
        self._marks.append((whose, self._wall()))

    def slow(self, bound_us: int, page_bytes: int) -> dict[str, int]:
        """Mutation -> microseconds, for those that took longer than the bound on a page of this size."""
        bound_ns = 1000.0 * bound_us * max(1.0, page_bytes / PAGE_BYTES)
        marks, ended = self._marks, self._wall()
        whole = ended - marks[0][1]
        if whole <= bound_ns:
            return {}
        idle = max(0, whole - (self._processor() - self._began))
        took: dict[str, int] = {}
        for (whose, begun), (_, until) in zip(marks, [*marks[1:], ("", ended)], strict=True):
            took[whose] = took.get(whose, 0) + until - begun
        return {
            whose: (spent - idle) // 1000
            for whose, spent in took.items()
            if spent - idle > bound_ns and whose not in (NOBODYS, EVERYBODYS)
        }

"""A circuit breaker: an origin that failed several requests in a row is left out, and tried again by one request at a time.

Pure but for the clock and the dice it is given. Counterpart: `origins`, which tells it what came of each request.
Never: a word on who gets the request instead; that is `sites`'.
"""

import random
from collections.abc import Callable
from enum import StrEnum

BACK_OFF_S_MAX = 60.0
"""Longest time without a trial."""


class State(StrEnum):
    """What a breaker lets through: the word in metrics and `/table`."""

    CLOSED = "closed"
    """Every request."""
    OPEN = "open"
    """None, until the back-off is over; then one."""
    HALF_OPEN = "half_open"
    """That one is under way."""


class Breaker:
    """The breaker of one origin. `failures_max` failures in a row open it, 0 never do; `back_off_s` is the first one."""

    def __init__(
        self, *, failures_max: int, back_off_s: float, now: Callable[[], float], entropy: random.Random
    ) -> None:
        self.state = State.CLOSED
        self.failures = 0
        """In a row."""
        self._failures_max = failures_max
        self._back_off_s = back_off_s
        self._now = now
        self._entropy = entropy
        self._openings = 0
        self._until = 0.0

    @property
    def closed(self) -> bool:
        """Whether requests go there as usual."""
        return self.state is State.CLOSED

    @property
    def due(self) -> bool:
        """Whether one request should try again now."""
        return self.state is State.OPEN and self._now() >= self._until

    def begin_trial(self) -> None:
        """One request tries; it ends with `succeeded`, `failed` or `gave_up`."""
        self.state = State.HALF_OPEN

    def succeeded(self) -> None:
        """The origin answered, be it a trial, or a request that had nowhere else to go."""
        self.failures = self._openings = 0
        self.state = State.CLOSED

    def failed(self, *, trial: bool) -> None:
        """The origin failed a request. One that was no trial says nothing new while the breaker is not closed."""
        self.failures += 1
        if trial or (self.state is State.CLOSED and 0 < self._failures_max <= self.failures):
            self._open()

    def gave_up(self) -> None:
        """A trial ended without saying anything of the origin: the next request may try."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN

    def _open(self) -> None:
        longest_s = min(BACK_OFF_S_MAX, self._back_off_s * 2.0 ** min(self._openings, 16))
        self._openings += 1
        self.state = State.OPEN
        # Workers and sidecars that saw the same failure do not try again together.
        self._until = self._now() + longest_s * self._entropy.uniform(0.5, 1.0)

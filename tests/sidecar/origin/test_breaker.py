"""The circuit breaker: when it opens, who tries again and when, and what closes it."""

import random

from sidecar.origin.breaker import BACK_OFF_S_MAX, Breaker, State


class Clock:
    def __init__(self) -> None:
        self.now = 100.0


def opened(clock: Clock, *, failures_max: int = 3) -> Breaker:
    breaker = Breaker(failures_max=failures_max, back_off_s=2.0, now=lambda: clock.now, entropy=random.Random(1))
    for _ in range(failures_max):
        breaker.failed(trial=False)
    return breaker


def test_only_failures_in_a_row_open_it() -> None:
    breaker = Breaker(failures_max=3, back_off_s=2.0, now=lambda: 0.0, entropy=random.Random(1))
    for _ in range(5):
        breaker.failed(trial=False)
        breaker.failed(trial=False)
        assert breaker.closed
        breaker.succeeded()
    assert opened(Clock()).state is State.OPEN


def test_none_opens_where_none_is_wanted() -> None:
    breaker = opened(Clock(), failures_max=0)
    for _ in range(1000):
        breaker.failed(trial=False)
    assert breaker.closed


def test_one_request_tries_after_the_back_off() -> None:
    clock = Clock()
    breaker = opened(clock)
    found = []
    for _ in range(3):
        found.append(breaker.due)
        clock.now += 1.0
    assert found == [False, found[1], True]
    breaker.begin_trial()
    assert (breaker.state, breaker.due, breaker.closed) == (State.HALF_OPEN, False, False)
    breaker.succeeded()
    assert (breaker.closed, breaker.failures) == (True, 0)


def test_each_trial_that_fails_doubles_the_back_off_up_to_a_minute() -> None:
    clock = Clock()
    breaker = opened(clock)
    waits = []
    for _ in range(10):
        began = clock.now
        while not breaker.due:
            clock.now += 0.125
        waits.append(clock.now - began)
        breaker.begin_trial()
        breaker.failed(trial=True)
    for number, wait in enumerate(waits):
        longest = min(BACK_OFF_S_MAX, 2.0 * 2**number)
        assert longest / 2 <= wait <= longest + 0.125
    assert len({wait / min(BACK_OFF_S_MAX, 2.0 * 2**number) for number, wait in enumerate(waits)}) > 5, "no jitter"
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(trial=False)
    clock.now += 2.0
    assert breaker.due, "what was mended begins anew"


def test_what_fails_beside_the_trial_says_nothing_new() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2.0
    breaker.failed(trial=False)
    assert breaker.due, "a request that had nowhere else to go put the trial off"
    breaker.begin_trial()
    breaker.failed(trial=False)
    assert breaker.state is State.HALF_OPEN


def test_a_trial_that_nobody_waited_for_is_made_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 2.0
    breaker.begin_trial()
    breaker.gave_up()
    assert breaker.due
    breaker.succeeded()
    breaker.gave_up()
    assert breaker.closed

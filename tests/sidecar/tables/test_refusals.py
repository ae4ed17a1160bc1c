"""How often something is read that was refused: by a clock that the test moves."""

import pytest

from sidecar.tables.refusals import (
    FORGIVEN_BYTES_PER_S,
    LOOK_BYTES,
    PAUSE_S_MAX,
    PAUSE_S_MIN,
    SPARED_BYTES,
    Look,
    Refusals,
    look_of,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(clock: Clock) -> Refusals:
    return Refusals(clock)


def looks(number: int, size: int = 10_000) -> Look:
    return Look(size, b"%d" % number)


def reads_in(seconds: int, refusals: Refusals, clock: Clock, size: int, *, same: bool) -> int:
    """How often a table of `size` bytes is read and refused, where one is announced each second."""
    reads = 0
    for second in range(seconds):
        look = looks(0 if same else second, size)
        if refusals.allow(look):
            refusals.add(look)
            reads += 1
        clock.now += 1
    return reads


def test_the_same_again_waits_twice_as_long_each_time(refusals: Refusals, clock: Clock) -> None:
    assert refusals.allow(looks(1))
    refusals.add(looks(1))
    pause_s = PAUSE_S_MIN
    for _ in range(10):
        clock.now += pause_s - 0.1
        assert not refusals.allow(looks(1))
        clock.now += 0.1
        assert refusals.allow(looks(1))
        refusals.add(looks(1))
        pause_s = min(PAUSE_S_MAX, pause_s * 2)
    assert pause_s == PAUSE_S_MAX


def test_another_one_is_read_at_once_and_begins_with_the_shortest_pause(refusals: Refusals, clock: Clock) -> None:
    for _ in range(5):
        refusals.add(looks(1))
    assert refusals.allow(looks(2))
    assert refusals.allow(looks(1, 10_001))
    refusals.add(looks(2))
    clock.now += PAUSE_S_MIN
    assert refusals.allow(looks(2))


def test_what_differs_each_time_is_read_no_more_than_is_forgiven(refusals: Refusals, clock: Clock) -> None:
    size = SPARED_BYTES // 2
    an_hour = reads_in(3600, refusals, clock, size, same=False)
    assert an_hour <= 3 + 3600 * FORGIVEN_BYTES_PER_S / size
    assert an_hour >= 3600 * FORGIVEN_BYTES_PER_S / size


def test_the_same_for_an_hour_is_read_some_times(refusals: Refusals, clock: Clock) -> None:
    assert reads_in(3600, refusals, clock, SPARED_BYTES // 2, same=True) <= 20


def test_small_ones_that_differ_are_all_read(refusals: Refusals, clock: Clock) -> None:
    assert reads_in(3600, refusals, clock, FORGIVEN_BYTES_PER_S // 2, same=False) == 3600


def test_nothing_there_is_seen_at_once(refusals: Refusals) -> None:
    for number in range(5):
        refusals.add(looks(number, SPARED_BYTES))
    assert refusals.allow(Look(0, b""))


def test_a_table_that_was_taken_ends_it(refusals: Refusals) -> None:
    for _ in range(5):
        refusals.add(looks(1, SPARED_BYTES))
    refusals.forget()
    assert refusals.allow(looks(1, SPARED_BYTES))


def test_a_table_is_known_by_its_size_and_its_beginning() -> None:
    sealed = bytearray(range(256)) * 8
    assert look_of(sealed) == Look(2048, bytes(sealed[:LOOK_BYTES]))

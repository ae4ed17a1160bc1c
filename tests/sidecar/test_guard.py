"""Mutations in quarantine: skipped in the version that did harm, for a while that grows."""

from sidecar.guard import ENTRIES_MAX, STAY_S_MAX, Guard
from tests.sidecar.wire import headline, table


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_mutation_is_skipped_and_comes_back() -> None:
    clock, rules = Clock(), table(headline(version=2))
    guard = Guard(clock, stay_s=10)
    assert guard.held(rules) == frozenset()
    assert guard.hold("headline", 2) == 10
    assert guard.held(rules) == {"headline"}
    assert guard.held(None) == frozenset()
    clock.now = 10
    assert guard.held(rules) == frozenset()


def test_a_new_version_is_tried_at_once_and_the_old_one_is_not_when_it_comes_back() -> None:
    guard, before, after = Guard(Clock(), stay_s=10), table(headline(version=2)), table(headline(version=3), version=8)
    guard.hold("headline", 2)
    assert guard.held(before) == {"headline"}
    assert guard.held(after) == frozenset()
    assert guard.held(before) == {"headline"}
    guard.hold("headline", 3)
    assert guard.held(after) == {"headline"}
    assert not guard.held(before)


def test_each_offence_doubles_the_stay_up_to_a_day() -> None:
    guard = Guard(Clock(), stay_s=600)
    stays = [guard.hold("headline", 1) for _ in range(40)]
    assert stays[:4] == [600, 1200, 2400, 4800]
    assert stays[-1] == STAY_S_MAX
    assert guard.hold("headline", 2) == 600


def test_room_is_bounded() -> None:
    clock = Clock()
    guard, rules = Guard(clock, stay_s=10), table(*(headline(id=f"m-{number}") for number in range(ENTRIES_MAX + 1)))
    for number in range(ENTRIES_MAX + 1):
        clock.now = number / ENTRIES_MAX
        guard.hold(f"m-{number}", 1)
    assert len(guard.held(rules)) == ENTRIES_MAX
    assert "m-0" not in guard.held(rules)

"""Harmful pages pass untouched, and mutations are skipped in the version that did harm, for a while that grows."""

from sidecar.rewriting.quarantine import (
    MUTATIONS_MAX,
    STAY_S_MAX,
    TRIAL_S,
    HeldMutation,
    HeldPage,
    MutationQuarantine,
    PageQuarantine,
    Why,
)
from tests.sidecar.wire import headline, table


def test_a_page_is_held_under_its_decision_and_let_go() -> None:
    quarantine = PageQuarantine(stay_s=10)
    assert not quarantine.holds("shop.example/", "d1", 0)
    assert quarantine.add("shop.example/", "d1", 0) == 10
    assert quarantine.holds("shop.example/", "d1", 9)
    assert not quarantine.holds("shop.example/", "d2", 9), "a new table is a new chance"
    assert not quarantine.holds("shop.example/other", "d1", 9)
    assert not quarantine.holds("shop.example/", "d1", 10)


def test_each_offence_doubles_the_stay_up_to_a_day() -> None:
    quarantine = PageQuarantine(stay_s=600)
    stays = [quarantine.add("/", "d1", 0) for _ in range(40)]
    assert stays[:4] == [600, 1200, 2400, 4800]
    assert stays[-1] == STAY_S_MAX


def test_the_third_offending_query_holds_the_whole_path() -> None:
    quarantine = PageQuarantine(stay_s=10)
    for number in range(2):
        quarantine.add(f"/search?q={number}", "d1", 0)
    assert not quarantine.holds("/search?q=other", "d1", 1)
    quarantine.add("/search?q=2", "d1", 0)
    assert quarantine.holds("/search?q=other", "d1", 1)
    assert not quarantine.holds("/search", "d1", 1)
    assert not quarantine.holds("/search?q=other", "d1", 10)


def test_room_is_bounded() -> None:
    quarantine = PageQuarantine(stay_s=10, pages_max=3)
    for number in range(10):
        quarantine.add(f"/{number}", "d1", 0)
    assert len(quarantine) == 3
    assert quarantine.holds("/9", "d1", 1)
    assert not quarantine.holds("/0", "d1", 1)


# ---- mutations


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_mutation_is_skipped_and_comes_back() -> None:
    clock, rules = Clock(), table(headline(version=2))
    quarantine = MutationQuarantine(clock, stay_s=10)
    assert quarantine.held(rules) == frozenset()
    assert quarantine.hold("headline", 2) == 10
    assert quarantine.held(rules) == {"headline"}
    assert quarantine.held(None) == frozenset()
    clock.now = 10
    assert quarantine.held(rules) == frozenset()


def test_a_new_version_is_tried_at_once_and_the_old_one_is_not_when_it_comes_back() -> None:
    quarantine, before, after = (
        MutationQuarantine(Clock(), stay_s=10),
        table(headline(version=2)),
        table(headline(version=3), version=8),
    )
    quarantine.hold("headline", 2)
    assert quarantine.held(before) == {"headline"}
    assert quarantine.held(after) == frozenset()
    assert quarantine.held(before) == {"headline"}
    quarantine.hold("headline", 3)
    assert quarantine.held(after) == {"headline"}
    assert not quarantine.held(before)


def test_each_fault_of_a_mutation_doubles_its_stay() -> None:
    quarantine = MutationQuarantine(Clock(), stay_s=600)
    stays = [quarantine.hold("headline", 1) for _ in range(40)]
    assert stays[:4] == [600, 1200, 2400, 4800]
    assert stays[-1] == STAY_S_MAX
    assert quarantine.hold("headline", 2) == 600


def test_room_for_mutations_is_bounded() -> None:
    clock = Clock()
    quarantine, rules = (
        MutationQuarantine(clock, stay_s=10),
        table(*(headline(id=f"m-{number}") for number in range(MUTATIONS_MAX + 1))),
    )
    for number in range(MUTATIONS_MAX + 1):
        clock.now = number / MUTATIONS_MAX
        quarantine.hold(f"m-{number}", 1)
    assert len(quarantine.held(rules)) == MUTATIONS_MAX
    assert "m-0" not in quarantine.held(rules)


def test_after_its_stay_a_mutation_is_on_trial_for_a_day_and_then_forgiven() -> None:
    clock = Clock()
    quarantine = MutationQuarantine(clock, stay_s=10)
    assert not quarantine.on_trial("m", 1)
    quarantine.hold("m", 1, Why.SLOW)
    assert (quarantine.holds("m", 1), quarantine.on_trial("m", 1)) == (True, False)
    clock.now = 10
    assert (quarantine.holds("m", 1), quarantine.on_trial("m", 1), quarantine.on_trial("m", 2)) == (False, True, False)
    assert quarantine.hold("m", 1, Why.SLOW) == 20
    clock.now = 30 + TRIAL_S
    assert (quarantine.on_trial("m", 1), quarantine.entries()) == (False, [])
    assert quarantine.hold("m", 1, Why.SLOW) == 10


def test_what_another_process_holds_is_held_here_and_told_to_nobody() -> None:
    told: list[HeldMutation] = []
    clock, rules = Clock(), table(headline(version=2))
    quarantine = MutationQuarantine(clock, stay_s=10, on_hold=told.append)
    held = HeldMutation("headline", 2, Why.HUNG, 3, 40.0)
    quarantine.enter(held)
    assert quarantine.held(rules) == {"headline"}
    assert (quarantine.entries(), told) == ([held], [])
    assert quarantine.told(rules) == {"headline": (2, "hung", 40.0)}
    quarantine.enter(HeldMutation("headline", 2, Why.SLOW, 1, 5.0))
    assert quarantine.entries() == [held], "what is less changes nothing"
    quarantine.enter(HeldMutation("headline", 1, Why.SLOW, 9, 500.0))
    assert quarantine.entries() == [held], "and an older version neither"
    clock.now = 40
    assert quarantine.held(rules) == frozenset()
    assert quarantine.hold("headline", 2, Why.KILLED) == 80, "the fourth offence"
    assert told == [HeldMutation("headline", 2, Why.KILLED, 4, 80.0)]


def test_pages_that_another_process_holds() -> None:
    told: list[tuple[HeldPage, ...]] = []
    here = PageQuarantine(stay_s=10, on_hold=told.append)
    here.add("/search?q=1", "d1", 0, Why.HUNG, 7)
    [(page, queries)] = told
    assert (page.path, page.why, page.table, page.left_s) == ("/search", Why.HUNG, 7, 10)
    assert (queries.path, queries.offences, queries.left_s) == ("/search", 1, 0)
    there = PageQuarantine(stay_s=10, on_hold=told.append)
    for one in (page, queries):
        there.enter(one, 100)
    assert len(told) == 1
    assert there.entries(100) == [page, queries]
    assert there.holds("/search?q=1", "d1", 109)
    assert not there.holds("/search?q=1", "d1", 110)
    for number in (2, 3):
        there.add(f"/search?q={number}", "d1", 110)
    assert there.holds("/search?q=other", "d1", 111), "the third of the path, though one was elsewhere"


def test_an_address_that_is_no_text_is_held_and_told() -> None:
    told: list[tuple[HeldPage, ...]] = []
    quarantine = PageQuarantine(on_hold=told.append)
    quarantine.add("shop.example/\udce9?a", "d1", 0)
    assert quarantine.holds("shop.example/\udce9?a", "d1", 1)
    [(page, _)] = told
    assert page.path == "shop.example/?"


def test_a_page_that_left_for_room_is_forgotten_with_its_path() -> None:
    quarantine = PageQuarantine(stay_s=10, pages_max=2)
    quarantine.add("/a", "d1", 0)
    quarantine.add("/b", "d1", 0)
    quarantine.add("/c", "d1", 0)
    assert dict(quarantine._paths) == {"/b": 1, "/c": 1}

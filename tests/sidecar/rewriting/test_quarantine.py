"""Harmful pages pass untouched, and mutations are skipped in the version that did harm, for a while that grows."""

from sidecar.rewriting.quarantine import (
    MUTATIONS_MAX,
    STAY_S,
    STAY_S_MAX,
    TRIAL_S,
    HeldMutation,
    HeldPage,
    MutationQuarantine,
    PageQuarantine,
    Why,
)
from tests.sidecar.wire import headline, table


def test_times_are_what_the_documents_say() -> None:
    times, day_s = (STAY_S, STAY_S_MAX, TRIAL_S), 24 * 3600
    assert times == (600, day_s, day_s), "docs/guard.md: ten minutes, up to a day; a day on trial"


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


def test_the_page_that_did_harm_longest_ago_leaves_first() -> None:
    quarantine = PageQuarantine(stay_s=10, pages_max=3)
    for path in ("/a", "/b", "/c", "/a", "/d"):
        quarantine.add(path, "d1", 0)
    assert [quarantine.holds(path, "d1", 1) for path in ("/a", "/b", "/c", "/d")] == [True, False, True, True]


def test_of_two_pages_with_one_path_the_one_that_stays_is_held() -> None:
    quarantine = PageQuarantine(stay_s=10, pages_max=3)
    for address, decision in (("/a", "d1"), ("/a", "d2"), ("/b", "d1"), ("/c", "d1")):
        quarantine.add(address, decision, 0)
    assert [quarantine.holds("/a", decision, 1) for decision in ("d1", "d2")] == [False, True]


# ---- mutations

LONG_UP_S = 40.0 * 24 * 3600
"""What a clock that only grows says on a machine that has run for some weeks."""


class Clock:
    """Seconds that a test moves."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

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


def test_one_that_is_held_later_is_skipped_in_the_same_table_too() -> None:
    quarantine, rules = MutationQuarantine(Clock(), stay_s=10), table(headline(id="a"), headline(id="b"))
    quarantine.hold("a", 1, Why.SLOW)
    assert quarantine.held(rules) == {"a"}
    quarantine.hold("b", 1, Why.HUNG)
    assert quarantine.held(rules) == {"a", "b"}
    assert [(one.mutation_id, one.why) for one in quarantine.entries(["b"])] == [("b", Why.HUNG)]
    assert (quarantine.holds("b", 1), quarantine.holds("b", 2)) == (True, False)


def test_it_is_held_for_what_it_did_last() -> None:
    told: list[HeldMutation] = []
    quarantine = MutationQuarantine(Clock(), stay_s=10, on_hold=told.append)
    for why in (Why.SLOW, Why.KILLED):
        quarantine.hold("m", 1, why)
        assert [one.why for one in (*quarantine.entries(), told[-1])] == [why, why]


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
    held = quarantine.held(rules)
    assert (len(held), "m-0" in held) == (MUTATIONS_MAX, False)
    quarantine.hold("m-5", 1)
    assert quarantine.held(rules) == held, "who is there already needs no room"


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


def test_who_is_told_of_a_trial_tries_it_for_the_rest_of_that_day() -> None:
    clocks = Clock(), Clock(LONG_UP_S), Clock(LONG_UP_S)
    here, there, beyond = (MutationQuarantine(clock, stay_s=10) for clock in clocks)
    here.hold("m", 1, Why.SLOW)
    clocks[0].now = 10 + 3600
    for before, after in ((here, there), (there, beyond)):
        [told] = before.entries()
        assert (told.left_s, told.over_s, told.offences) == (0, 3600, 1)
        after.enter(told)
        assert (after.holds("m", 1), after.on_trial("m", 1), after.entries()) == (False, True, [told])
    clocks[1].now += TRIAL_S - 3601
    assert (there.on_trial("m", 1), there.hold("m", 1, Why.SLOW)) == (True, 20)


def test_what_is_forgiven_is_forgiven_though_another_process_tells_of_the_next_time() -> None:
    clock = Clock(LONG_UP_S)
    quarantine = MutationQuarantine(clock, stay_s=10)
    for _ in range(4):
        quarantine.hold("m", 1)
    clock.now += 80 + TRIAL_S
    again = HeldMutation("m", 1, Why.SLOW, 1, 10.0)
    quarantine.enter(again)
    assert quarantine.entries() == [again]


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

"""Harmful pages pass untouched, for a while that grows."""

from sidecar.quarantine import STAY_S_MAX, Quarantine


def test_a_page_is_held_under_its_decision_and_let_go() -> None:
    quarantine = Quarantine(stay_s=10)
    assert not quarantine.holds("shop.example/", "d1", 0)
    assert quarantine.add("shop.example/", "d1", 0) == 10
    assert quarantine.holds("shop.example/", "d1", 9)
    assert not quarantine.holds("shop.example/", "d2", 9), "a new table is a new chance"
    assert not quarantine.holds("shop.example/other", "d1", 9)
    assert not quarantine.holds("shop.example/", "d1", 10)


def test_each_offence_doubles_the_stay_up_to_a_day() -> None:
    quarantine = Quarantine(stay_s=600)
    stays = [quarantine.add("/", "d1", 0) for _ in range(40)]
    assert stays[:4] == [600, 1200, 2400, 4800]
    assert stays[-1] == STAY_S_MAX


def test_the_third_offending_query_holds_the_whole_path() -> None:
    quarantine = Quarantine(stay_s=10)
    for number in range(2):
        quarantine.add(f"/search?q={number}", "d1", 0)
    assert not quarantine.holds("/search?q=other", "d1", 1)
    quarantine.add("/search?q=2", "d1", 0)
    assert quarantine.holds("/search?q=other", "d1", 1)
    assert not quarantine.holds("/search", "d1", 1)
    assert not quarantine.holds("/search?q=other", "d1", 10)


def test_room_is_bounded() -> None:
    quarantine = Quarantine(stay_s=10, entries_max=3)
    for number in range(10):
        quarantine.add(f"/{number}", "d1", 0)
    assert len(quarantine) == 3
    assert quarantine.holds("/9", "d1", 1)
    assert not quarantine.holds("/0", "d1", 1)

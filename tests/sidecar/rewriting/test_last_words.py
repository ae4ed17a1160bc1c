"""What a worker leaves behind: written in shared memory, read by another descriptor, believed only whole."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rules.watch import EVERYBODYS, NOBODYS
from sidecar.rewriting.last_words import MUTATIONS_MAX, PLACE_BYTES, LastWords, UnderWay, named

PAGE = UnderWay("a" * 32, "b" * 32, "shop.example/offers", "d1", 7, (("one", 1), ("two", 5)))


@pytest.fixture
def places() -> Iterator[tuple[LastWords, LastWords]]:
    """The worker's and the supervisor's."""
    supervisors = LastWords.new()
    workers = LastWords(os.dup(supervisors.descriptor))
    yield workers, supervisors
    workers.close()
    supervisors.close()


def test_nothing_is_under_way_before_and_after(places: tuple[LastWords, LastWords]) -> None:
    worker, supervisor = places
    assert supervisor.heard() is None
    worker.begin(PAGE)
    assert supervisor.heard() == (PAGE, ())
    worker.end()
    assert supervisor.heard() is None


def test_whose_turn_it_was(places: tuple[LastWords, LastWords]) -> None:
    worker, supervisor = places
    worker.begin(PAGE)
    for whose, suspects in {
        "one": (("one", 1),),
        "two": (("two", 5),),
        EVERYBODYS: PAGE.mutations,
        "unknown": (),
        NOBODYS: (),
    }.items():
        worker.turn(whose)
        assert supervisor.heard() == (PAGE, suspects)
    worker.turn("two")
    worker.begin(msgspec.structs.replace(PAGE, path="shop.example/next"))
    heard = supervisor.heard()
    assert heard is not None
    assert (heard[0].path, heard[1]) == ("shop.example/next", ()), "a page begins with its parsing"


@pytest.mark.parametrize("at", [4, 8, 20])
def test_what_is_damaged_is_not_believed(places: tuple[LastWords, LastWords], at: int) -> None:
    worker, supervisor = places
    worker.begin(PAGE)
    worker._place[at] ^= 0xFF
    assert supervisor.heard() is None


def test_what_is_whole_and_makes_no_sense_is_not_believed(places: tuple[LastWords, LastWords]) -> None:
    worker, supervisor = places
    worker.begin(msgspec.structs.replace(PAGE, page="no digest"))
    assert supervisor.heard() is None


def test_a_turn_beyond_the_list_is_nobodys(places: tuple[LastWords, LastWords]) -> None:
    worker, supervisor = places
    worker.begin(PAGE)
    worker._place[1] = 77
    assert supervisor.heard() == (PAGE, ())


def test_mutations_without_room_are_not_named(places: tuple[LastWords, LastWords]) -> None:
    worker, supervisor = places
    many = tuple((f"{'m' * 190}-{number}", 1) for number in range(MUTATIONS_MAX + 20))
    assert len(named(many)) == MUTATIONS_MAX
    worker.begin(msgspec.structs.replace(PAGE, mutations=named(many)))
    worker.turn(many[0][0])
    assert supervisor.heard() == (msgspec.structs.replace(PAGE, mutations=()), ())
    assert len(supervisor._place) == PLACE_BYTES


@pytest.mark.parametrize("beyond", [0, 1])
def test_all_of_the_place_is_used_and_no_more(places: tuple[LastWords, LastWords], beyond: int) -> None:
    worker, supervisor = places
    room = PLACE_BYTES - 8  # the head
    most = [("m" * 190, 1)] * 41
    one_more = room - len(msgspec.msgpack.encode(msgspec.structs.replace(PAGE, mutations=tuple(most)))) - 4
    large = msgspec.structs.replace(PAGE, mutations=(*most, ("n" * (one_more + beyond), 1)))
    assert len(msgspec.msgpack.encode(large)) == room + beyond
    worker.begin(large)
    assert supervisor.heard() == (msgspec.structs.replace(PAGE, mutations=()) if beyond else large, ())


def test_a_place_that_was_given_back_holds_nothing() -> None:
    place = LastWords.new()
    place.close()
    assert place._place.closed
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(place.descriptor)


def test_where_the_system_has_no_memory_without_a_name_the_file_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = LastWords.new()
    place.begin(PAGE)
    assert (place.heard(), list(tmp_path.iterdir())) == ((PAGE, ()), [])
    place.close()

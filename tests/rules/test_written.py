"""Rows compiled at their first use; what bytes say otherwise is in test_table.py."""

from typing import Any

import msgspec
import pytest

from rules.errors import RulesError
from rules.pieces import Pieces, mutation_of, of, taken_apart, written
from rules.reasons import Outcome, Reason
from rules.rows import Row, company_of
from rules.written import PAUSE_EVERY, Entry, Written, WrittenRows, entry_of, read
from tests.rules.making import removing, rules_file, variant

FILE = rules_file(removing("a", pageSlug="/a", site="shop.example"), removing("b"))
BYTES = [msgspec.msgpack.encode(mutation) for mutation in FILE.mutations]


def test_a_row_is_compiled_once_and_kept() -> None:
    told: list[Outcome] = []
    rows = WrittenRows(BYTES, company_of(FILE), told.append)
    row = rows[1]
    assert isinstance(row, Row)
    assert row.mutation == FILE.mutations[1]
    assert rows[1] is row
    assert list(rows) == [1]
    assert told == []


def test_what_can_not_be_used_is_an_outcome_and_said_once() -> None:
    told: list[Outcome] = []
    alone = rules_file(experiments=[{"id": "e", "variations": [{"key": "control"}, {"key": "new"}]}])
    missing = [
        msgspec.msgpack.encode(mutation)
        for mutation in rules_file(variant("v"), experiments=msgspec.to_builtins(alone)["experiments"]).mutations
    ]
    rows = WrittenRows(missing, company_of(rules_file()), told.append)
    assert rows[0] is rows[0]
    assert told == [rows[0]]
    assert told[0].reason is Reason.UNUSABLE
    assert "there is no experiment 'e'" in told[0].detail


def test_an_entry_is_read_without_the_rest() -> None:
    assert entry_of(BYTES[0]) == Entry(id="a", site="shop.example", page_slug="/a", version=1)
    assert mutation_of(BYTES[0]) == FILE.mutations[0]


# ---- what the table before had


def in_pieces(*mutations: dict[str, Any], **others: Any) -> Pieces:
    encoded, lengths = written(rules_file(*mutations, **others))
    return taken_apart(memoryview(encoded), lengths)


def loaded(pieces: Pieces, before: Written | None = None, looked: list[bytes] | None = None) -> Written:
    look = None if looked is None else looked.append
    return read(pieces, lambda _: None, pause=lambda: None, look=look, before=before)


MANY = [removing(f"m-{number:03}", pageSlug=f"/{number % 7}") for number in range(2 * PAUSE_EVERY + 3)]


def test_what_is_the_same_bytes_is_taken_over() -> None:
    first = loaded(in_pieces(*MANY))
    rows = [first.rows[place] for place in range(len(MANY))]
    looked: list[bytes] = []
    changed = [*MANY[:5], removing("m-005", pageSlug="/5", note="new"), *MANY[6:]]
    second = loaded(in_pieces(*changed), first, looked)
    assert second.company is first.company
    assert second.index is first.index
    assert sorted(second.rows) == [place for place in range(len(MANY)) if place != 5]
    assert all(second.rows[place] is rows[place] for place in second.rows)
    assert second.rows[5] is not rows[5]
    assert (len(looked), sum(one.count(b"m-") for one in looked)) == (1, PAUSE_EVERY)
    assert len(first.rows) == len(MANY)


def test_what_has_another_place_is_taken_over_to_there() -> None:
    first = loaded(in_pieces(*MANY))
    rows = {place: first.rows[place] for place in (0, 150, 202)}
    second = loaded(in_pieces(removing("new", pageSlug="/new"), *MANY[1:150], *MANY[151:]), first)
    assert dict(second.rows) == {201: rows[202]}
    third = loaded(in_pieces(*reversed(MANY)), second)
    assert dict(third.rows) == {0: rows[202]}
    assert third.index is not second.index
    assert third.roster.places["m-202"] == 0
    assert list(third.index.find("shop.example", "/3")) == [place for place in range(203) if (202 - place) % 7 == 3]


def test_rows_of_another_company_are_compiled_anew() -> None:
    first = loaded(in_pieces(*MANY[:3]))
    row = first.rows[0]
    second = loaded(in_pieces(*MANY[:3], segments=[{"id": "s", "conditions": {}}]), first)
    assert second.company is not first.company
    assert not second.rows
    assert second.rows[0] is not row
    assert second.roster.entries[0] is not None
    assert second.index is first.index


def test_a_page_that_moved_has_another_index() -> None:
    first = loaded(in_pieces(*MANY[:3]))
    second = loaded(in_pieces(*MANY[:2], removing("m-002", pageSlug="/elsewhere")), first)
    assert list(second.index.find("shop.example", "/elsewhere")) == [2]
    assert list(first.index.find("shop.example", "/elsewhere")) == []


def test_what_could_not_be_used_is_tried_again() -> None:
    broken = [msgspec.msgpack.encode(FILE.mutations[0]), BYTES[1].replace(b"\xa2h1", b"\xa2h[")]
    pieces = Pieces(in_pieces().others, memoryview(b"".join(broken)), [*map(len, broken)])
    told: list[Outcome] = []
    first = read(pieces, told.append, pause=lambda: None)
    assert isinstance(first.rows[1], Outcome)
    second = read(pieces, told.append, pause=lambda: None, before=first)
    assert not second.rows
    assert isinstance(second.rows[1], Outcome)
    assert len(told) == 2


def test_who_reads_visits_is_known_of_what_is_taken_over_too() -> None:
    of_visits = removing("v", conditions={"visits": {"$gt": 2}})
    first = loaded(in_pieces(*MANY, of_visits))
    assert first.roster.reading_visits == {len(MANY)}
    assert loaded(in_pieces(*MANY, of_visits), first).roster.reading_visits == {len(MANY)}
    assert loaded(in_pieces(of_visits, *MANY), first).roster.reading_visits == {0}
    assert loaded(in_pieces(*MANY), first).roster.reading_visits == set()


@pytest.mark.parametrize("twice", [5, 150, 202])
def test_an_id_that_is_used_twice_is_refused_whatever_was_before(twice: int) -> None:
    """A signer with a bug: what one of them is would be forgotten with the other."""
    file = rules_file(*MANY)
    doubled = [*file.mutations]
    doubled[twice] = msgspec.structs.replace(doubled[twice], id="m-001")
    pieces = of(msgspec.structs.replace(file, mutations=doubled))
    longer, one_less = loaded(in_pieces(*MANY, removing("one"))), loaded(in_pieces(*MANY[:twice], *MANY[twice + 1 :]))
    for before in (None, loaded(in_pieces(*MANY)), longer, one_less):
        with pytest.raises(RulesError, match=r"\$.mutations\[\d+\].id: the id 'm-001' is used twice"):
            loaded(pieces, before)


def test_whoever_looks_is_shown_what_rules_refer_to_when_that_changed() -> None:
    first, looked = loaded(in_pieces(*MANY[:3])), list[bytes]()
    changed = in_pieces(*MANY[:3], segments=[{"id": "s", "conditions": {}}])
    second = loaded(changed, first, looked)
    assert looked == [changed.others]
    loaded(changed, second, looked)
    assert looked == [changed.others]


def test_it_pauses_between_the_pieces_of_all_that_is_long() -> None:
    paused = list[None]()

    def pauses(pieces: Pieces, before: Written | None = None) -> int:
        paused.clear()
        read(pieces, lambda _: None, pause=lambda: paused.append(None), before=before)
        return len(paused)

    stretches = 3
    assert pauses(in_pieces(*MANY)) == 2 * stretches + 1, "reading, once between, the addresses"
    before = loaded(in_pieces(*MANY))
    assert pauses(in_pieces(*MANY), before) == 1
    rows = [before.rows[place] for place in range(len(MANY))]
    assert pauses(in_pieces(*MANY), before) == 1 + stretches, f"{len(rows)} rows that are taken over"

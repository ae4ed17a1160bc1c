"""Rows compiled at their first use; what bytes say otherwise is in test_table.py."""

import msgspec
from msgspec import Raw

from rules.decision import Outcome
from rules.reasons import Reason
from rules.rows import Row, company_of
from rules.written import Entry, WrittenRows, entry_of, mutation_of
from tests.rules.making import removing, rules_file, variant

FILE = rules_file(removing("a", pageSlug="/a", site="shop.example"), removing("b"))
BYTES = [Raw(msgspec.msgpack.encode(mutation)) for mutation in FILE.mutations]


def test_a_row_is_compiled_once_and_kept() -> None:
    told: list[Outcome] = []
    rows = WrittenRows(BYTES, [1, 0], company_of(FILE), told.append)
    row = rows[0]
    assert isinstance(row, Row)
    assert row.mutation == FILE.mutations[1]
    assert rows[0] is row
    assert list(rows) == [0]
    assert told == []


def test_what_can_not_be_used_is_an_outcome_and_said_once() -> None:
    told: list[Outcome] = []
    alone = rules_file(experiments=[{"id": "e", "variations": [{"key": "control"}, {"key": "new"}]}])
    missing = [
        Raw(msgspec.msgpack.encode(mutation))
        for mutation in rules_file(variant("v"), experiments=msgspec.to_builtins(alone)["experiments"]).mutations
    ]
    rows = WrittenRows(missing, [0], company_of(rules_file()), told.append)
    assert rows[0] is rows[0]
    assert told == [rows[0]]
    assert told[0].reason is Reason.UNUSABLE
    assert "there is no experiment 'e'" in told[0].detail


def test_an_entry_is_read_without_the_rest() -> None:
    assert entry_of(BYTES[0]) == Entry(id="a", site="shop.example", page_slug="/a", version=1)
    assert mutation_of(BYTES[0]) == FILE.mutations[0]

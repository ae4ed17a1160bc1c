"""What a store holds, counted."""

import random
from datetime import timedelta

import msgspec

from control_plane.moving.census import ENTITIES, NONE, Counter, census_of, differing, entity_of
from control_plane.store import (
    AnswerRecord,
    CounterRecord,
    KeptRecord,
    Record,
    Shelf,
    SignInRecord,
    StoredAnswer,
    StoredTable,
    TableRecord,
)
from control_plane.store.postgres import PostgresStore
from control_plane.store.retention import KEYS_KEPT, MARKS_KEPT, TABLES_KEPT
from tests.control_plane.store.test_records import NOW, RECORDS


def counted(*records: Record) -> Counter:
    counter = Counter(NOW)
    for record in records:
        counter.add(record)
    return counter


def test_every_kind_of_record_is_counted_as_something_that_people_see() -> None:
    census = counted(*RECORDS).census()
    assert {entity_of(record) for record in RECORDS} <= set(ENTITIES) == set(census)
    assert sum(tally.count for tally in census.values()) == len(RECORDS) + 1  # a present document, and its version


def test_the_order_does_not_matter_and_everything_else_does() -> None:
    shuffled = list(RECORDS)
    random.Random(7).shuffle(shuffled)
    assert counted(*RECORDS).census() == counted(*shuffled).census()
    assert differing(counted(*RECORDS).census(), counted(*RECORDS[1:]).census()) == (
        "saved groups",
        "saved group versions",
    )
    sealed = next(one for one in RECORDS if entity_of(one) == "audit entries")
    changed = msgspec.structs.replace(sealed, entry=msgspec.structs.replace(sealed.entry, actor="you"))  # type: ignore[union-attr]
    others = [one for one in RECORDS if one is not sealed]
    assert differing(counted(*RECORDS).census(), counted(*others, changed).census()) == ("audit entries",)


def test_what_stores_forget_by_themselves_is_not_counted() -> None:
    at = NOW
    table = StoredTable(version=1, digest="", key_id="k", sealed=b"x", mutations=1, actor="a", reason="", at=at)
    answer = StoredAnswer("f", b"{}")
    old: list[Record] = [
        CounterRecord(1 + TABLES_KEPT),
        TableRecord(table),
        AnswerRecord(actor="a", key="k", answer=answer, at=at - 2 * KEYS_KEPT, change=1),
        SignInRecord(id="s", expires_at=at - timedelta(days=2), change=2),
        KeptRecord(shelf=Shelf.ALERT, id="g", content=b"{}", change=3, at=at - 2 * MARKS_KEPT, deleted=True),
    ]
    forgotten: list[Record] = [old[0], TableRecord(msgspec.structs.replace(table, sealed=None))]
    assert counted(*old).census() == counted(*forgotten).census()
    there = KeptRecord(shelf=Shelf.ALERT, id="g", content=b"{}", change=3, at=at - 2 * MARKS_KEPT, deleted=False)
    assert counted(*old, there).census() != counted(*old).census()


def test_twice_the_same_is_not_nothing() -> None:
    once, twice = counted(RECORDS[0]).census(), counted(RECORDS[0], RECORDS[0]).census()
    assert once["saved groups"] != twice["saved groups"]
    assert counted().census() == dict.fromkeys(ENTITIES, NONE)


async def test_a_store_is_counted_whole_and_its_last_audit_entry_is_known(source: PostgresStore) -> None:
    counter = Counter()
    passed = [record async for record in counter.through(source.records())]
    census, position = counter.census(), await source.position()
    assert all(tally.count for tally in census.values())
    assert (census["mutations"].count, census["mutation versions"].count, census["alerts"].count) == (2, 4, 2)
    assert (counter.audit_number, counter.audit_hash) == (position.audit_number, position.audit_hash) != (0, b"")
    assert census == await census_of(source.records())
    assert len(passed) == sum(
        tally.count for name, tally in census.items() if f"{name.removesuffix('s')} versions" not in census
    )

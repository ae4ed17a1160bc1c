"""What every store does, on each of them: behaviour, concurrency, errors, and carrying from each to each.

Counterpart: `control_plane/store/interface.py` says it in words. Never: what only one of them does.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane.store import (
    Installation,
    KeptRecord,
    Kind,
    Record,
    Shelf,
    Store,
    StoredAnswer,
    StoredAudit,
    StoredTable,
    StoredVersion,
    StoreError,
)
from control_plane.store.retention import KEYS_KEPT, MARKS_KEPT, TABLES_KEPT
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.kinds import KINDS, Places, opened

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OURS = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
THEIRS = Installation("0193f0a0-0000-7000-8000-000000000002", 3, NOW)
ENTRY = StoredAudit(at=NOW, actor="me", role="admin", action="created", kind="segment", subject="a")


def version(number: int, content: bytes = b'{"id":"a"}', **more: Any) -> StoredVersion:
    given = {"action": "created", "actor": "me", "reason": "", "at": NOW, **more}
    return StoredVersion(version=number, content=content, **given)


def table(number: int) -> StoredTable:
    return StoredTable(
        version=number, digest="0" * 64, key_id="k", sealed=b"s", mutations=0, actor="me", reason="", at=NOW
    )


def mutation(mutation_id: str, **more: Any) -> bytes:
    given = {"id": mutation_id, "isActive": True, "status": "active", "site": "*", "layoutId": "*", "pageSlug": "*"}
    return msgspec.json.encode(given | more)


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(request, tmp_path_factory.mktemp("stores"), stack)


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, places: Places) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    async with places.opened(request.param) as one:
        yield one


async def put(store: Store, kind: Kind, *contents: bytes, number: int = 1, deleted: bool = False) -> None:
    async with store.transaction() as transaction:
        for content in contents:
            document_id = msgspec.json.decode(content)["id"]
            await transaction.put(kind, document_id, version(number, content), deleted=deleted)


async def records_of(store: Store) -> list[Record]:
    return [one async for one in store.records()]


# ------------------------------------------------------------------ behaviour


async def test_live_mutations_are_found_by_a_text_in_them(store: Store) -> None:
    given = [mutation(name, moduleId="Hero_%") for name in ("c", "a", "b")]
    await put(store, Kind.MUTATION, *given, mutation("d", moduleId="hero_x"))
    await put(store, Kind.MUTATION, mutation("gone", moduleId="Hero_%", status="archived"))
    await put(store, Kind.MODULE, b'{"id":"Hero_%"}')
    found = await store.containing('"Hero_%"', "", 2)
    assert [one.id for one in found] == ["a", "b"]
    assert found[0].content == given[1]
    assert [one.id for one in await store.containing('"Hero_%"', "b", 2)] == ["c"]
    assert await store.containing('"Hero"', "", 2) == []


async def test_documents_come_back_byte_for_byte_with_all_their_versions(store: Store) -> None:
    content = '{"id":"a","z":1.0,"a":{"long key":1,"b":2},"b":1e3,"t":"Gr\\u00fc\u00dfe \U0001f600","z":2}'.encode()
    exact = NOW.replace(microsecond=123_456)
    first, second = version(1, content, at=exact), version(2, reason="why")
    for one in (first, second):
        async with store.transaction() as transaction:
            await transaction.put(Kind.SEGMENT, "a", one)
            assert await transaction.version(Kind.SEGMENT, "a", one.version) == one
    found = await store.find(Kind.SEGMENT, "a")
    assert found is not None
    assert (found.content, found.version, found.deleted) == (second.content, 2, False)
    assert await store.versions(Kind.SEGMENT, "a") == [second, first]
    assert await store.version(Kind.SEGMENT, "a", 1) == first
    assert await store.version(Kind.SEGMENT, "a", 3) is None
    assert await store.find(Kind.MODULE, "a") is None
    assert await store.versions(Kind.MODULE, "a") == []


async def test_lists_have_their_order_and_leave_out_what_is_deleted(store: Store) -> None:
    contents = [b'{"id":"%s","name":"N%s"}' % (name, name) for name in (b"b", b"B", b"a-b", b"aa", b"\xc3\xa9", b"10")]
    await put(store, Kind.MODULE, *contents)
    await put(store, Kind.MODULE, b'{"id":"gone"}')
    await put(store, Kind.MODULE, b'{"id":"gone"}', number=2, deleted=True)
    await put(store, Kind.SEGMENT, b'{"id":"other"}')
    assert await store.ids(Kind.MODULE) == ["10", "B", "a-b", "aa", "b", "é"]
    assert [one.id for one in await store.everything(Kind.MODULE)] == ["10", "B", "a-b", "aa", "b", "é"]
    assert await store.names(Kind.MODULE, 2) == [("10", "N10"), ("é", "Né")]
    found = await store.page(Kind.MODULE, {}, None, 3)
    assert [one.id for one in found] == ["10", "é", "aa"]
    assert [one.id for one in await store.page(Kind.MODULE, {}, found[-1].change, 9)] == ["a-b", "B", "b"]
    gone = await store.find(Kind.MODULE, "gone")
    assert gone is not None
    assert gone.deleted


async def test_mutations_are_filtered(store: Store) -> None:
    await put(
        store,
        Kind.MUTATION,
        mutation("on", name="Grüße aus ülm", mutationType="set", moduleId="m"),
        mutation("off", isActive=False, note="100% of_it", site="shop.example", pageSlug="/", layoutId="l"),
        mutation("draft", status="draft"),
        mutation("trial", status="experimental", moduleId=None),
    )
    await put(store, Kind.MUTATION, mutation("gone"))
    await put(store, Kind.MUTATION, mutation("gone"), number=2, deleted=True)

    async def ids(**filters: object) -> list[str]:
        return [one.id for one in await store.page(Kind.MUTATION, filters, None, 9)]

    assert [one.id for one in await store.served()] == ["on", "trial"]
    assert await ids(active=False) == ["off"]
    assert await ids(active=True, status="active") == ["on"]
    assert await ids(not_status="active") == ["trial", "draft"]
    assert await ids(site="shop.example", page_slug="/", layout_id="l") == ["off"]
    assert await ids(module_id="m", mutation_type="set") == ["on"]
    assert await ids(text="gRüßE AUS ü") == ["on"]
    assert await ids(text="0% OF_") == ["off"]
    assert await ids(text="o_f") == []


async def test_whether_an_experiment_was_ever_live_is_known(store: Store) -> None:
    await put(store, Kind.EXPERIMENT, b'{"id":"first"}', b'{"id":"second","needs":["first"]}', b'{"id":"idle"}')
    await put(store, Kind.MUTATION, mutation("m", payload={"experimentId": "second"}))
    await put(store, Kind.MUTATION, mutation("m", isActive=False), mutation("n", isActive=False, e="idle"), number=2)
    assert [await store.was_live(one) for one in ("first", "second", "idle", "firs")] == [True, True, False, False]


async def test_tables_and_their_counter(store: Store) -> None:
    assert (await store.latest_table(), await store.table_version()) == (None, 0)
    async with store.transaction() as transaction:
        assert await transaction.raise_table_version(50) == 50
        assert await transaction.raise_table_version(3) == 51
        await transaction.add_table(table(51))
    assert (await store.latest_table(), await store.table_version()) == (table(51), 51)
    assert (await store.position()).table_version == 51


async def test_the_audit_is_a_chain_in_pages(store: Store) -> None:
    full = msgspec.structs.replace(
        ENTRY, kind="module", reason="why", version_before=1, version_after=2, table_version=3, digest="a" * 64
    )
    async with store.transaction() as transaction:
        added = [
            await transaction.add_audit(one) for one in (ENTRY, msgspec.structs.replace(full, origin="api"), ENTRY)
        ]
    entries = await store.audit_page(None, None, None, 9)
    assert entries == added[::-1]
    assert all(CHAIN.is_sound(one) for one in entries)
    assert {one.changeset for one in entries} == {transaction.changeset}
    assert [one.number for one in await store.audit_page("segment", "a", 3, 9)] == [1]
    assert [one.number for one in await store.audit_page(None, "a", None, 2)] == [3, 2]
    position = await store.position()
    assert (position.audit_number, position.audit_hash) == (3, entries[0].hash)


async def test_what_happens_once_is_remembered_and_in_time_forgotten(store: Store) -> None:
    assert await store.use_sign_in("a", NOW)
    assert not await store.use_sign_in("a", NOW)
    assert await store.use_sign_in("old", datetime.now(UTC) - timedelta(days=3))
    old = {"at": datetime.now(UTC) - KEYS_KEPT - timedelta(days=1)}

    async def aged() -> AsyncIterator[Record]:
        for record in transaction.written:
            yield msgspec.structs.replace(record, key="aged", change=10_000, **old)

    async with store.transaction() as transaction:
        await transaction.remember("me", "k", StoredAnswer("f", b'{"n": 1}'))
        assert await transaction.answer("me", "k") == StoredAnswer("f", b'{"n": 1}')
        assert await transaction.answer("you", "k") is None
    await store.load(aged())
    async with store.transaction() as transaction:
        for number in range(1, TABLES_KEPT + 3):
            await transaction.add_table(table(number))
    await store.forget_old()
    assert await store.use_sign_in("old", NOW), "the link is expired anyway"
    async with store.transaction() as transaction:
        assert await transaction.answer("me", "k") is not None
        assert await transaction.answer("me", "aged") is None
    tables = [record.table for record in await records_of(store) if hasattr(record, "table")]
    assert [one.version for one in tables if not one.sealed] == [1, 2]
    assert (await store.latest_table(), await store.table_version()) == (table(TABLES_KEPT + 2), TABLES_KEPT + 2)


async def test_a_shelf_holds_what_was_kept_last(store: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.keep(Shelf.ALERT, "a", b'{"n":1}', NOW)
        await transaction.keep(Shelf.ALERT, "b", b'{"n": 2}', NOW)
        await transaction.keep(Shelf.ALERT, "a", b'{"n":3}', NOW)
        await transaction.keep(Shelf.PEER, "a", b"{}", NOW)
    assert [(one.id, one.content) for one in await store.shelf(Shelf.ALERT)] == [("a", b'{"n":3}'), ("b", b'{"n": 2}')]
    async with store.transaction() as transaction:
        await transaction.discard(Shelf.ALERT, "a", NOW)
        await transaction.discard(Shelf.ALERT, "never there", NOW)
    assert await store.kept(Shelf.ALERT, "a") is None
    assert await store.kept(Shelf.PEER, "a") is not None
    assert [one.id for one in await store.shelf(Shelf.ALERT)] == ["b"]


async def test_that_a_thing_was_discarded_is_told_for_a_while_and_then_forgotten(store: Store) -> None:
    async with store.transaction() as transaction:
        for name in ("long ago", "lately", "there"):
            await transaction.keep(Shelf.ALERT, name, b"{}", datetime.now(UTC) - 2 * MARKS_KEPT)
        await transaction.discard(Shelf.ALERT, "long ago", datetime.now(UTC) - MARKS_KEPT - timedelta(days=1))
        await transaction.discard(Shelf.ALERT, "lately", datetime.now(UTC) - MARKS_KEPT + timedelta(days=1))
    await store.forget_old()
    left = {one.id: one.deleted for one in await records_of(store) if isinstance(one, KeptRecord)}
    assert left == {"lately": True, "there": False}


# ------------------------------------------------------------------ concurrency


async def test_transactions_come_one_after_the_other(store: Store) -> None:
    async def work() -> int:
        async with store.transaction() as transaction:
            await transaction.add_audit(ENTRY)
            return await transaction.raise_table_version(0)

    assert sorted(await asyncio.gather(*(work() for _ in range(12)))) == list(range(1, 13))
    entries = await store.audit_page(None, "a", None, 20)
    assert [one.number for one in entries] == list(range(12, 0, -1))
    assert all(later.previous_hash == earlier.hash for later, earlier in pairwise(entries))


async def test_nobody_sees_half_of_a_change(store: Store) -> None:
    finished = asyncio.Event()

    async def write() -> None:
        for number in range(1, 6):
            await put(store, Kind.MODULE, b'{"id":"a"}', b'{"id":"b"}', number=number)
        finished.set()

    async def read() -> None:
        while not finished.is_set():
            assert len({one.version for one in await store.everything(Kind.MODULE)}) <= 1

    await asyncio.gather(write(), read(), read())


async def test_what_may_happen_once_happens_once(store: Store) -> None:
    assert sum(await asyncio.gather(*(store.use_sign_in("a", NOW) for _ in range(8)))) == 1
    found = await asyncio.gather(store.found(OURS), store.found(THEIRS))
    assert found[0] == found[1] == (await store.position()).installation


# ------------------------------------------------------------------ errors


async def test_after_it_is_closed_it_says_so_and_it_may_be_opened_again(store: Store) -> None:
    await store.open()
    await store.ping()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match=r"not connected|not open"):
        await store.ping()
    with pytest.raises(StoreError):
        await put(store, Kind.MODULE, b'{"id":"a"}')
    with pytest.raises(StoreError):
        await records_of(store)
    await store.open()
    await store.ping()


async def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    async def fail() -> None:
        async with store.transaction() as transaction:
            await transaction.put(Kind.MODULE, "a", version(1))
            await transaction.add_audit(ENTRY)
            await transaction.raise_table_version(0)
            await transaction.keep(Shelf.ALERT, "a", b"{}", NOW)
            raise KeyError

    before = await records_of(store)
    with pytest.raises(KeyError):
        await fail()
    assert await records_of(store) == before
    assert (await store.position()).audit_number == 0


async def test_what_does_not_fit_is_refused_and_named(store: Store) -> None:
    async def keep(content: bytes) -> None:
        async with store.transaction() as transaction:
            await transaction.keep(Shelf.ALERT, "c", content, NOW)

    async def put_as(document_id: str, number: int, content: bytes) -> None:
        async with store.transaction() as transaction:
            await transaction.put(Kind.MODULE, document_id, version(number, content))

    await put_as("a", 1, b'{"id":"a"}')
    before = await records_of(store)
    for wrong, named in (
        (put_as("b", 1, b'{"id":"a"}'), "id_is_in_content"),
        (put_as("b", 0, b'{"id":"b"}'), "version_positive"),
        (put_as("a", 1, b'{"id":"a"}'), "_versions"),
        (put_as("b", 1, b'{"id":'), "json"),
        (keep(b"[]"), "content_is_an_object"),
    ):
        with pytest.raises(StoreError, match=named):
            await wrong
    assert await records_of(store) == before


async def test_a_load_that_fails_leaves_nothing(store: Store) -> None:
    await put(store, Kind.MODULE, b'{"id":"a"}')
    before = await records_of(store)

    async def broken() -> AsyncIterator[Record]:
        for record in before:
            yield msgspec.structs.replace(record, id="b") if hasattr(record, "kind") else record

    with pytest.raises(StoreError, match="id_is_in_content"):
        await store.load(broken(), OURS)
    assert await records_of(store) == before
    assert (await store.position()).installation is None


# ------------------------------------------------------------------ carrying


async def filled(store: Store) -> None:
    """A bit of everything that a store holds."""
    await store.found(OURS)
    for number, deleted in ((1, False), (2, True)):
        async with store.transaction() as transaction:
            await transaction.put(Kind.SEGMENT, "a", version(number), deleted=deleted)
            await transaction.add_audit(msgspec.structs.replace(ENTRY, version_after=number))
            await transaction.raise_table_version(number * 10)
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1, b'{ "id" : "a", "z":"\xc3\xa9" }'))
        await transaction.add_table(table(20))
        await transaction.remember("me", "key", StoredAnswer("print", b'{"id":"a"}'))
        await transaction.keep(Shelf.ALERT, "away", b'{"open":true}', NOW)
        await transaction.keep(Shelf.PEER, "gone", b'{"a":1}', NOW)
        await transaction.discard(Shelf.PEER, "gone", NOW)
        await transaction.add_audit(ENTRY)
    await store.use_sign_in("once", NOW)


async def test_what_a_store_holds_is_the_same_in_every_other(places: Places) -> None:
    """Each is read by the next and is equal to all before it: so it is between every two of them."""
    async with AsyncExitStack() as stack:
        sources = list[Store]()
        for kind in KINDS:
            store = await stack.enter_async_context(places.opened(kind))
            if sources:
                at = await sources[-1].position()
                assert await store.load(sources[-1].records(), at.installation) == 12
                assert await records_of(store) == await records_of(sources[0])
                assert await store.position() == at
                assert await store.load(sources[0].records()) == 12  # again, and nothing is there twice
                assert await store.position() == at
            else:
                await filled(store)
            sources.append(store)
        await sources[0].close()
        first = await stack.enter_async_context(places.opened(KINDS[0]))
        assert await first.load(sources[-1].records(), OURS) == 12
        assert await records_of(first) == await records_of(sources[-1])


async def test_what_came_since_a_position_is_enough_to_follow(store: Store, tmp_path: Path) -> None:
    await filled(store)
    async with opened("local", str(tmp_path / "follower")) as follower:
        at = await store.position()
        await follower.load(store.records(), at.installation)
        async with store.transaction() as transaction:
            await transaction.put(Kind.MODULE, "a", version(2))
            await transaction.add_audit(ENTRY)
            await transaction.keep(Shelf.PEER, "gone", b'{"back":1}', NOW)
            written = list(transaction.written)
        news = [one async for one in store.records(at)]
        assert [one for one in news if one in written] == written
        await follower.load(store.records(at))
        assert await records_of(follower) == await records_of(store)
        assert await follower.position() == await store.position()
        await store.load(follower.records(at))  # which is no news to it
        assert await follower.position() == await store.position()


async def test_after_a_load_numbers_go_on_where_they_were(store: Store, tmp_path: Path) -> None:
    async with opened("local", str(tmp_path / "source")) as source:
        await filled(source)
        at = await source.position()
        await store.load(source.records(), at.installation)
    async with store.transaction() as transaction:
        added = await transaction.add_audit(ENTRY)
        await transaction.put(Kind.SEGMENT, "b", version(1, b'{"id":"b"}'))
        assert await transaction.raise_table_version(0) == 21
    assert (added.number, added.previous_hash) == (4, at.audit_hash)
    assert (await store.position()).change > at.change


async def test_what_is_newer_than_what_is_loaded_stays(store: Store) -> None:
    await filled(store)
    old = [record for record in await records_of(store) if getattr(record, "id", "") in ("a", "away")]
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(2))
        await transaction.keep(Shelf.ALERT, "away", b'{"open":false}', NOW)
    before = await records_of(store)

    async def stale() -> AsyncIterator[Record]:
        for record in old:
            yield record

    assert await store.load(stale()) == len(old) == 4
    assert await records_of(store) == before

"""What two stores say differently."""

from control_plane.moving.conflicts import conflicts
from control_plane.moving.flaws import FlawSort
from control_plane.store import Kind, StoredVersion
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import NOW, WHOSE


async def put(store: PostgresStore, kind: Kind, document_id: str, *contents: bytes) -> None:
    await store.found(WHOSE)
    async with store.transaction() as work:
        for number, content in enumerate(contents, 1):
            version = StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)
            await work.put(kind, document_id, version)


async def told(source: PostgresStore, target: PostgresStore) -> list[tuple[FlawSort, Kind, str]]:
    return [(flaw.sort, flaw.kind, flaw.id) for flaw in await conflicts(source, target)]


async def test_one_id_for_two_things_and_what_is_missing(source: PostgresStore, target: PostgresStore) -> None:
    await target.load(source.records(), WHOSE)
    assert await told(source, target) == []
    await put(source, Kind.TOGGLE, "t", b'{"id":"t"}', b'{"id":"t","x":1}')
    await put(target, Kind.TOGGLE, "t", b'{"id":"t"}', b'{"id":"t","x":2}', b'{"id":"t","x":3}')
    await put(source, Kind.SEGMENT, "s", b'{"id":"s"}')
    await put(target, Kind.SEGMENT, "only here", b'{"id":"only here","x":1}')
    assert await told(source, target) == [
        (FlawSort.ID_CONFLICT, Kind.TOGGLE, "t"),
        (FlawSort.MISSING, Kind.SEGMENT, "s"),
    ]
    [flaw, _] = await conflicts(source, target)
    assert "from version 2 on" in flaw.problem


async def test_one_thing_with_two_ids(source: PostgresStore, target: PostgresStore) -> None:
    await target.load(source.records(), WHOSE)
    await put(source, Kind.MODULE, "hero", b'{"id":"hero","name":"Hero","selector":"main > h1"}')
    await put(target, Kind.MODULE, "headline", b'{"id":"headline","name":"Other","selector":"main>h1"}')
    await put(source, Kind.SEGMENT, "one", b'{"id":"one","conditions":{"a":1}}')
    await put(target, Kind.SEGMENT, "two", b'{"conditions":{"a":1},"id":"two","version":7}')
    await put(target, Kind.SEGMENT, "three", b'{"conditions":{"a":2},"id":"three"}')
    found = [one for one in await conflicts(source, target) if one.sort is FlawSort.MAPPING_CONFLICT]
    assert [(one.kind, one.id) for one in found] == [(Kind.MODULE, "headline"), (Kind.SEGMENT, "two")]
    assert "calls the same module hero" in found[0].problem


async def test_a_second_id_in_the_target_alone_is_no_conflict(source: PostgresStore, target: PostgresStore) -> None:
    """What the source calls it is there too; which of the two stays is the target's own matter."""
    await put(source, Kind.MODULE, "hero", b'{"id":"hero","selector":"main > h1"}')
    await target.load(source.records(), WHOSE)
    await put(target, Kind.MODULE, "title", b'{"id":"title","selector":"main > h1"}')
    assert await told(source, target) == []

"""The migration checker, on real stores."""

import msgspec

from control_plane.moving.checker import Report, check
from control_plane.moving.flaws import FlawSort
from control_plane.moving.places import Place, StoreKind
from control_plane.moving.standing import Standing
from control_plane.store import Kind, StoredVersion
from control_plane.store.postgres import PostgresStore
from tests.control_plane.moving.stores import NOW, WHOSE, postgres
from tests.control_plane.plane import headline

HERE, THERE = Place(StoreKind.POSTGRES, "old:5432/shop"), Place(StoreKind.POSTGRES, "new:5432/shop")


async def put(store: PostgresStore, kind: Kind, document: dict[str, object], *, deleted: bool = False) -> None:
    async with store.transaction() as work:
        before = await work.find(kind, str(document["id"]))
        number = 1 if before is None else before.version + 1
        content = msgspec.json.encode(document | ({"version": number} if kind is Kind.MUTATION else {}))
        version = StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)
        await work.put(kind, str(document["id"]), version, deleted=deleted)


def sorts(report: Report) -> dict[str, FlawSort]:
    return {flaw.id: flaw.sort for flaw in report.flaws}


async def test_a_target_alone(target: PostgresStore) -> None:
    await target.found(WHOSE)
    report = await check(target, THERE)
    assert (report.fine, report.flaws, report.source, report.standing) == (True, [], None, None)
    await put(target, Kind.MODULE, {"id": "hero", "selector": "main > h1"})
    await put(target, Kind.MODULE, {"id": "hero", "selector": "main > h1"}, deleted=True)
    await put(target, Kind.MUTATION, headline(id="dangling", moduleId="hero"))
    trigger = {"on": "segment", "segment": "none"}
    await put(target, Kind.MUTATION, headline(id="unusable", trigger=trigger))
    await put(target, Kind.MUTATION, headline(id="archived", status="archived", trigger=trigger))
    told = {(flaw.id, flaw.sort, flaw.mechanical) for flaw in (await check(target, THERE)).flaws}
    own_form = {(name, FlawSort.OLD_FORM, True) for name in ("dangling", "unusable", "archived")}
    assert told - own_form == {
        ("dangling", FlawSort.DANGLING_MODULE, False),
        ("unusable", FlawSort.UNUSABLE, False),
    }
    await put(
        target, Kind.MODULE, {"id": "headline", "name": "", "selector": "main>h1", "template": "", "isActive": True}
    )
    report = await check(target, THERE)
    assert not report.fine
    assert ("dangling", FlawSort.DANGLING_MODULE, True) in {(one.id, one.sort, one.mechanical) for one in report.flaws}
    assert report.flaws[0].mechanical


async def test_source_and_target_side_by_side(source: PostgresStore, target: PostgresStore) -> None:
    await target.load(source.records(), WHOSE)
    report = await check(target, THERE, source, HERE)
    assert report.standing is Standing.SAME
    assert all(row.same for row in report.entities)
    await put(source, Kind.SEGMENT, {"id": "new"})
    report = await check(target, THERE, source, HERE)
    assert (report.standing, report.fine) == (Standing.BEHIND, False)
    assert sorts(report)["new"] is FlawSort.MISSING
    assert {row.entity for row in report.entities if not row.same} == {"segments", "segment versions"}


async def test_a_source_that_goes_away_is_said_and_the_target_is_looked_at(
    source: PostgresStore, target: PostgresStore, database_url: str
) -> None:
    async with postgres(database_url) as other:
        pass
    report = await check(target, THERE, other, HERE)
    assert "not connected" in report.source_problem
    assert (report.source, report.fine) == (None, True)

"""What the mirror needs: whose data a database holds, and what becomes of an outbox."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.schema import address, runner
from control_plane.store import (
    DocumentRecord,
    Installation,
    Kind,
    Position,
    Shelf,
    StoredAudit,
    StoredVersion,
    Transaction,
)
from control_plane.store.local import LocalStore
from control_plane.store.mirror.conflicts import Conflict
from control_plane.store.mirror.identity import Facts, Verdict, judge, same_entry
from control_plane.store.mirror.lease import Alone
from control_plane.store.mirror.replay import Replay, since
from control_plane.store.postgres import PostgresStore
from service.clock import now
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.outages import NOW, chain_is_sound, noted, segments, write
from tests.servers import new_database

OURS, OTHER = (Installation(name, 1, NOW) for name in ("ours", "other"))
OURS_ROW = Installation("018f0000-0000-7000-8000-000000000000", 1, NOW)
NOWHERE = Position(None, 0, 0, b"", 0)


def at(number: int, *, whose: Installation | None = OURS, change: int | None = None, table: int = 1) -> Position:
    return Position(whose, number if change is None else change, number, b"h" if number else b"", table)


def facts(theirs: Position, ours: Position, *, base: Position | None = None, **more: bool) -> Facts:
    start = ours if base is None else base
    shared = {"theirs_in_base": theirs.audit_number <= start.audit_number}
    shared["base_in_theirs"] = start.audit_number <= theirs.audit_number
    return Facts(
        theirs=theirs, newest=theirs.change, ours=ours, base=start, waiting=base is not None, **(shared | more)
    )


@pytest.mark.parametrize(
    ("given_facts", "verdict"),
    [
        (facts(NOWHERE, NOWHERE), Verdict.FOUND),
        (facts(at(3), NOWHERE), Verdict.ADOPT),
        (facts(NOWHERE, at(3)), Verdict.RESTORE),
        (facts(at(0, whose=OTHER), at(3)), Verdict.RESTORE),
        (facts(at(0, table=0), at(0, table=0)), Verdict.FOLLOW),
        (facts(at(0, whose=OTHER, table=0), at(0, table=0)), Verdict.ADOPT),
        (facts(at(3), at(3)), Verdict.FOLLOW),
        (facts(at(5), at(3)), Verdict.FOLLOW),
        (facts(at(3), at(5), base=at(3)), Verdict.REPLAY),
        (facts(at(3, change=9), at(5), base=at(3)), Verdict.REBASE),
        (facts(at(3, table=2), at(5), base=at(3)), Verdict.REBASE),
        (facts(at(4), at(5), base=at(3)), Verdict.REBASE),
        (facts(at(3, change=2), at(3)), Verdict.ADVANCE),
        (facts(at(2), at(3)), Verdict.ADVANCE),
        (facts(at(2, whose=None), at(3)), Verdict.ADVANCE),
        (facts(at(3, whose=None), at(3)), Verdict.ADVANCE),
        (facts(at(2), at(5), base=at(3)), Verdict.ADVANCE),
        (facts(at(2), at(3), theirs_in_base=False), Verdict.PARTED),
        (facts(at(4), at(3), base_in_theirs=False), Verdict.PARTED),
        (facts(at(3), at(3), theirs_in_base=False, base_in_theirs=False), Verdict.PARTED),
        (facts(at(3, whose=OTHER), at(3)), Verdict.FOREIGN),
        (facts(at(3), NOWHERE, base=at(3)), Verdict.ADOPT),
        (facts(NOWHERE, NOWHERE, base=at(3)), Verdict.FOUND),
        (facts(at(3, whose=OTHER), NOWHERE, base=at(3)), Verdict.FOREIGN),
        (facts(at(3, whose=None), at(3), theirs_in_base=False), Verdict.FOREIGN),
    ],
)
def test_a_database_is_judged_by_what_the_mirror_knows(given_facts: Facts, verdict: Verdict) -> None:
    assert judge(given_facts) is verdict


def test_entries_are_the_same_by_their_hash_and_before_the_chain_by_what_they_say() -> None:
    entry = StoredAudit(number=1, at=NOW, actor="me", role="admin", action="created", kind="segment", subject="a")
    sealed = CHAIN.sealed(entry, b"")
    assert same_entry(entry, entry)
    assert not same_entry(entry, msgspec.structs.replace(entry, actor="you"))
    assert same_entry(sealed, msgspec.structs.replace(sealed, origin="elsewhere")), "the hash alone counts"
    assert not same_entry(sealed, CHAIN.sealed(entry, b"x" * 32))


async def test_alone_nobody_is_asked() -> None:
    lease = Alone()
    assert await lease.hold()
    assert lease.held
    assert not await lease.elsewhere()
    await lease.release()
    assert lease.held
    assert "this instance" in await lease.holder()


@pytest.fixture(scope="module")
def replay_url(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        asyncio.run(runner.migrate(url))
        yield url


writes = st.lists(st.tuples(st.sampled_from(["ours", "theirs"]), st.sampled_from("abc")), min_size=1, max_size=8)


@given(order=writes, known=st.sets(st.sampled_from("abc")))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_interleaving_keeps_both_changes_or_lists_a_conflict(
    order: list[tuple[str, str]], known: set[str], replay_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    asyncio.run(_interleaved(replay_url, folder, order, known))


async def _interleaved(url: str, folder: Path, order: list[tuple[str, str]], known: set[str]) -> None:
    """Two instances write the same documents in any order, one of them into its outbox; then that one comes back."""
    primary, mirror = await _pair(url, folder)
    try:
        run = folder.name  # the database is shared by all examples, their documents are not
        for name in sorted(known):
            await write(primary, f"{run}-{name}", "before")
        await mirror.load(primary.records(), (await primary.position()).installation)
        mine: list[tuple[str, str]] = []
        for number, (side, name) in enumerate(order):
            text = f"{side} {number}"
            if side == "theirs":
                await write(primary, f"{run}-{name}", text)
            else:
                await write(Provisionally(mirror), f"{run}-{name}", text)
                mine.append((f"{run}-{name}", text))
        theirs = {name: content for name, content in (await segments(primary)).items() if name.startswith(run)}

        async def approve(*_: object) -> str:
            return ""

        waiting = await mirror.outbox()
        first = await Replay(primary, mirror, approve, now).run(waiting)
        again = await Replay(primary, mirror, approve, now).run(waiting)
        assert (again.applied, again.conflicts, again.known) == (0, 0, len(mine)), "a repetition changes nothing"
        assert first.applied + first.conflicts == len(mine)
        conflicts = [msgspec.json.decode(thing.content, type=Conflict) for thing in await primary.shelf(Shelf.CONFLICT)]
        listed = {bytes(one.documents[0].ours.content) for one in conflicts}
        for name, text in mine:
            history = [version.content for version in await primary.versions(Kind.SEGMENT, name)]
            assert any(noted(text) in content for content in [*history, *listed]), (
                "ours is in force, in the history or listed"
            )
        for name, content in theirs.items():
            assert content in [version.content for version in await primary.versions(Kind.SEGMENT, name)]
        assert await chain_is_sound(primary)
    finally:
        await primary.close()
        await mirror.close()


async def test_documents_of_one_change_that_need_each_other_come_back_together(replay_url: str, tmp_path: Path) -> None:
    primary, mirror = await _pair(replay_url, tmp_path)

    async def approve(reader: Transaction, kind: Kind, *_: object) -> str:
        return "" if await reader.find(kind, "pair-second") is not None else "there is no pair-second"

    try:
        async with mirror.transaction(provisional=True) as transaction:
            for name in ("pair-first", "pair-second"):
                await transaction.put(Kind.SEGMENT, name, version_of(name))
            await transaction.add_audit(entry_of("pair-first", "imported"))
        waiting = await mirror.outbox()
        done = await Replay(primary, mirror, approve, now).run(waiting)
        assert (done.applied, done.conflicts) == (1, 0)

        async def never(*_: object) -> str:
            return "no"

        await write(Provisionally(mirror), "pair-third")
        done = await Replay(primary, mirror, never, now).run((await mirror.outbox())[1:])
        assert (done.applied, done.conflicts) == (0, 1)
        assert await primary.find(Kind.SEGMENT, "pair-third") is None
        assert await chain_is_sound(primary)
    finally:
        await primary.close()
        await mirror.close()


async def test_a_creation_that_was_undone_stays_undone_where_histories_parted(tmp_path: Path) -> None:
    mirror = LocalStore(tmp_path / "mirror.db", chain=CHAIN)
    await mirror.open()
    try:
        await write(mirror, "a")
        async with mirror.transaction() as transaction:
            await transaction.put(Kind.SEGMENT, "a", version_of("a", 2, action="deleted"), deleted=True)
            await transaction.add_audit(entry_of("a", "undone", 2))
        changes = await since(mirror, 0, mirror.records())
        documents = [record for one in changes for record in one.records if isinstance(record, DocumentRecord)]
        assert [(one.version.version, one.deleted) for one in documents] == [(1, False), (2, True)]
    finally:
        await mirror.close()


async def _pair(url: str, folder: Path) -> tuple[PostgresStore, LocalStore]:
    """A database, and a mirror that is level with it."""
    primary = PostgresStore(address.parse(url), connections_max=2, chain=CHAIN)
    mirror = LocalStore(folder / "mirror.db", chain=CHAIN)
    await primary.open()
    await mirror.open()
    await primary.found(OURS_ROW)
    await mirror.load(primary.records(), (await primary.position()).installation)
    return primary, mirror


def version_of(name: str, number: int = 1, *, action: str = "imported") -> StoredVersion:
    content = f'{{"id":"{name}"}}'.encode()
    return StoredVersion(version=number, content=content, action=action, actor="me", reason="", at=NOW)


def entry_of(name: str, action: str, after: int = 1) -> StoredAudit:
    return StoredAudit(
        at=NOW, actor="me", role="admin", action=action, kind="segment", subject=name, version_after=after
    )


class Provisionally:
    """A mirror that is written as it is while its database is away."""

    def __init__(self, mirror: LocalStore) -> None:
        self._mirror = mirror

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._mirror.transaction(provisional=True)

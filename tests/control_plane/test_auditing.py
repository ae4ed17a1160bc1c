"""What was tampered with is found, and named: in the chain, at its ends, and in what entries sealed."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from control_plane import auditing
from control_plane.auditing import Anchor, AuditReport, What, check, contents, report
from control_plane.auditing.check import Looked, looked_at
from control_plane.auditing.checkpoints import Checkpoints
from control_plane.auditing.following import Following
from control_plane.auditing.recent import looked_at_recent, of_checkpoint
from control_plane.auditing.report import FAULTS_KEPT, Checkpoint, Faults, Known, Restore
from control_plane.schema import address, runner
from control_plane.store import Chain, Installation, Kind, Store, StoredAudit, StoredVersion
from control_plane.store.chain import Unchained
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore
from tests.control_plane.plane import CHAIN
from tests.servers import empty_database

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ENTRIES = 8
UNTRIGGERED = "SET session_replication_role = replica;"
A, E = "layout_mutation.audit_entries", "layout_mutation.segment_versions"


def entry(version: int, content: bytes, **more: Any) -> StoredAudit:
    digest = sha256(content).hexdigest()
    given = {"actor": "me", "role": "admin", "action": "updated", "kind": "segment", "subject": "a", "digest": digest}
    return StoredAudit(at=NOW, version_after=version, **{**given, **more})


def content(version: int) -> bytes:
    return b'{"id":"a","n":%d}' % version


async def write(store: Store, version: int) -> None:
    async with store.transaction() as transaction:
        row = StoredVersion(version=version, content=content(version), action="updated", actor="me", reason="", at=NOW)
        await transaction.put(Kind.SEGMENT, "a", row)
        await transaction.add_audit(entry(version, content(version)))


@asynccontextmanager
async def opened(url: str, chain: Chain = CHAIN) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address.parse(url), connections_max=2, chain=chain)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def fill(url: str) -> None:
    await runner.migrate(url)
    async with opened(url) as store:
        for version in range(1, ENTRIES + 1):
            await write(store, version)


@pytest.fixture(scope="module")
def sealed(postgres_server: str) -> Iterator[str]:
    """A database with a history, for others to be made from."""
    with empty_database(postgres_server) as url, ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, fill(url)).result()
        yield url


TABLES = ("audit_entries", "ledger", "segment_versions", "segments")


@pytest.fixture
async def url(sealed: str) -> AsyncIterator[str]:
    """The database as it was filled, which it is again afterwards."""
    keep = [f"CREATE TABLE IF NOT EXISTS kept.{name} AS TABLE layout_mutation.{name}" for name in TABLES]
    await execute(sealed, "; ".join(["CREATE SCHEMA IF NOT EXISTS kept", *keep]))
    yield sealed
    back = [
        f"DELETE FROM layout_mutation.{name}; INSERT INTO layout_mutation.{name} TABLE kept.{name}" for name in TABLES
    ]
    await execute(sealed, UNTRIGGERED + "; ".join(back))


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def verified(url: str, *anchors: Anchor, chain: Chain = CHAIN) -> AuditReport:
    async with opened(url, chain) as store:
        return await auditing.verify(store, chain, anchors)


def found(report: AuditReport) -> list[tuple[What, int | None]]:
    return [(fault.what, fault.number) for fault in report.faults]


async def test_what_was_not_tampered_with_is_sound(url: str) -> None:
    async with opened(url) as store:
        head = await store.position()
    seen = await verified(url, Anchor("a backup", head.audit_number, head.audit_hash))
    assert seen == AuditReport(sound=True, entries=ENTRIES, versions=ENTRIES, chained_since=1, anchors=1)


@pytest.mark.parametrize(
    ("tampering", "faults"),
    [
        (f"UPDATE {A} SET actor = 'her' WHERE number = 3", [(What.CHANGED, 3)]),
        (f"UPDATE {A} SET reason = 'x', hash = sha256('x') WHERE number = 3", [(What.CHANGED, 3)]),
        (f"DELETE FROM {A} WHERE number = 3", [(What.MISSING, 3), (What.NO_ENTRY, None)]),
        (f"DELETE FROM {A} WHERE number <= 2", [(What.MISSING, 1), (What.NO_ENTRY, None), (What.NO_ENTRY, None)]),
        (
            (
                f"UPDATE {A} SET number = 100 WHERE number = 3; UPDATE {A} SET number = 3 WHERE number = 4; "
                f"UPDATE {A} SET number = 4 WHERE number = 100"
            ),
            [(What.REORDERED, 3), (What.REORDERED, 4)],
        ),
        (
            (
                f"DELETE FROM {A} WHERE number = 7; UPDATE {A} SET number = 7 WHERE number = 8; "
                "UPDATE layout_mutation.ledger SET audit_number = 7"
            ),
            [(What.REORDERED, 7), (What.NO_ENTRY, None)],
        ),
        (
            (
                f"INSERT INTO {A} SELECT 9, at, actor, role, action, kind, subject, reason, version_before, 9, table_version, "
                f"hash, sha256('x'), changeset, origin, digest, key_id FROM {A} WHERE number = 8"
            ),
            [(What.CHANGED, 9), (What.NO_VERSION, 9)],
        ),
        (
            f"UPDATE {A} SET key_id = NULL, hash = NULL, previous_hash = NULL WHERE number = 4",
            [(What.UNSEALED, 4)],
        ),
        (
            f"UPDATE {A} SET key_id = NULL, hash = NULL, previous_hash = NULL WHERE number <= 4",
            [(What.BEFORE_CHAIN, 5)],
        ),
        (f"DELETE FROM {A} WHERE number > 6", [(What.TRUNCATED, 7), (What.NO_ENTRY, None), (What.NO_ENTRY, None)]),
        (f"UPDATE {A} SET key_id = '0123456789abcdef' WHERE number = 5", [(What.UNKNOWN_KEY, 5)]),
        (f'UPDATE {E} SET content = \'{{"id":"a"}}\' WHERE version = 2', [(What.CONTENT, 2)]),
        (f"DELETE FROM {E} WHERE version = 2", [(What.NO_VERSION, 2)]),
        ('UPDATE layout_mutation.segments SET content = \'{"id":"a"}\'', [(What.HEAD, None)]),
        ("UPDATE layout_mutation.ledger SET audit_hash = sha256('x')", [(What.REWRITTEN, 8)]),
    ],
)
async def test_tampering_is_found_and_named(url: str, tampering: str, faults: list[tuple[What, int | None]]) -> None:
    await execute(url, UNTRIGGERED + tampering)
    seen = await verified(url)
    assert not seen.sound
    assert found(seen) == faults
    assert seen.faults_total == len(faults)


async def test_a_history_that_was_cut_off_cleanly_is_told_by_what_others_know(url: str) -> None:
    async with opened(url) as store:
        head = await store.position()
    cut = f"DELETE FROM {A} WHERE number > 6; DELETE FROM {E} WHERE version > 6; "
    await execute(
        url,
        UNTRIGGERED
        + cut
        + f"UPDATE layout_mutation.ledger SET audit_number = 6, audit_hash = (SELECT hash FROM {A} WHERE number = 6);"
        "UPDATE layout_mutation.segments SET version = 6, content = (SELECT content FROM layout_mutation.segment_versions WHERE version = 6)",
    )
    assert (await verified(url)).sound, "inside the store nothing tells of it"
    anchor = Anchor("the mirror", head.audit_number, head.audit_hash)
    seen = await verified(url, anchor)
    assert found(seen) == [(What.TRUNCATED, 7)]
    assert "the mirror knows entry 8" in seen.faults[0].detail
    beginning = Anchor("the backup x", head.audit_number, head.audit_hash[:8], NOW)
    assert (
        "the mirror knows entry 8 and the backup x knows entry 8"
        in (await verified(url, anchor, beginning)).faults[0].detail
    )
    async with opened(url) as store:  # somebody went on from there
        await write(store, 7)
        await write(store, 8)
    assert found(await verified(url, anchor)) == [(What.REWRITTEN, 8)]


async def test_entries_from_before_the_chain_are_sealed_by_its_first(url: str) -> None:
    unsealed = "key_id = NULL, hash = NULL, previous_hash = NULL, digest = NULL"
    await execute(
        url, UNTRIGGERED + f"UPDATE {A} SET {unsealed}; UPDATE layout_mutation.ledger SET audit_hash = ''::bytea"
    )
    assert (await verified(url)).chained_since is None
    async with opened(url) as store:
        await write(store, ENTRIES + 1)
        await write(store, ENTRIES + 2)
    seen = await verified(url)
    assert (seen.sound, seen.chained_since, seen.contents_unsealed) == (True, ENTRIES + 1, ENTRIES)
    await execute(url, UNTRIGGERED + f"UPDATE {A} SET actor = 'her' WHERE number = 3")
    assert found(await verified(url)) == [(What.BEFORE_CHAIN, ENTRIES + 1)]


async def test_keys_are_named_or_given_up(url: str) -> None:
    other = Chain([b"n" * 32])
    async with opened(url, other) as store:
        with pytest.raises(auditing.AuditKeyError, match="audit key"):
            await auditing.check_keys(store, other)
        await write(store, ENTRIES + 1)
        await auditing.check_keys(store, other)
        await auditing.check_keys(store, CHAIN_OF_BOTH)
    assert found(await verified(url, chain=other)) == [(What.UNKNOWN_KEY, 1)]
    assert (await verified(url, chain=CHAIN_OF_BOTH)).sound
    entries = (await verified(url, chain=other)).faults[0].detail
    lost = Chain([b"n" * 32], lost=[entries.split("the key ")[1][:16]])
    seen = await verified(url, chain=lost)
    assert (seen.sound, seen.given_up) == (True, ENTRIES)


CHAIN_OF_BOTH = Chain([b"n" * 32, b"k" * 32])


def test_many_faults_are_counted_and_few_are_kept() -> None:
    faults = Faults()
    following = Following(CHAIN, (), faults)
    entries, hash_ = [], b""
    for number in range(1, FAULTS_KEPT + 20):
        entries.append(CHAIN.sealed(msgspec.structs.replace(entry(1, b""), number=number), hash_))
        hash_ = entries[-1].hash or b""
    for one in entries:
        following.add(msgspec.structs.replace(one, actor="her"))
    following.end()
    assert (len(faults.kept), faults.total) == (FAULTS_KEPT, len(entries))


def test_a_number_that_is_there_twice_and_one_that_is_none_are_inserted() -> None:
    faults = Faults()
    following = Following(CHAIN, (), faults)
    one = CHAIN.sealed(msgspec.structs.replace(entry(1, b""), number=1), b"")
    for given in (msgspec.structs.replace(one, number=0), one, one):
        following.add(given)
    assert [fault.what for fault in faults.kept] == [What.INSERTED, What.INSERTED]


def test_a_sound_entry_of_another_history_does_not_follow() -> None:
    faults = Faults()
    following = Following(CHAIN, (), faults)
    first = CHAIN.sealed(msgspec.structs.replace(entry(1, b""), number=1), b"")
    other = CHAIN.sealed(msgspec.structs.replace(entry(1, b""), number=1, actor="her"), b"")
    following.add(first)
    following.add(CHAIN.sealed(msgspec.structs.replace(entry(1, b""), number=2), other.hash or b""))
    assert [(fault.what, fault.number) for fault in faults.kept] == [(What.UNLINKED, 2)]


def test_balances_tell_sets_apart_in_any_order() -> None:
    balance = contents.Balance()
    names = [(Kind.SEGMENT, f"s{n}", 1) for n in range(100)]
    for name in names:
        balance.add(name, b"x")
    for name in reversed(names[1:]):
        balance.take(name, b"x")
    assert balance.differing() == {contents.bucket_of(names[0])}
    balance.take(names[0], b"y")
    assert balance.differing() == {contents.bucket_of(names[0])}


def test_nothing_before_the_chain_is_no_digest() -> None:
    before = Unchained()
    assert before.digest == b""
    before.add(entry(1, b""))
    assert len(before.digest) == 32
    assert report.FAULTS_KEPT > 0 < check.BREATH


# ---------------------------------------------------------------- restores, and what anchors from before them say


def restored(at: datetime = NOW + timedelta(hours=1)) -> StoredAudit:
    return StoredAudit(at=at, actor="me", role="admin", action="restored_backup", kind="backup", subject="b")


def chained(*given: StoredAudit) -> list[StoredAudit]:
    sealed, hash_ = list[StoredAudit](), b""
    for number, one in enumerate(given, 1):
        sealed.append(CHAIN.sealed(msgspec.structs.replace(one, number=number), hash_))
        hash_ = sealed[-1].hash or b""
    return sealed


@pytest.mark.parametrize(
    ("number", "at", "faults"),
    [
        (3, NOW, []),
        (9, NOW, []),
        (2, NOW, [(What.REWRITTEN, 2)]),  # from before where the restore went back to
        (3, NOW + timedelta(hours=2), [(What.REWRITTEN, 3)]),
        (9, NOW + timedelta(hours=2), [(What.TRUNCATED, 5)]),
        (9, None, [(What.TRUNCATED, 5)]),
    ],
)
def test_a_restore_explains_what_was_known_before_it(
    number: int, at: datetime | None, faults: list[tuple[What, int]]
) -> None:
    kept, anchor = Faults(), Anchor("a backup", number, b"12345678", at)
    following = Following(CHAIN, [anchor], kept)
    for one in chained(entry(1, b""), entry(2, b""), restored(), entry(3, b"")):
        following.add(one)
    following.end()
    assert [(fault.what, fault.number) for fault in kept.kept] == faults
    assert following.superseded == (not faults)


def test_a_restore_that_nobody_sealed_explains_nothing() -> None:
    kept = Faults()
    following = Following(CHAIN, [Anchor("a backup", 9, b"12345678", NOW)], kept)
    first, second = chained(entry(1, b""), entry(2, b""))
    following.add(first)
    following.add(msgspec.structs.replace(second, action="restored_backup", at=NOW + timedelta(hours=1)))
    following.end()
    assert [fault.what for fault in kept.kept] == [What.CHANGED, What.TRUNCATED]


# ---------------------------------------------------------------- what is new alone


CUT = (
    "DELETE FROM audit_entries WHERE number > 6; DELETE FROM document_versions WHERE version > 6; "
    "UPDATE ledger SET audit_number = 6, audit_hash = (SELECT hash FROM audit_entries WHERE number = 6); UPDATE documents "
    "SET version = 6, content = (SELECT content FROM document_versions WHERE version = 6)"
)


async def recent(store: Store, since: Checkpoint, *anchors: Anchor) -> Looked:
    return await looked_at_recent(store, CHAIN, Known(anchors), since, at=NOW)


async def whole(store: Store) -> Checkpoint:
    checkpoint = (await looked_at(store, CHAIN, Known(), at=NOW)).checkpoint
    assert checkpoint is not None
    return checkpoint


async def test_a_look_goes_on_from_where_all_was_sound(filled_file: Path) -> None:
    async with in_file(filled_file) as store:
        since = await whole(store)
        for version in (ENTRIES + 1, ENTRIES + 2):
            await write(store, version)
        report, checkpoint = await recent(store, since, of_checkpoint(since))
        assert (report.sound, report.since, report.entries, report.versions) == (True, ENTRIES, 2, 2)
        head = await store.position()
        assert checkpoint is not None
        assert (checkpoint.number, checkpoint.hash, checkpoint.change) == (10, head.audit_hash, head.change)
        assert (await recent(store, checkpoint)).report.entries == 0


@pytest.mark.parametrize(
    ("tampering", "faults"),
    [
        ("UPDATE audit_entries SET actor = 'her' WHERE number = 9", [(What.CHANGED, 9)]),
        ("DELETE FROM audit_entries WHERE number = 9", [(What.MISSING, 9), (What.NO_ENTRY, None)]),
        ("DELETE FROM audit_entries WHERE number = 10", [(What.TRUNCATED, 10)]),
        (CUT, [(What.MISSING, 8)]),
        ("UPDATE audit_entries SET hash = zeroblob(32) WHERE number = 8", [(What.REWRITTEN, 8)]),
        ("UPDATE document_versions SET content = '{}' WHERE version = 9", [(What.CONTENT, 9), (What.HEAD, None)]),
        ("UPDATE documents SET content = '{}'", [(What.HEAD, None)]),
        ("DELETE FROM document_versions WHERE version = 9", [(What.NO_VERSION, 9), (What.HEAD, None)]),
    ],
)
async def test_what_is_new_is_looked_at_as_closely(
    filled_file: Path, tampering: str, faults: list[tuple[What, int | None]]
) -> None:
    async with in_file(filled_file) as store:
        since = await whole(store)
        await write(store, ENTRIES + 1)
        async with store.transaction() as transaction:
            await transaction.add_audit(entry(1, b"", kind="session"))
    tamper(filled_file, tampering)
    async with in_file(filled_file) as store:
        looked = await recent(store, since, of_checkpoint(since))
    assert (found(looked.report), looked.checkpoint) == (faults, None)


async def test_what_a_restore_explained_stays_explained(filled_file: Path) -> None:
    anchor = Anchor("a backup", ENTRIES + 3, b"12345678", NOW)
    async with in_file(filled_file) as store:
        async with store.transaction() as transaction:
            await transaction.add_audit(restored())
        since = await whole(store)
        assert (await recent(store, since, anchor)).report.anchors_superseded == 1
        later = msgspec.structs.replace(anchor, at=NOW + timedelta(hours=2))
        assert found((await recent(store, since, later)).report) == [(What.TRUNCATED, ENTRIES + 2)]


def test_a_checkpoint_is_kept_and_a_file_that_is_none_is_no_checkpoint(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "data")
    assert kept.read() is None
    checkpoint = Checkpoint(
        installation="i",
        number=1,
        hash=b"h",
        change=1,
        at=NOW,
        whole_at=NOW,
        chained_since=1,
        restores=(Restore(1, NOW),),
    )
    kept.write(checkpoint)
    assert kept.read() == checkpoint
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    kept.path.write_text("{")
    assert kept.read() is None
    Checkpoints(kept.path).write(checkpoint)  # no folder: it is only told


# ---------------------------------------------------------------- a store in one file


@asynccontextmanager
async def in_file(path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(path, chain=CHAIN)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def tamper(path: Path, statements: str) -> None:
    """As somebody would who has the file: without the triggers that are in the way."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(statements)


@pytest.fixture
async def filled_file(tmp_path: Path) -> Path:
    path = tmp_path / "store.sqlite"
    async with in_file(path) as store:
        await store.found(Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW))
        for version in range(1, ENTRIES + 1):
            await write(store, version)
    return path


@pytest.mark.parametrize(
    ("tampering", "faults"),
    [
        ("UPDATE audit_entries SET actor = 'her' WHERE number = 3", [(What.CHANGED, 3)]),
        ("DELETE FROM audit_entries WHERE number = 3", [(What.MISSING, 3), (What.NO_ENTRY, None)]),
        (
            (
                "UPDATE audit_entries SET number = 100 WHERE number = 3; UPDATE audit_entries SET number = 3 WHERE number = 4; "
                "UPDATE audit_entries SET number = 4 WHERE number = 100"
            ),
            [(What.REORDERED, 3), (What.REORDERED, 4)],
        ),
        ("DELETE FROM audit_entries WHERE number > 7", [(What.TRUNCATED, 8), (What.NO_ENTRY, None)]),
        (CUT, [(What.TRUNCATED, 7)]),
        ("UPDATE document_versions SET content = '{}' WHERE version = 4", [(What.CONTENT, 4)]),
        ("UPDATE documents SET content = '{}'", [(What.HEAD, None)]),
    ],
)
async def test_a_store_in_one_file_is_checked_by_the_same_code(
    filled_file: Path, tampering: str, faults: list[tuple[What, int | None]]
) -> None:
    async with in_file(filled_file) as store:
        head = await store.position()
        anchor = Anchor("the backup x", head.audit_number, head.audit_hash[:8], NOW)
        assert (await auditing.verify(store, CHAIN, [anchor])).sound
    tamper(filled_file, tampering)
    async with in_file(filled_file) as store:
        assert found(await auditing.verify(store, CHAIN, [anchor])) == faults
        assert (await auditing.verify(store, CHAIN)).sound == (tampering == CUT), "inside the store nothing tells of it"

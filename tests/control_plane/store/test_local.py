"""What is particular about the store in one file: the file itself, its threads, its outbox.

Counterpart: `test_stores.py` has what every store does.
"""

import asyncio
import base64
import signal
import sqlite3
import stat
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from hashlib import sha256
from operator import methodcaller
from pathlib import Path
from typing import cast

import msgspec
import pytest

from control_plane.schema.runner import SchemaError
from control_plane.store import Installation, Kind, Record, Shelf, StoredAudit, StoredVersion, StoreError
from control_plane.store.local import Damaged, LocalStore, salvage
from control_plane.store.local.migrating import migrate
from tests.control_plane.plane import CHAIN

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OURS = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
ENTRY = StoredAudit(at=NOW, actor="me", role="admin", action="created", kind="segment", subject="a")
ACKNOWLEDGES = """
import asyncio, sys
from pathlib import Path
from control_plane.store.local import LocalStore
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.test_local import ENTRY

async def work():
    store = LocalStore(Path(sys.argv[1]), chain=CHAIN)
    await store.open()
    while True:
        async with store.transaction() as transaction:
            entry = await transaction.add_audit(ENTRY)
        print(entry.number, flush=True)

asyncio.run(work())
"""


def version(number: int, content: bytes = b'{"id":"a"}') -> StoredVersion:
    return StoredVersion(version=number, content=content, action="created", actor="me", reason="", at=NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.sqlite3"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[LocalStore]:
    opened = LocalStore(file, chain=CHAIN, wait_s=0.2)
    await opened.open()
    yield opened
    await opened.close()


async def filled(file: Path) -> bytes:
    """The bytes of a closed file with enough in it for many pages."""
    store = LocalStore(file, chain=CHAIN)
    await store.open()
    async with store.transaction() as transaction:
        for number in range(1, 200):
            await transaction.put(Kind.MODULE, "a", version(number, b'{"id":"a","text":"%s"}' % (b"x" * 500)))
    await store.close()
    return file.read_bytes()


async def test_only_its_owner_can_read_the_file_and_what_lies_beside_it(store: LocalStore, file: Path) -> None:
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert found == dict.fromkeys([file.name, f"{file.name}-wal", f"{file.name}-shm"], 0o600)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert await store._read(lambda one: one.execute("PRAGMA synchronous").fetchone()[0]) == 2  # FULL
    assert store.path == file


@pytest.mark.parametrize("harm", ["garbage", "a page", "cut short"])
async def test_a_damaged_file_is_refused_by_name_and_left_as_it_is(file: Path, harm: str) -> None:
    sound = await filled(file)
    broken = {
        "garbage": b"\x17" * 5_000,
        "a page": sound[:40_960] + b"\xff" * 4_096 + sound[45_056:],
        "cut short": sound[: len(sound) // 2],
    }[harm]
    file.write_bytes(broken)
    store = LocalStore(file, chain=CHAIN)
    with pytest.raises(Damaged, match=r"store\.sqlite3 is damaged: .*; put it aside"):
        await store.open()
    assert file.read_bytes() == broken
    with pytest.raises(StoreError, match="not open"):
        await store.ping()
    file.rename(file.with_suffix(".damaged"))
    await store.open()
    await store.ping()
    await store.close()


async def test_a_file_of_another_program_is_refused_untouched(file: Path) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE recipes (name TEXT)")
    before = file.read_bytes()
    with pytest.raises(SchemaError, match="another program"):
        await LocalStore(file, chain=CHAIN).open()
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ("INSERT INTO schema_migrations (number, name, checksum) VALUES (9999, 'n', 'c')", "newer than this program"),
        ("UPDATE schema_migrations SET checksum = 'edited' WHERE number = 1", "not the one that was applied"),
    ],
)
async def test_a_newer_or_edited_schema_is_refused_untouched(file: Path, edit: str, problem: str) -> None:
    await filled(file)
    with closing(sqlite3.connect(file)) as other:
        other.execute(edit)
        other.commit()
    before = file.read_bytes()
    with pytest.raises(SchemaError, match=problem):
        await LocalStore(file, chain=CHAIN).open()
    assert file.read_bytes() == before


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    header = "-- What: a\n-- Why: b\n-- Undo: c\n"
    first, second = tmp_path / "0001_good.sql", tmp_path / "0002_bad.sql"
    first.write_text(f"{header}CREATE TABLE good (a TEXT);\n")
    second.write_text(f"{header}CREATE TABLE half (a TEXT);\nCREATE TABLE half (a TEXT);\n")
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        with pytest.raises(SchemaError, match="0002_bad failed and nothing was changed: table half already exists"):
            migrate(connection, Path("file"), tmp_path)
        assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
        second.unlink()
        migrate(connection, Path("file"), tmp_path)
        (tmp_path / "file.before-0002").mkdir()
        second.write_text(f"{header}CREATE TABLE whole (a TEXT);\n")
        with pytest.raises(SchemaError, match="nothing was migrated, because no copy could be made before"):
            migrate(connection, Path("file"), tmp_path)
        (tmp_path / "file.before-0002").rmdir()
        migrate(connection, Path("file"), tmp_path)
        names = [row["name"] for row in connection.execute("SELECT name FROM schema_migrations ORDER BY number")]
    assert names == ["good", "bad"]


async def test_reading_does_not_wait_for_writing(store: LocalStore) -> None:
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
        assert await store.find(Kind.MODULE, "a") is None
        assert await transaction.find(Kind.MODULE, "a") is not None
    assert await store.find(Kind.MODULE, "a") is not None


async def test_a_stream_of_records_sees_one_moment(store: LocalStore) -> None:
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
    stream = store.records()
    first = [await anext(stream)]
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "b", version(1, b'{"id":"b"}'))
    assert len(first + [one async for one in stream]) == 2
    assert len([one async for one in store.records()]) == 3
    abandoned = cast("AsyncGenerator[Record, None]", store.records())
    await anext(abandoned)
    await abandoned.aclose()


async def test_a_writer_waits_for_another_process_and_then_says_so(store: LocalStore, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process has been writing for too long"):
            await store.found(OURS)
        assert (await store.position()).installation is None  # which nobody had to wait for
        asyncio.get_running_loop().call_later(0.05, other.execute, "COMMIT")
        assert await store.found(OURS) == OURS
    async with store.transaction():
        with pytest.raises(StoreError, match="the change before this one takes more than"):
            await store.found(OURS)


async def test_a_writer_who_is_cancelled_leaves_nothing_and_is_in_nobody_s_way(store: LocalStore) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with store.transaction() as transaction:
            await transaction.put(Kind.MODULE, "a", version(1))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await store.everything(Kind.MODULE) == []
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
    assert len(await store.everything(Kind.MODULE)) == 1


async def test_what_was_answered_outlives_a_killed_process(file: Path, clone: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ACKNOWLEDGES, str(file), cwd=clone, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    answered = [await process.stdout.readline() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    answered += (await process.stdout.read()).splitlines()
    await process.wait()
    store = LocalStore(file, chain=CHAIN)
    await store.open()
    entries = await store.audit_page(None, None, None, 100_000)
    await store.close()
    assert len(entries) in (len(answered), len(answered) + 1)  # one may have been saved and not been answered yet
    assert all(CHAIN.is_sound(entry) for entry in entries)


async def test_a_full_disk_is_said_and_nothing_is_saved(store: LocalStore) -> None:
    assert store._writer is not None
    await store._writer.run(lambda one: one.execute("PRAGMA max_page_count = 40").fetchall())

    async def fill() -> None:
        async with store.transaction() as transaction:
            for number in range(1, 100):
                await transaction.put(Kind.MODULE, "a", version(number, b'{"id":"a","text":"%s"}' % (b"x" * 5_000)))

    with pytest.raises(StoreError, match=r"store\.sqlite3: the disk is full; nothing was saved"):
        await fill()
    assert await store.everything(Kind.MODULE) == []
    await store._writer.run(lambda one: one.execute("PRAGMA max_page_count = 100000").fetchall())
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))


@pytest.mark.parametrize("table", ["document_versions", "audit_entries"])
async def test_history_does_not_change(store: LocalStore, table: str) -> None:
    async with store.transaction() as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
        await transaction.add_audit(ENTRY)
    writer = store._writer
    assert writer is not None
    for statement in (f"UPDATE {table} SET reason = 'other'", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match=f"rows of {table} never change"):
            await writer.run(methodcaller("execute", statement))


async def test_a_provisional_change_waits_in_the_outbox_until_it_is_settled(store: LocalStore) -> None:
    await store.found(OURS)
    before = await store.position()
    async with store.transaction(provisional=True) as first:
        await first.put(Kind.MODULE, "a", version(1))
        await first.add_audit(ENTRY)
    between = await store.position()
    async with store.transaction() as usual:
        await usual.put(Kind.MODULE, "a", version(2))
    async with store.transaction(provisional=True):
        pass  # nothing was written
    with suppress(KeyError):
        async with store.transaction(provisional=True) as undone:
            await undone.put(Kind.MODULE, "a", version(3))
            raise KeyError
    assert await store.use_sign_in("once", NOW, provisional=True)
    assert not await store.use_sign_in("once", NOW, provisional=True)
    waiting = await store.outbox()
    assert [(one.changeset, one.base, list(one.records)) for one in waiting[:1]] == [
        (first.changeset, before, first.written)
    ]
    assert [len(one.records) for one in waiting] == [2, 1]
    assert waiting[1].base.change == between.change + 1
    await store.settled(first.changeset)
    await store.settled(first.changeset)
    assert await store.outbox() == waiting[1:]
    await store.settled()
    await store.settled(first.changeset, waiting[1].changeset)
    assert await store.outbox() == []


async def test_all_but_the_outbox_is_replaced_or_nothing(store: LocalStore, tmp_path: Path) -> None:
    async with store.transaction(provisional=True) as transaction:
        await transaction.put(Kind.MODULE, "a", version(1))
        await transaction.add_audit(ENTRY)
        await transaction.keep(Shelf.ALERT, "away", b"{}", NOW)
        await transaction.raise_table_version(7)
    primary = LocalStore(tmp_path / "primary.sqlite3", chain=CHAIN)
    await primary.open()
    await primary.found(OURS)
    async with primary.transaction() as transaction:
        await transaction.put(Kind.SEGMENT, "b", version(1, b'{"id":"b"}'))

    async def broken() -> AsyncIterator[object]:
        async for record in primary.records():
            yield record
        raise StoreError("gone in the middle")

    before = [one async for one in store.records()]
    with pytest.raises(StoreError, match="gone in the middle"):
        await store.replace(broken(), OURS)  # type: ignore[arg-type]
    assert [one async for one in store.records()] == before
    await store.replace(primary.records(), OURS)
    assert [one async for one in store.records()] == [one async for one in primary.records()]
    assert await store.position() == await primary.position()
    assert len(await store.outbox()) == 1
    await primary.close()


# ---------------------------------------------------------------- what a damaged file's outbox still says


async def _provisionally(store: LocalStore, names: str) -> None:
    for name in names:
        content = f'{{"id":"{name}","note":"{name * 9_000}"}}'.encode()  # a change has pages of its own
        async with store.transaction(provisional=True) as transaction:
            await transaction.put(Kind.SEGMENT, name, version(1, content))
            digest = sha256(content).hexdigest()
            await transaction.add_audit(msgspec.structs.replace(ENTRY, subject=name, version_after=1, digest=digest))


def _root_page(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        row = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    return int(row[0])


async def test_what_waited_in_a_damaged_file_is_read_change_by_change(file: Path, tmp_path: Path) -> None:
    damaged, other = LocalStore(file, chain=CHAIN), LocalStore(tmp_path / "other", chain=CHAIN)
    await damaged.open()
    await damaged.found(OURS)
    await _provisionally(damaged, "abc")
    written = await damaged.outbox()
    await damaged.close()
    content = file.read_bytes().replace(base64.b64encode(b"b" * 300), base64.b64encode(b"b" * 299 + b"x"))
    file.write_bytes(content)
    with file.open("r+b") as edited:
        edited.seek((_root_page(file, "audit_entries") - 1) * 4096)
        edited.write(b"x" * 4096)
    with pytest.raises(Damaged):
        await damaged.open()
    await other.open()
    found = await other.salvage(file)
    assert list(found.changesets) == [written[0], written[2]]
    assert found.lost == ("change 2: the segment b is not what was saved",)
    assert (await other.salvage(file)).changesets == found.changesets
    assert await other.outbox() == [written[0], written[2]], "once"
    for one in written:
        await other.settled(one.changeset)
    assert list((await other.salvage(file, written[1:])).changesets) == written
    assert await other.outbox() == written, "with what a copy has, in the order of before"
    await other.close()


@pytest.mark.parametrize("bytes_kept", [0, 100, 4096 * 3])
async def test_a_file_that_nothing_can_be_read_of_is_said_to_be_one(file: Path, bytes_kept: int) -> None:
    store = LocalStore(file, chain=CHAIN)
    await store.open()
    await _provisionally(store, "a")
    await store.close()
    file.write_bytes(file.read_bytes()[:bytes_kept] + b"x" * 9_000)
    found = salvage.read(file, CHAIN)
    assert found.changesets == ()
    assert found.lost != ()


async def test_who_is_in_a_transaction_when_the_file_is_closed_hears_that_nothing_was_saved(file: Path) -> None:
    store = LocalStore(file, chain=CHAIN)

    async def closed_in_the_middle() -> None:
        async with store.transaction() as transaction:
            await transaction.add_audit(ENTRY)
            await store.close()

    await store.open()
    with pytest.raises(StoreError, match="not open"):
        await closed_in_the_middle()
    await store.open()
    assert (await store.position()).audit_number == 0
    await store.close()

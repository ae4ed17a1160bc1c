"""What `doctor` says of files: the store in one file, ChromaDB behind it, the mirror of a database."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from control_plane.backups.backups import make
from control_plane.backups.configured import kept_by
from control_plane.schema import address, runner
from control_plane.store import Installation, Kind, Position, Store, StoredAudit, StoredVersion
from control_plane.store.chain import configured
from control_plane.store.chroma import ChromaStore
from control_plane.store.local import LocalStore
from control_plane.store.postgres import PostgresStore
from layout_mutation.audit import known_of
from layout_mutation.doctor import files
from layout_mutation.doctor.audit import audit
from layout_mutation.doctor.checks import Asked, Check
from tests.layout_mutation.typed import CommandLine
from tests.servers import execute, wait_for

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OURS = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
KEY = base64.b64encode(b"s" * 32).decode()
CHAIN = configured("", KEY)
CUT = (
    "DELETE FROM {0}audit_entries WHERE number > 2; DELETE FROM {0}{1} WHERE version > 2; UPDATE {0}ledger SET audit_number = 2, "
    "audit_hash = (SELECT hash FROM {0}audit_entries WHERE number = 2); UPDATE {0}{2} SET version = 2, "
    "content = (SELECT content FROM {0}{1} WHERE version = 2)"
)
"""The newest entries and what they tell of gone, and the store's own head set back to fit."""
REORDER = (
    "UPDATE {0}audit_entries SET number = 100 WHERE number = 2; UPDATE {0}audit_entries SET number = 2 WHERE number = 3; "
    "UPDATE {0}audit_entries SET number = 3 WHERE number = 100"
)


async def fill(store: Store, versions: Sequence[int] = range(1, 5)) -> Position:
    """One segment with so many versions, each with its entry."""
    await store.open()
    await store.found(OURS)
    for number in versions:
        content = b'{"id":"a","n":%d}' % number
        async with store.transaction() as transaction:
            row = StoredVersion(version=number, content=content, action="updated", actor="me", reason="", at=NOW)
            await transaction.put(Kind.SEGMENT, "a", row)
            await transaction.add_audit(
                StoredAudit(
                    at=NOW,
                    actor="me",
                    role="admin",
                    action="updated",
                    kind="segment",
                    subject="a",
                    version_after=number,
                )
            )
    return await store.position()


def done(work: Any) -> Any:
    """A coroutine in a loop of its own, as commands are run in this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def closed(store: Store, work: Any) -> Any:
    try:
        return await work
    finally:
        await store.close()


def tamper(file: Path, statements: str) -> None:
    """As somebody would who has the file."""
    with closing(sqlite3.connect(file)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.executescript(statements)


class Folder:
    """A data folder and the environment that names it."""

    def __init__(self, folder: Path, run: CommandLine, **more: str) -> None:
        self.folder = folder
        self.file = folder / "store.sqlite3"
        self.mirror = folder / "mirror.db"
        self._run = run
        self.here = {"CONTROL_PLANE_DATA_DIR": str(folder), "CONTROL_PLANE_SIGNING_KEY": KEY, **more}

    def asked(self) -> Asked:
        return Asked({**self.here})

    def says(self) -> dict[str, tuple[bool, str]]:
        ran = self._run("doctor", "--json", environment=self.here)
        return {one["name"]: (one["fine"], one["detail"]) for one in json.loads(ran.out)}


@pytest.fixture
def local(tmp_path: Path, run: CommandLine) -> Folder:
    """A small installation in one file, with a backup."""
    folder = Folder(tmp_path / "data", run, CONTROL_PLANE_STORE="local")
    store = LocalStore(folder.file, chain=CHAIN)

    async def work() -> None:
        await fill(store)
        await make(store, kept_by({}, folder.folder), occasion="by_hand", at=NOW)

    done(closed(store, work()))
    return folder


def test_a_file_that_is_sound(local: Folder) -> None:
    said = local.says()
    assert set(said) == {"store", "disk", "audit", "documents", "redis"}
    assert [name for name, (fine, _) in said.items() if not fine] == ["documents", "redis"]
    assert said["store"][1].endswith("schema 2 of 2")
    assert "MiB free" in said["disk"][1]
    assert said["audit"][1] == (
        "4 entries (chained since entry 1), 4 versions, no faults; compared with 1 head that is known elsewhere; "
        "4 versions are from before contents were sealed"
    )


@pytest.mark.parametrize(
    ("tampering", "says"),
    [
        ("UPDATE audit_entries SET actor = 'her' WHERE number = 3", "entry 3: changed"),
        ("DELETE FROM audit_entries WHERE number = 2", "entry 2: missing"),
        (REORDER.format(""), "entry 2: reordered: it was sealed as entry 3; entry 3: reordered"),
        (
            "DELETE FROM audit_entries WHERE number > 3",
            "entry 4: truncated: the audit ends at entry 3, and the ledger knows entry 4 and the backup",
        ),
        (
            CUT.format("", "document_versions", "documents"),
            "entry 3: truncated: the audit ends at entry 2, and the backup layout-mutation-2030",
        ),
    ],
)
def test_a_file_whose_audit_was_tampered_with(local: Folder, tampering: str, says: str) -> None:
    tamper(local.file, tampering)
    fine, detail = local.says()["audit"]
    assert (fine, says in detail) == (False, True), detail


def test_a_file_that_is_damaged_or_of_another_schema(local: Folder, run: CommandLine) -> None:
    sound = local.file.read_bytes()
    local.file.write_bytes(sound[: len(sound) // 2])
    said = local.says()
    assert (said["store"][0], "damaged" in said["store"][1], "audit" in said) == (False, True, False)
    local.file.write_bytes(b"nonsense" * 1_000)
    assert "is damaged" in local.says()["store"][1]
    local.file.write_bytes(sound)
    tamper(local.file, "UPDATE schema_migrations SET number = 99 WHERE number = 2")
    assert "newer than this program" in local.says()["store"][1]
    assert run("audit", "verify", environment=local.here).is_one_error(1)


def test_a_disk_without_room(local: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE_BYTES_MIN", 2**62)
    fine, detail = local.says()["disk"]
    assert (fine, "needed: make room" in detail) == (False, True)


def test_documents_that_chroma_has_otherwise(tmp_path: Path, run: CommandLine) -> None:
    pytest.importorskip("chromadb")
    folder = Folder(tmp_path / "data", run, CONTROL_PLANE_STORE="chroma")
    store = ChromaStore(folder.file, chain=CHAIN)
    done(closed(store, fill(store)))
    fine = Check("store", True, "")
    assert files.chroma(folder.asked(), ()) == [], "the file has the say, and was not fine"
    assert files.chroma(folder.asked(), [fine]) == [Check("chroma", True, "has every document as the file has it")]
    file = LocalStore(folder.file, chain=CHAIN)
    done(closed(file, fill(file, [5])))
    assert files.chroma(folder.asked(), [fine])[0].fine, "what is still to come is no fault"
    tamper(folder.file, "UPDATE documents SET version = 1, change = 1")
    (found,) = files.chroma(folder.asked(), [fine])
    assert (found.fine, "1 documents lie otherwise than in the file: segment/a; stop" in found.detail) == (False, True)


# ---------------------------------------------------------------- a database and its mirror


async def _fill_both(url: str, mirror: Path) -> None:
    await runner.migrate(url)
    store, beside = PostgresStore(address.parse(url), connections_max=2, chain=CHAIN), LocalStore(mirror, chain=CHAIN)
    try:
        await fill(store)
        await beside.open()
        await beside.load(store.records(), OURS)
    finally:
        await store.close()
        await beside.close()


@pytest.fixture
def both(database_url: str, tmp_path: Path, run: CommandLine) -> Folder:
    """A database with a history, and its mirror."""
    folder = Folder(tmp_path / "data", run, DATABASE_URL=database_url)
    done(_fill_both(database_url, folder.mirror))
    return folder


def test_a_database_that_was_tampered_with_and_what_its_mirror_knows(both: Folder, database_url: str) -> None:
    said = both.says()
    assert (said["mirror"][0], said["mirror"][1].endswith("level with the database")) == (True, True)
    assert "compared with 1 head that is known elsewhere" in said["audit"][1]
    without = Asked({name: value for name, value in both.here.items() if "KEY" not in name})
    assert "not looked at" in audit(without, [Check("database", True, "")])[0].detail

    def said_after(statements: str) -> str:
        wait_for(execute(database_url, f"SET session_replication_role = replica; {statements}"))
        (check,) = audit(both.asked(), [Check("database", True, "")])
        assert not check.fine
        return check.detail

    entries = "layout_mutation.audit_entries"
    swap = REORDER.format("layout_mutation.")
    assert "entry 2: reordered: it was sealed as entry 3; entry 3: reordered" in said_after(swap)
    assert "entry 4: changed" in said_after(f"{swap}; UPDATE {entries} SET actor = 'her' WHERE number = 4")
    wait_for_provisional(both.mirror)
    cut = CUT.format("layout_mutation.", "segment_versions", "segments")
    assert "entry 3: truncated: the audit ends at entry 2, and the mirror knows entry 4" in said_after(cut)
    assert "entry 1: missing: entry 1 is gone" in said_after(f"DELETE FROM {entries} WHERE number = 1")
    tamper(both.mirror, "DELETE FROM outbox; UPDATE installation SET id = '0193f0a0-0000-7000-8000-000000000002'")
    assert "--adopt" in files.mirror(both.asked(), [Check("database", True, "")])[0].detail


def wait_for_provisional(file: Path) -> None:
    """An entry that waits for the database."""
    mirror = LocalStore(file, chain=CHAIN)
    entry = StoredAudit(at=NOW, actor="me", role="admin", action="signed_in", kind="session", subject="s")

    async def work() -> None:
        await mirror.open()
        async with mirror.transaction(provisional=True) as transaction:
            await transaction.add_audit(entry)

    done(closed(mirror, work()))


def test_a_mirror_says_what_waits_in_it_and_that_it_is_damaged(tmp_path: Path, run: CommandLine) -> None:
    folder = Folder(tmp_path / "data", run, DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert files.mirror(folder.asked(), ()) == []
    mirror = LocalStore(folder.mirror, chain=CHAIN)
    position = done(closed(mirror, fill(mirror)))
    assert files.mirror(folder.asked(), ())[0].detail.endswith("not compared with the database")
    wait_for_provisional(folder.mirror)
    found = files.mirror(folder.asked(), ())[0]
    assert (found.fine, found.detail.startswith("1 changesets wait since ")) == (False, True)
    folder.mirror.write_bytes(b"nonsense" * 1_000)
    found = files.mirror(folder.asked(), ())[0]
    assert (found.fine, "puts a damaged one aside" in found.detail) == (False, True)
    known = done(known_of(position, folder.here, None))
    assert (known.anchors, [words.partition(": ")[0] for words in known.away]) == ((), ["the mirror"])

"""What is known of the audit outside the store, and that a service, and nothing but a restore, is told by it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from control_plane import anchors, audit
from control_plane.alerts import Alerts, Severity
from control_plane.audit import ANCHORS_AWAY, AUDIT_CHAIN_BROKEN, Audit
from control_plane.auditing import AuditReport, What
from control_plane.auditing.checkpoints import Checkpoints
from control_plane.auditing.report import Known
from control_plane.backups import backups
from control_plane.backups.backups import make
from control_plane.backups.configured import Configured, kept_by
from control_plane.backups.lines import PlaceError
from control_plane.backups.places import Bucket, Found, named
from control_plane.backups.restoring import into_store
from control_plane.intent import Publication
from control_plane.store import Installation, StoredAudit
from control_plane.store.local import LocalStore
from control_plane.store.local.examining import examine
from control_plane.store.mirror.standing import LEVEL, Standing, State
from control_plane.telemetry import Telemetry
from tests.control_plane.plane import CHAIN

NOW = datetime(2030, 1, 1, tzinfo=UTC)
OURS = Installation("0193f0a0-0000-7000-8000-000000000001", 1, NOW)
PUBLICATION = Publication(published=True, table_version=1)
ENTRY = StoredAudit(at=NOW, actor="me", role="admin", action="signed_in", kind="session", subject="me")
CUT = "DELETE FROM audit_entries WHERE number > 2; UPDATE ledger SET audit_number = 2, audit_hash = (SELECT hash FROM audit_entries WHERE number = 2)"


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[LocalStore]:
    store = LocalStore(path, chain=CHAIN)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def add(store: LocalStore, count: int = 1, *, provisional: bool = False) -> None:
    async with store.transaction(provisional=provisional) as transaction:
        for _ in range(count):
            await transaction.add_audit(ENTRY)


def cut(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(f"DROP TRIGGER audit_entries_are_not_removed; {CUT}")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with five entries, closed."""
    path = tmp_path / "store.sqlite"
    async with opened(path) as store:
        await store.found(OURS)
        await add(store, 5)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Configured:
    return kept_by({}, tmp_path)


async def test_a_backup_s_name_knows_the_head_of_the_audit(path: Path, kept: Configured, tmp_path: Path) -> None:
    async with opened(path) as store:
        backup = await make(store, kept, occasion="by_hand", at=NOW)
        head = await store.position()
        known = await anchors.of_service(store, kept)
    assert [(one.where, one.number, one.hash, one.at) for one in known.anchors] == [
        (f"the backup {backup.name}", 5, head.audit_hash[:8], NOW)
    ]
    assert known.away == ()
    assert await anchors.of_backups(kept, "ffffffff-0000") == Known()
    (kept.folder.path / "layout-mutation-20300101T000000Z-0193f0a0-7.backup").touch()  # one that tells nothing of it
    assert len((await anchors.of_backups(kept, OURS.id)).anchors) == 1
    kept.folder.path.rename(tmp_path / "elsewhere")
    kept.folder.path.touch()  # no folder
    assert await anchors.of_backups(kept, OURS.id) == Known()


class Elsewhere(Bucket):
    """A bucket that can be listed, or can't."""

    names: tuple[str, ...] | None = None

    async def found(self) -> list[Found]:
        if self.names is None:
            raise PlaceError("s3://b/p can't be used")
        return [found for name in self.names if (found := named(name, 1)) is not None]


async def test_backups_far_away_are_asked_by_their_names_alone(path: Path, kept: Configured) -> None:
    bucket = Elsewhere("s3://b/p")
    both = msgspec.structs.replace(kept, remote=bucket)
    async with opened(path) as store:
        backup = await make(store, kept, occasion="by_hand", at=NOW)
    known = await anchors.of_backups(both, OURS.id)
    assert (len(known.anchors), known.away) == (1, ("backups: s3://b/p can't be used",))
    encrypted = backup.name.replace("-5-", "-7-") + ".age"
    bucket.names = (backup.name, encrypted)
    known = await anchors.of_backups(both, OURS.id)
    assert [(one.where, one.number) for one in known.anchors] == [
        (f"the backup {backup.name}", 5),
        (f"the backup {encrypted}", 7),
    ]


async def test_what_is_provisional_is_no_anchor(path: Path, kept: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path) as store:
        before = await store.position()
        await add(store, provisional=True)
        waits = Standing(State.MIRROR, 1, catching_up=False, mirror_age_s=0.0)
        monkeypatch.setattr(backups, "standing_of", lambda _: waits)
        await make(store, kept, occasion="by_hand", at=NOW)
    assert await anchors.of_backups(kept, OURS.id) == Known()
    examined = examine(path)
    assert (examined.waiting, examined.base, examined.problem) == (1, before, "")
    (anchor,) = anchors.of_file(examined, OURS.id)
    assert (anchor.where, anchor.number, anchor.hash, anchor.at) == ("the mirror", 5, before.audit_hash, NOW)
    assert anchors.of_file(examined, "another") == ()


class Looking:
    """An audit on a file, with what a service has around it."""

    def __init__(self, store: LocalStore, kept: Configured, folder: Path) -> None:
        self.alerts, self.telemetry, self.at = Alerts(), Telemetry(), NOW + timedelta(hours=1)
        self.checkpoints = Checkpoints(folder)
        self.away = list[str]()

        async def known() -> Known:
            found = await anchors.of_service(store, kept)
            return Known(found.anchors, tuple(self.away))

        self.audit = Audit(
            store,
            CHAIN,
            self.alerts,
            clock=lambda: self.at,
            anchors=known,
            checkpoints=self.checkpoints,
            telemetry=self.telemetry,
        )

    async def look(self) -> AuditReport:
        await self.audit.verify_regularly()
        assert self.audit.verified is not None
        return self.audit.verified[1]

    def open(self) -> list[str]:
        return [alert.id for alert in self.alerts.open()]


async def test_an_audit_that_was_cut_off_is_an_alert_until_it_is_whole_again(
    path: Path, kept: Configured, tmp_path: Path
) -> None:
    async with opened(path) as store:
        backup = await make(store, kept, occasion="by_hand", at=NOW)
        assert (await Looking(store, kept, tmp_path).look()).sound
    whole = path.read_bytes()
    cut(path)
    async with opened(path) as store:
        looking = Looking(store, kept, tmp_path)
        report = await looking.look()
        assert [(fault.what, fault.number) for fault in report.faults] == [(What.TRUNCATED, 3)]
        (alert,) = looking.alerts.open()
        assert (alert.id, alert.severity) == (AUDIT_CHAIN_BROKEN, Severity.CRITICAL)
        assert (
            f"the backup {backup.name} knows entry 5 and the last look from this machine knows entry 5" in alert.detail
        )
        assert b"control_plane_audit_faults 1.0" in looking.telemetry.exposition(PUBLICATION)
    path.write_bytes(whole)
    async with opened(path) as store:
        mended = Looking(store, kept, tmp_path)
        mended.alerts.report(AUDIT_CHAIN_BROKEN, Severity.CRITICAL, "s", "a")
        assert (await mended.look()).sound
        assert mended.open() == []


async def test_after_a_restore_what_was_known_before_is_superseded(
    path: Path, kept: Configured, tmp_path: Path
) -> None:
    async with opened(path) as store:
        old = await make(store, kept, occasion="by_hand", at=NOW)
        await add(store, 3)
        await make(store, kept, occasion="by_hand", at=NOW + timedelta(minutes=1))
        assert (await Looking(store, kept, tmp_path).look()).sound
    path.unlink()
    async with opened(path) as store:
        await into_store(kept.folder.path / old.name, kept.keys, store, CHAIN, NOW + timedelta(hours=2))
        looking = Looking(store, kept, tmp_path)
        report = await looking.look()
        assert (report.sound, report.anchors, report.anchors_superseded) == (True, 3, 2)
        assert looking.open() == []


async def test_a_look_at_a_large_audit_is_at_what_is_new_and_everything_now_and_then(
    path: Path, kept: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SMALL", 0)
    async with opened(path) as store:
        looking = Looking(store, kept, tmp_path)
        assert (await looking.look()).since == 0
        await add(store)
        report = await looking.look()
        assert (report.since, report.entries, report.sound) == (5, 1, True)
        assert (await looking.audit.verify()).entries == 6  # whoever asks gets all of it
        looking.at += timedelta(days=8)
        assert (await looking.look()).since == 0
        last = looking.checkpoints.read()
        assert last is not None
        looking.checkpoints.write(msgspec.structs.replace(last, installation="another"))
        assert (await looking.look()).since == 0
        await add(store)
        looking.alerts.report(AUDIT_CHAIN_BROKEN, Severity.CRITICAL, "s", "a")
        assert (await looking.look()).since == 0, "where faults were found, only everything can be sound again"
    cut(path)
    async with opened(path) as store:
        report = await Looking(store, kept, tmp_path).look()
    assert (report.since, [fault.what for fault in report.faults]) == (0, [What.TRUNCATED])


async def test_a_look_that_falls_into_an_outage_is_put_off_until_the_database_is_there(
    path: Path, kept: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = Standing(State.MIRROR, 0, catching_up=False, mirror_age_s=0.0)
    monkeypatch.setattr(audit, "standing_of", lambda _: standing)
    monkeypatch.setattr(audit, "AGAIN_EVERY_S", 0.001)
    monkeypatch.setattr(audit, "FIRST_AFTER_S", 0.001)
    async with opened(path) as store:
        looking = Looking(store, kept, tmp_path)
        await looking.audit.verify_regularly()
        assert looking.audit.verified is None
        assert (await looking.audit.verify()).anchors == 0  # who asks gets what the mirror says, compared with nothing
        assert looking.checkpoints.read() is None
        again = asyncio.create_task(looking.audit.keep())
        monkeypatch.setattr(audit, "standing_of", lambda _: LEVEL)
        async with asyncio.timeout(30):
            while looking.checkpoints.read() is None:
                await asyncio.sleep(0.01)
        again.cancel()
        await asyncio.wait([again])


async def test_who_could_not_be_asked_is_told(path: Path, kept: Configured, tmp_path: Path) -> None:
    async with opened(path) as store:
        looking = Looking(store, kept, tmp_path)
        looking.away = ["backups: s3://b can't be used"]
        assert (await looking.look()).anchors_away == tuple(looking.away)
        assert looking.open() == [ANCHORS_AWAY]
        looking.away = []
        await looking.look()
        assert looking.open() == []

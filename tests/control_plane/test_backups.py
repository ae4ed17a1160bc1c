"""Backups of real databases: made, tried, restored, of every schema that there ever was."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pyrage
import pytest

from control_plane.alerts import Alerts
from control_plane.auditing.check import verify as verify_audit
from control_plane.backups import files, restoring
from control_plane.backups.backups import FAILED, OLD, REMOTE_AWAY, UNVERIFIED, Backups, local_file, make
from control_plane.backups.configured import Configured, kept_by
from control_plane.backups.lines import BackupError
from control_plane.backups.restoring import NotEmptyError
from control_plane.schema import address, runner
from control_plane.schema import files as migrations
from control_plane.store import Installation, Kind, Shelf, Store, StoredAnswer, StoredAudit, StoredTable, StoredVersion
from control_plane.store.postgres import PostgresStore
from tests.control_plane.plane import CHAIN, Plane
from tests.control_plane.postgres_kinds import running_pgbouncer, trials
from tests.servers import empty_database

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WHOSE = Installation("7b0c6d0e-0000-4000-8000-000000000001", 3, NOW)


@pytest.fixture
def kept(tmp_path: Path) -> Configured:
    return kept_by({}, tmp_path)


@pytest.fixture
def target_url(postgres_server: str) -> Iterator[str]:
    with empty_database(postgres_server) as url:
        yield url


async def fill(store: Store) -> None:
    """Some of everything."""
    await store.found(WHOSE)
    for number in range(3):
        content = b'{"id": "m%d",  "isActive": true, "status": "active"}' % number
        for version in (1, 2):
            entry = StoredVersion(version=version, content=content, action="created", actor="a", reason="r", at=NOW)
            async with store.transaction() as transaction:
                await transaction.put(Kind.MUTATION, f"m{number}", entry, deleted=number == 2)
                noted = StoredAudit(
                    at=NOW,
                    actor="a",
                    role="admin",
                    action="created",
                    kind="mutation",
                    subject=f"m{number}",
                    version_after=version,
                    digest=sha256(content).hexdigest(),
                )
                await transaction.add_audit(noted)
    async with store.transaction() as transaction:
        version_ = await transaction.raise_table_version(7)
        table = StoredTable(
            version=version_, digest="0" * 64, key_id="k", sealed=b"\0\1", mutations=1, actor="a", reason="", at=NOW
        )
        await transaction.add_table(table)
        await transaction.remember("a", "key", StoredAnswer("print", b'{"id":"m0"}'))
        await transaction.keep(Shelf.SETTING, "one", b'{"a": 1}', NOW)
        await transaction.keep(Shelf.ALERT, "gone", b"{}", NOW)
        await transaction.discard(Shelf.ALERT, "gone", NOW)
    await store.use_sign_in("once", NOW)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address.parse(url), connections_max=2, chain=CHAIN)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def everything(store: Store) -> list[object]:
    return [record async for record in store.records()]


async def restored(file: Path, kept: Configured, url: str) -> restoring.Restored:
    return await restoring.into_database(file, kept.keys, url, CHAIN, NOW)


async def test_an_empty_database_is_as_the_one_that_was_backed_up(
    store: PostgresStore, kept: Configured, target_url: str
) -> None:
    await fill(store)
    before, position = await everything(store), await store.position()
    backup = await make(store, kept, occasion="by_hand", at=NOW)
    what = await restored(kept.folder.path / backup.name, kept, target_url)
    async with opened(target_url) as target:
        after = await everything(target)
        # What is new is the entry that says that it was restored, and nothing else.
        assert [record for record in after if record not in before] == [
            one for one in after if "restored_backup" in str(one)
        ]
        assert [record for record in before if record not in after] == []
        there = await target.position()
        assert (there.installation, there.table_version) == (msgspec.structs.replace(WHOSE, epoch=4), 7)
        assert there.audit_number == position.audit_number + 1
        assert (await verify_audit(target, CHAIN)).sound
    assert (what.installation, what.records) == (msgspec.structs.replace(WHOSE, epoch=4), len(before))


async def test_data_that_is_there_is_not_restored_over(
    store: PostgresStore, kept: Configured, database_url: str
) -> None:
    await fill(store)
    before = await everything(store)
    backup = await make(store, kept, occasion="by_hand", at=NOW)
    with pytest.raises(NotEmptyError, match="holds data already; nothing was changed"):
        await restored(kept.folder.path / backup.name, kept, database_url)
    assert await everything(store) == before


async def test_replacing_backs_up_first_and_a_failure_leaves_what_was_there(
    store: PostgresStore, kept: Configured, database_url: str
) -> None:
    await fill(store)
    backup = await make(store, kept, occasion="by_hand", at=NOW)
    async with store.transaction() as transaction:
        await transaction.keep(Shelf.SETTING, "later", b"{}", NOW)

    async def back_up() -> str:
        return (await make(store, kept, occasion="before_replacing", at=NOW + timedelta(hours=1))).name

    file = kept.folder.path / backup.name
    broken = file.with_name("broken")
    # Whole as a file, so that only the database can find what is wrong with it.
    header, records = files.header(file, kept.keys), [one async for one in files.records(file, kept.keys)]

    async def doubtful() -> AsyncIterator[object]:
        for record in records:
            yield record
        yield msgspec.structs.replace(records[1], id="other")  # which is there without a head

    await files.write(broken, header, doubtful(), kept.keys)  # type: ignore[arg-type]
    before = await everything(store)
    with pytest.raises(Exception, match="mutation_versions_of_a_mutation"):
        await restoring.replacing(broken, kept.keys, database_url, CHAIN, NOW, back_up=back_up)
    assert await everything(store) == before
    what = await restoring.replacing(file, kept.keys, database_url, CHAIN, NOW, back_up=back_up)
    assert await store.kept(Shelf.SETTING, "later") is None
    assert files.header(kept.folder.path / what.backup_of_replaced, kept.keys).occasion == "before_replacing"
    connection = await asyncpg.connect(database_url)
    schemas = await connection.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'layout_mutation%'")
    await connection.close()
    assert [row["nspname"] for row in schemas] == ["layout_mutation"]


async def test_a_torn_file_restores_nothing(store: PostgresStore, kept: Configured, target_url: str) -> None:
    await fill(store)
    backup = await make(store, kept, occasion="by_hand", at=NOW)
    file = kept.folder.path / backup.name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(BackupError, match="torn"):
        await restored(file, kept, target_url)
    assert not await restoring.holds_data(target_url, CHAIN)
    verified = await restoring.verify(file, kept.keys, target_url, CHAIN)
    assert not verified.ok
    assert "torn" in verified.problem


async def test_a_newer_backup_is_refused_with_the_program_to_run(
    store: PostgresStore, kept: Configured, target_url: str
) -> None:
    backup = await make(store, kept, occasion="by_hand", at=NOW, schema=999)
    with pytest.raises(BackupError, match=r"of schema 999, and this program knows \d+: run the program"):
        await restored(kept.folder.path / backup.name, kept, target_url)


# ---------------------------------------------------------------- earlier schemas


ROWS = {
    1: "UPDATE ledger SET table_version = 3, audit_number = 2; SELECT setval('changes', 9)",
    2: """INSERT INTO mutations (id, version, change, content) VALUES ('m', 2, 4, '{"id": "m", "isActive": true}');
          INSERT INTO mutation_versions SELECT 'm', v, '{"id": "m"}', 'created', 'a', 'r', now() FROM generate_series(1, 2) v""",
    6: "INSERT INTO published_tables (version, digest, key_id, sealed, mutations, actor, reason, at) VALUES (3, repeat('0', 64), 'k', '\\x0001', 1, 'a', '', now())",
    7: """INSERT INTO audit_entries (number, at, actor, role, action, kind, subject, reason, version_after)
          SELECT n, now(), 'a', 'admin', 'created', 'mutation', 'm', 'r', n FROM generate_series(1, 2) n""",
    8: """INSERT INTO idempotency_keys (actor, key, fingerprint, answer, at) SELECT 'a', 'k' || n, 'f', '{"id": "m"}', now() FROM generate_series(1, 2) n;
          INSERT INTO used_sign_ins (id, expires_at) VALUES ('once', now())""",
    9: """INSERT INTO toggles (id, version, change, content) VALUES ('t', 1, 5, '{"id": "t"}');
          INSERT INTO toggle_versions VALUES ('t', 1, '{"id": "t"}', 'created', 'a', 'r', now());
          INSERT INTO audit_entries (number, at, actor, role, action, kind, subject, reason, version_after)
          VALUES (3, now(), 'a', 'admin', 'created', 'toggle', 't', 'r', 1);
          UPDATE ledger SET audit_number = 3""",
    10: f"INSERT INTO installation (id, epoch, created_at) VALUES ('{WHOSE.id}', 3, now())",
    11: "INSERT INTO settings (id, change, content, at) VALUES ('s', 30, '{}', now())",
}
"""Number of a migration -> rows for the tables that it made."""


AUDIT_SINCE = next(one.number for one in migrations.read() if one.name == "audit")


def folder_up_to(number: int, folder: Path) -> Path:
    """The migrations as they were when there were so many."""
    folder.mkdir()
    for one in migrations.read()[:number]:
        (folder / f"{one.number:04}_{one.name}.sql").write_text(one.sql, encoding="utf-8")
    return folder


@pytest.mark.parametrize("number", range(1, len(migrations.read()) + 1))
async def test_a_backup_of_every_schema_restores_into_the_newest(
    number: int, empty_url: str, target_url: str, kept: Configured, tmp_path: Path
) -> None:
    await runner.migrate(empty_url, folder=folder_up_to(number, tmp_path / "then"))
    connection = await asyncpg.connect(empty_url)
    await connection.execute("SET search_path = layout_mutation")
    for made in range(1, number + 1):
        if made in ROWS:
            await connection.execute(ROWS[made])
    counts: dict[str, int] = {}

    async def back_up(found: int) -> None:
        async with opened(empty_url) as store:
            await store.fit()
            backup = await make(store, kept, occasion="before_migration", at=NOW, schema=found)
            counts[backup.name] = backup.records

    await runner.migrate(empty_url, before=back_up)
    if not counts:  # the newest: there was nothing to migrate
        await back_up(number)
    await connection.close()
    (name,) = counts
    verified = await restoring.verify(kept.folder.path / name, kept.keys, empty_url, CHAIN)
    # The first schemas had no audit, and it is right that versions without an entry are told of.
    assert verified.problem == "" or (number < AUDIT_SINCE and "the audit in it" in verified.problem)
    await restored(kept.folder.path / name, kept, target_url)
    async with opened(empty_url) as source, opened(target_url) as target:
        # Migrating what was there and restoring what was backed up lead to the same.
        assert comparable(await everything(source)) == comparable(await everything(target))


def comparable(records: list[object]) -> list[str]:
    """Records without the entry of the restoring; moments of rows that a migration itself stamps are no part of it."""
    return [str(record) for record in records if "restored_backup" not in str(record)]


async def test_a_fresh_database_has_no_backup_before_its_migrations(empty_url: str) -> None:
    async def back_up(_: int) -> None:
        raise AssertionError("there is nothing to back up")

    assert await runner.migrate(empty_url, before=back_up)


async def test_where_no_backup_can_be_made_nothing_is_migrated(empty_url: str, tmp_path: Path) -> None:
    await runner.migrate(empty_url, folder=folder_up_to(9, tmp_path / "then"))

    async def back_up(_: int) -> None:
        raise BackupError("the disk is full")

    with pytest.raises(BackupError, match="full"):
        await runner.migrate(empty_url, before=back_up)
    assert (await runner.plan(empty_url)).current == 9


# ---------------------------------------------------------------- trying one


async def test_verify_restores_compares_and_drops_what_it_made(
    store: PostgresStore, kept: Configured, database_url: str
) -> None:
    await fill(store)
    backup, before = await make(store, kept, occasion="by_hand", at=NOW), await trials(database_url)
    verified = await restoring.verify(kept.folder.path / backup.name, kept.keys, database_url, CHAIN)
    assert (verified.ok, verified.where, verified.audit_sound, verified.problem) == (True, "database", True, "")
    assert await trials(database_url) <= before


async def test_verify_says_where_the_audit_was_tampered_with_before(
    store: PostgresStore, kept: Configured, database_url: str
) -> None:
    await fill(store)
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE layout_mutation.audit_entries DISABLE TRIGGER USER")
    await connection.execute("UPDATE layout_mutation.audit_entries SET actor = 'nobody' WHERE number = 3")
    await connection.close()
    backup = await make(store, kept, occasion="by_hand", at=NOW)
    verified = await restoring.verify(kept.folder.path / backup.name, kept.keys, database_url, CHAIN)
    assert (verified.ok, verified.audit_sound) == (False, False)
    assert "audit" in verified.problem


async def test_a_role_that_may_not_create_databases_has_it_restored_into_sqlite(
    store: PostgresStore, kept: Configured, database_url: str
) -> None:
    await fill(store)
    backup = await make(store, kept, occasion="by_hand", at=NOW)
    role = re.sub(r"\W", "_", urlsplit(database_url).path.strip("/")) + "_reader"
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        host = urlsplit(database_url).netloc.rpartition("@")[2]
        url = urlunsplit(urlsplit(database_url)._replace(netloc=f"{role}:p@{host}"))
        verified = await restoring.verify(kept.folder.path / backup.name, kept.keys, url, CHAIN)
    finally:
        await connection.execute(f"DROP ROLE {role}")
        await connection.close()
    assert (verified.ok, verified.where, verified.audit_sound) == (True, "sqlite", True)
    assert "may not create databases" in verified.remark


async def test_a_pooler_that_knows_one_database_has_it_restored_into_sqlite(
    store: PostgresStore, kept: Configured, database_url: str, server_folder: Path
) -> None:
    await fill(store)
    backup, before = await make(store, kept, occasion="by_hand", at=NOW), await trials(database_url)
    known = urlsplit(database_url).path.strip("/")
    with running_pgbouncer(server_folder, database_url, databases=known) as url:
        verified = await restoring.verify(kept.folder.path / backup.name, kept.keys, url, CHAIN, pooled=True)
    assert (verified.ok, verified.where, verified.audit_sound) == (True, "sqlite", True)
    assert "can be made, but not reached" in verified.remark
    assert await trials(database_url) <= before


# ---------------------------------------------------------------- the service


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


async def test_backups_are_listed_rotated_and_accounted_for(store: PostgresStore, tmp_path: Path) -> None:
    clock, alerts = Clock(), Alerts()
    kept = kept_by({"CONTROL_PLANE_BACKUP_KEEP": "2 daily"}, tmp_path)
    backups = Backups(store, kept, alerts, clock=clock)
    await fill(store)
    (kept.folder.path).mkdir()
    foreign = kept.folder.path / "layout-mutation-20200101T000000Z-ffffffff-7.backup"
    foreign.touch()
    for _ in range(4):
        await backups.make("scheduled")
        clock.at += timedelta(days=1)
    found = await backups.all()
    assert [one.made_at for one in found[:2]] == [NOW + timedelta(days=3), NOW + timedelta(days=2)]
    assert [one.name for one in found[2:]] == [foreign.name]  # another installation's is not ours to remove
    assert (found[0].occasion, found[0].places, found[0].installation) == ("scheduled", ("folder",), WHOSE.id[:8])
    assert {thing.id for thing in await store.shelf(Shelf.BACKUP)} == {one.name for one in found[:2]}
    clock.at -= timedelta(days=30)
    made = await backups.make("after the clock was set back")
    assert made.name in {one.name for one in await backups.all()}


async def test_an_old_newest_backup_is_an_alert_until_there_is_a_new_one(
    store: PostgresStore, kept: Configured
) -> None:
    clock, alerts = Clock(), Alerts()
    backups = Backups(store, kept, alerts, clock=clock)
    await store.found(Installation(WHOSE.id, 1, NOW))
    await backups.look()
    assert alerts.open() == ()  # it has only begun
    clock.at += timedelta(days=4)
    await backups.look()
    assert [(alert.id, alert.summary) for alert in alerts.open()] == [(OLD, "There is no backup.")]
    await backups.make("scheduled")
    assert alerts.open() == ()
    clock.at += timedelta(days=3)
    await backups.look()
    assert [alert.summary for alert in alerts.open()] == ["The newest backup is 72 hours old."]


async def test_a_full_disk_and_a_bad_backup_are_alerts(store: PostgresStore, tmp_path: Path, database_url: str) -> None:
    alerts = Alerts()
    (tmp_path / "backups").write_text("in the way")
    backups = Backups(store, kept_by({}, tmp_path), alerts, clock=Clock())
    with pytest.raises(BackupError, match=r"File exists|Not a directory"):
        await backups.make("scheduled")
    assert [alert.id for alert in alerts.open()] == [FAILED]
    (tmp_path / "backups").unlink()
    backup = await backups.make("scheduled")
    assert alerts.open() == ()
    file = tmp_path / "backups" / backup.name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert not (await backups.verify("latest", database_url, CHAIN)).ok
    assert [alert.id for alert in alerts.open()] == [UNVERIFIED]
    assert (await backups.all())[0].verified is not None
    file.write_bytes(whole)
    assert (await backups.verify("latest", database_url, CHAIN)).ok
    assert alerts.open() == ()


async def test_a_second_place_that_is_away_is_an_alert_and_the_first_has_the_backup(
    store: PostgresStore, tmp_path: Path
) -> None:
    environ = {"CONTROL_PLANE_BACKUP_URL": "s3://a/b", "CONTROL_PLANE_BACKUP_ENDPOINT": "http://127.0.0.1:9"}
    alerts = Alerts()
    backup = await Backups(store, kept_by(environ, tmp_path), alerts, clock=Clock()).make("scheduled")
    assert backup.places == ("folder",)
    assert [alert.id for alert in alerts.open()] == [REMOTE_AWAY]


async def test_a_service_without_the_identity_makes_backups_that_only_its_holder_reads(
    store: PostgresStore, tmp_path: Path
) -> None:
    identity = pyrage.x25519.Identity.generate()
    environ = {"CONTROL_PLANE_BACKUP_RECIPIENTS": str(identity.to_public())}
    kept = kept_by(environ, tmp_path)
    await fill(store)
    backup = await make(store, kept, occasion="scheduled", at=NOW)
    assert backup.name.endswith(".age")
    async with local_file(kept, "latest") as file:
        with pytest.raises(BackupError, match="CONTROL_PLANE_BACKUP_IDENTITY"):
            await files.check(file, kept.keys)
        holder = kept_by(environ | {"CONTROL_PLANE_BACKUP_IDENTITY": str(identity)}, tmp_path)
        assert (await files.check(file, holder.keys))[1].records == backup.records


async def test_what_is_written_meanwhile_is_in_the_next_backup(store: PostgresStore, kept: Configured) -> None:
    await fill(store)
    reading = store.records()
    await anext(reading)

    async def write() -> None:
        async with store.transaction() as transaction:
            await transaction.keep(Shelf.SETTING, "meanwhile", b"{}", NOW)

    await asyncio.create_task(write())
    assert "meanwhile" not in str([record async for record in reading])


def test_settings_that_make_no_sense_are_refused_by_name(tmp_path: Path) -> None:
    for name, value in {
        "EVERY": "daily",
        "KEEP": "all",
        "URL": "ftp://a",
        "RECIPIENTS": "me",
        "IDENTITY": "you",
    }.items():
        with pytest.raises(ValueError, match=f"CONTROL_PLANE_BACKUP_{name}"):
            kept_by({f"CONTROL_PLANE_BACKUP_{name}": value}, tmp_path)
    assert kept_by({"CONTROL_PLANE_BACKUP_EVERY": "off"}, tmp_path).every is None


async def test_the_api_makes_lists_and_tries_backups(plane: Plane) -> None:
    await plane.create(name="kept")
    made = await plane.ask("POST", "backups")
    assert made.status == 201, made.body
    name = made.json()["name"]
    listed = (await plane.ask("GET", "backups")).json()["items"]
    assert [(one["name"], one["occasion"], one["apart"]) for one in listed] == [(name, "by_hand", True)]
    tried = (await plane.ask("POST", f"backups/{name}/verify")).json()
    assert (tried["ok"], tried["problem"]) == (True, "")
    missing = await plane.ask("POST", "backups/nothing-of-that-name/verify")
    assert missing.status in (404, 503), missing.body
    assert (await plane.ask("POST", "backups", role="publisher")).status == 403

"""After each kind of damage: what may be repaired is as on a fresh schema, what others did is left and told with its remedy.

Whether it is as on a fresh schema is said by `tests.control_plane.schema.comparer`, which knows nothing of the healer, and once by pg_dump.
"""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from control_plane.schema import catalogue, healing
from control_plane.schema.drift import Remedy
from control_plane.schema.healing import Outcome, heal, look
from control_plane.schema.runner import SchemaError, migrate
from control_plane.store import Kind, Record, Shelf
from control_plane.store.records import MADE_AGAIN
from tests.control_plane.schema.comparer import described
from tests.control_plane.schema.conftest import fill, store_of
from tests.servers import empty_database

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
EXPECTED = catalogue.committed()

REPAIRED = {
    "column_missing": "ALTER TABLE layout_mutation.mutations DROP COLUMN layout_id",
    "index_missing": "DROP INDEX layout_mutation.mutations_served",
    "index_invalid": "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'layout_mutation.audit_entries_by_subject'::regclass",
    "constraint_missing": "ALTER TABLE layout_mutation.mutations DROP CONSTRAINT mutations_id_is_in_content",
    "constraint_missing of the key": "ALTER TABLE layout_mutation.segments DROP CONSTRAINT segments_pk CASCADE",
    "trigger_missing": "DROP TRIGGER audit_entries_are_immutable ON layout_mutation.audit_entries",
    "trigger_disabled": "ALTER TABLE layout_mutation.audit_entries DISABLE TRIGGER audit_entries_are_not_emptied",
    "trigger_changed": "CREATE OR REPLACE TRIGGER audit_entries_are_immutable BEFORE UPDATE ON layout_mutation.audit_entries "
    "FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change()",
    "policy_missing": "DROP POLICY mutations_readers ON layout_mutation.mutations",
    "policy_changed": "ALTER POLICY mutations_readers ON layout_mutation.mutations USING (true)",
    "partition_missing": "DROP TABLE layout_mutation.events_default",
    "row_security_off": "ALTER TABLE layout_mutation.audit_entries DISABLE ROW LEVEL SECURITY",
    "comment_changed": "COMMENT ON COLUMN layout_mutation.mutations.content IS NULL",
    "default_changed": "ALTER TABLE layout_mutation.mutations ALTER COLUMN deleted SET DEFAULT true",
    "not_null_missing": "ALTER TABLE layout_mutation.audit_entries ALTER COLUMN actor DROP NOT NULL",
    "function_changed": "CREATE OR REPLACE FUNCTION layout_mutation.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "function_missing": "DROP FUNCTION layout_mutation.refuse_change() CASCADE",
    "function_missing of the policies": "DROP FUNCTION layout_mutation.access_of(name) CASCADE",
    "sequence_missing": "DROP SEQUENCE layout_mutation.changes CASCADE",
    "sequence_changed": "ALTER SEQUENCE layout_mutation.changes INCREMENT BY 10",
    "counter_behind": "SELECT setval('layout_mutation.changes', 1)",
    "counter_behind of the ledger": "UPDATE layout_mutation.ledger SET audit_number = 1, table_version = 0, audit_hash = ''",
    "ledger_row_missing": "DELETE FROM layout_mutation.ledger",
    "grant_extra": "GRANT SELECT ON layout_mutation.mutations TO PUBLIC; GRANT USAGE ON SCHEMA layout_mutation TO PUBLIC",
    "grant_extra of a column": "GRANT SELECT (content) ON layout_mutation.mutations TO PUBLIC",
    "grant_missing": "REVOKE INSERT ON layout_mutation.audit_entries FROM CURRENT_USER",
    "table_missing": "DROP TABLE layout_mutation.granted_roles",
    "table_missing: the list of migrations": "DROP TABLE layout_mutation.schema_migrations",
}
"""The drift that it is -> the damage. What follows after a space only tells two of a kind apart."""

LEFT = {
    "column_extra": "ALTER TABLE layout_mutation.mutations ADD COLUMN note text",
    "trigger_extra": "CREATE TRIGGER by_hand BEFORE INSERT ON layout_mutation.mutations FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change()",
    "type_changed": "ALTER TABLE layout_mutation.audit_entries ALTER COLUMN actor TYPE varchar(80)",
    "generation_changed": "ALTER TABLE layout_mutation.mutations ALTER COLUMN page_slug DROP EXPRESSION",
    "not_null_extra": "ALTER TABLE layout_mutation.published_tables ALTER COLUMN sealed SET NOT NULL",
    "constraint_extra": "ALTER TABLE layout_mutation.mutations ADD CONSTRAINT by_hand CHECK (id <> 'x')",
    "constraint_changed": "ALTER TABLE layout_mutation.mutations DROP CONSTRAINT mutations_version_positive, ADD CONSTRAINT mutations_version_positive CHECK (version > -1)",
    "index_extra": "CREATE INDEX by_hand ON layout_mutation.mutations (version)",
    "index_changed": "DROP INDEX layout_mutation.mutations_by_module; CREATE INDEX mutations_by_module ON layout_mutation.mutations (module_id)",
    "policy_extra": "CREATE POLICY by_hand ON layout_mutation.mutations USING (true)",
    "row_security_forced": "ALTER TABLE layout_mutation.mutations FORCE ROW LEVEL SECURITY",
    "function_extra": "CREATE FUNCTION layout_mutation.by_hand() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "sequence_extra": "CREATE SEQUENCE layout_mutation.by_hand",
    "table_extra": "CREATE TABLE layout_mutation.by_hand (a int)",
    "other_extra": "CREATE VIEW layout_mutation.by_hand AS SELECT 1 AS one",
    "grant_extra": "GRANT SELECT ON layout_mutation.mutations TO pg_monitor",
}


def kinds(outcome: Outcome) -> set[str]:
    return {drift.kind for drift in outcome.left}


async def test_a_schema_as_it_should_be_is_left_alone(connection: Connection) -> None:
    assert await look(connection, EXPECTED) == ()
    assert await heal(connection, EXPECTED) == Outcome()


@pytest.mark.parametrize("damage", REPAIRED)
async def test_what_is_missing_or_was_altered_is_put_right(
    damage: str, used: Connection, used_url: str, fresh_lines: list[str]
) -> None:
    connection, filled_url = used, used_url
    kind = re.split(r"[ :]", damage)[0]
    await connection.execute(REPAIRED[damage])
    assert kind in {drift.kind for drift in await look(connection, EXPECTED)}
    outcome = await heal(connection, EXPECTED)
    assert kind in {drift.kind for drift in outcome.repaired}
    assert (outcome.left, outcome.busy) == ((), False)
    assert await described(filled_url) == fresh_lines
    await migrate(filled_url)
    await fill_more(filled_url)


async def fill_more(url: str) -> None:
    """The store goes on where it was: numbers are given once, and the chain of the audit holds."""
    store = store_of(url)
    await store.open()
    try:
        before = await store.position()
        assert (before.audit_number, before.table_version) == (5, 7)
        await store.use_sign_in("after", (await store.audit_page(None, None, None, 1))[0].at)
        assert (await store.position()).change > 6
        assert len(await store.everything(Kind.MUTATION)) == 2
    finally:
        await store.close()


@pytest.mark.parametrize("kind", LEFT)
async def test_what_others_did_is_left_and_told_with_what_would_undo_it(
    kind: str, used: Connection, used_url: str, fresh_lines: list[str]
) -> None:
    connection, filled_url = used, used_url
    await connection.execute(LEFT[kind])
    damaged = await described(filled_url)
    outcome = await heal(connection, EXPECTED)
    assert {drift.kind for drift in outcome.repaired} <= {"comment_changed", "grant_extra"}
    assert kinds(outcome) == {kind}
    assert {drift.remedy for drift in outcome.left} == {Remedy.PERSON}
    assert without_words(await described(filled_url)) == without_words(damaged)
    for drift in outcome.left:
        await connection.execute(drift.statement)
    await heal(connection, EXPECTED)  # what a person's statement took with it, such as indexes and comments
    assert await described(filled_url) == fresh_lines


def without_words(lines: list[str]) -> list[str]:
    """But for comments, and who may call: those are put right on what others made too."""
    return [line for line in lines if not line.startswith(("comment", "callable"))]


async def test_what_was_replaced_is_kept(connection: Connection) -> None:
    await connection.execute(REPAIRED["function_changed"])
    await heal(connection, EXPECTED)
    kept = await connection.fetchval("SELECT content ->> 'former' FROM layout_mutation.quarantines")
    assert "RETURN OLD" in kept


async def test_an_index_that_failed_while_it_was_made_is_made_again(connection: Connection) -> None:
    await connection.execute("DROP INDEX layout_mutation.idempotency_keys_by_age")
    insert = "INSERT INTO layout_mutation.idempotency_keys (actor, key, fingerprint, answer, at) VALUES ($1, $1, '', '1', now())"
    for actor in ("a", "b"):
        await connection.execute(insert, actor)
    statement = "CREATE UNIQUE INDEX CONCURRENTLY idempotency_keys_by_age ON layout_mutation.idempotency_keys ((1))"
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(statement)
    outcome = await heal(connection, EXPECTED)
    assert {drift.kind for drift in outcome.left} == {"index_changed", "index_invalid"}
    problem = next(drift.problem for drift in outcome.left if drift.kind == "index_invalid")
    assert "could not create unique index" in problem


async def test_orphans_are_put_aside_with_the_reason(connection: Connection, filled_url: str) -> None:
    await connection.execute(
        "ALTER TABLE layout_mutation.mutation_versions DROP CONSTRAINT mutation_versions_of_a_mutation; "
        "DELETE FROM layout_mutation.mutations WHERE id = 'b'"
    )
    outcome = await heal(connection, EXPECTED)
    assert outcome.left == ()
    (content,) = [
        row["content"]
        for row in await connection.fetch("SELECT content::json AS content FROM layout_mutation.quarantines")
    ]
    assert '"relation" : "mutation_versions"' in content
    assert '"id":"b"' in content
    assert "nothing in layout_mutation.mutations that it refers to" in content
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute("DELETE FROM layout_mutation.mutation_versions")


async def test_versions_whose_table_was_emptied_are_no_orphans(connection: Connection) -> None:
    await connection.execute(
        "ALTER TABLE layout_mutation.mutation_versions DROP CONSTRAINT mutation_versions_of_a_mutation; "
        "DELETE FROM layout_mutation.mutations"
    )
    outcome = await heal(connection, EXPECTED)
    assert kinds(outcome) == {"constraint_not_validated"}
    assert "restore it first" in outcome.left[0].problem
    assert await connection.fetchval("SELECT count(*) FROM layout_mutation.mutation_versions") == 3


async def test_rows_that_break_a_constraint_stay_and_are_told(connection: Connection) -> None:
    await connection.execute(REPAIRED["constraint_missing"])
    await connection.execute("""UPDATE layout_mutation.mutations SET content = '{"id": "z"}' WHERE id = 'a'""")
    outcome = await heal(connection, EXPECTED)
    assert kinds(outcome) == {"constraint_not_validated"}
    assert "is violated by some row" in outcome.left[0].problem
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute("""UPDATE layout_mutation.mutations SET content = '{"id": "z"}' WHERE id = 'b'""")


# ---------------------------------------------------------------- rows from a copy

LOST = {
    "a table": "DROP TABLE layout_mutation.mutations CASCADE",
    "a history": "DROP TABLE layout_mutation.module_versions",
    "the audit and its counters": "DROP TABLE layout_mutation.audit_entries, layout_mutation.ledger",
    "a shelf and a list": "DROP TABLE layout_mutation.settings, layout_mutation.used_sign_ins, layout_mutation.published_tables",
    "the content": "ALTER TABLE layout_mutation.mutations DROP COLUMN content CASCADE",
    "what is deleted": "ALTER TABLE layout_mutation.mutations DROP COLUMN deleted CASCADE",
    "the number of change": "ALTER TABLE layout_mutation.mutations DROP COLUMN change",
    "the key": "ALTER TABLE layout_mutation.mutations DROP COLUMN id CASCADE",
    "a column of history": "ALTER TABLE layout_mutation.module_versions DROP COLUMN content",
    "a column of the audit": "ALTER TABLE layout_mutation.audit_entries DROP COLUMN actor",
}


@pytest.mark.parametrize("lost", LOST)
async def test_rows_that_were_lost_come_from_the_copy(
    lost: str, connection: Connection, filled_url: str, fresh_lines: list[str]
) -> None:
    async with kept(filled_url) as (copy, copy_of):
        await connection.execute(LOST[lost])
        outcome = await heal(connection, EXPECTED, copy_of)
        assert outcome.left == ()
        assert await described(filled_url) == fresh_lines
        assert await everything(filled_url) == copy


@pytest.mark.parametrize(("lost", "kind"), [("the content", "column_lost"), ("a table", "constraint_not_validated")])
async def test_without_a_copy_what_is_lost_is_told_and_nothing_more_is_lost(
    lost: str, kind: str, connection: Connection
) -> None:
    await connection.execute(LOST[lost])
    outcome = await heal(connection, EXPECTED)
    assert kind in kinds(outcome)
    assert await connection.fetchval("SELECT count(*) FROM layout_mutation.mutation_versions") == 3
    rows = "SELECT count(*) FROM layout_mutation.quarantines WHERE id <> $1"
    assert await connection.fetchval(rows, MADE_AGAIN) == 0


@asynccontextmanager
async def kept(url: str) -> AsyncIterator[tuple[list[Record], healing.CopyOf]]:
    """All records as of now, and who gives them, as a mirror would."""
    copy = await everything(url)

    async def records() -> AsyncIterator[Record]:
        for record in copy:
            yield record

    async def copy_of(_: str) -> healing.Copy:
        return healing.Copy("me", records())

    yield copy, copy_of


async def test_whoever_is_killed_before_the_rows_are_back_has_changed_nothing(
    connection: Connection, filled_url: str
) -> None:
    """Otherwise the next look would find a table that is as it should be, but for its rows."""
    async with kept(filled_url) as (copy, copy_of):
        await connection.execute(LOST["a table"])

        async def dying(_: str) -> healing.Copy:
            async def some() -> AsyncIterator[Record]:
                yield copy[1]
                await killer.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
                yield copy[2]

            return healing.Copy("me", some())

        killer = await asyncpg.connect(filled_url)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
            await heal(connection, EXPECTED, dying)
        assert (await heal(killer, EXPECTED, copy_of)).left == ()
        assert await everything(filled_url) == copy
        await killer.close()


async def everything(url: str) -> list[Record]:
    """All records but those of the quarantine, which grows by healing."""
    store = store_of(url)
    await store.open()
    try:
        found = [record async for record in store.records()]
    finally:
        await store.close()
    return [record for record in found if getattr(record, "shelf", None) is not Shelf.QUARANTINE]


# ---------------------------------------------------------------- circumstances


async def test_of_several_instances_one_repairs(connection: Connection, filled_url: str) -> None:
    await connection.execute(REPAIRED["function_missing"])
    others = [await asyncpg.connect(filled_url) for _ in range(5)]
    try:
        outcomes = await asyncio.gather(*(heal(one, EXPECTED) for one in others))
    finally:
        await asyncio.gather(*(one.close() for one in others))
    assert sorted(bool(outcome.repaired) for outcome in outcomes) == [False] * 4 + [True]
    assert all(outcome.left == () for outcome in outcomes)


async def test_a_table_that_is_in_use_is_repaired_another_time(
    connection: Connection, filled_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LOCK_TIMEOUT_S", 0.1)
    await connection.execute(REPAIRED["trigger_missing"] + "; " + REPAIRED["comment_changed"])
    user = await asyncpg.connect(filled_url)
    try:
        async with user.transaction():
            await user.execute("LOCK TABLE layout_mutation.audit_entries IN SHARE MODE")
            outcome = await heal(connection, EXPECTED)
            assert kinds(outcome) == {"trigger_missing"}
            assert "in use" in outcome.left[0].problem
            assert {drift.kind for drift in outcome.repaired} == {"comment_changed"}
    finally:
        await user.close()
    assert (await heal(connection, EXPECTED)).left == ()


async def test_who_may_not_repair_says_what_the_owner_should_run(connection: Connection, filled_url: str) -> None:
    await connection.execute("CREATE ROLE lm_only_writer LOGIN PASSWORD 'pw'")
    try:
        await connection.execute("SELECT layout_mutation.grant_access('lm_only_writer', 'write')")
        await connection.execute(REPAIRED["trigger_missing"])
        parts = urlsplit(filled_url)
        there = urlunsplit(parts._replace(netloc=f"lm_only_writer:pw@{parts.hostname}:{parts.port}"))
        writer = await asyncpg.connect(there)
        outcome = await heal(writer, EXPECTED)
        await writer.close()
        (drift,) = outcome.left
        assert drift.kind == "trigger_missing"
        assert "owner" in drift.problem
        await connection.execute(drift.statement)
        assert await look(connection, EXPECTED) == ()
    finally:
        await connection.execute("DROP OWNED BY lm_only_writer; DROP ROLE lm_only_writer")


async def test_a_grant_that_a_role_is_due_comes_back_and_one_that_it_is_not_is_told(connection: Connection) -> None:
    await connection.execute("CREATE ROLE lm_reads")
    try:
        await connection.execute("SELECT layout_mutation.grant_access('lm_reads', 'read')")
        assert await look(connection, EXPECTED) == ()
        await connection.execute(
            "REVOKE SELECT ON layout_mutation.mutations FROM lm_reads; GRANT DELETE ON layout_mutation.mutations TO lm_reads"
        )
        outcome = await heal(connection, EXPECTED)
        assert [drift.statement for drift in outcome.repaired] == [
            'GRANT SELECT ON TABLE layout_mutation.mutations TO "lm_reads";'
        ]
        assert [drift.statement for drift in outcome.left] == [
            'REVOKE DELETE ON TABLE layout_mutation.mutations FROM "lm_reads";'
        ]
    finally:
        await connection.execute("DROP OWNED BY lm_reads; DROP ROLE lm_reads")


async def test_a_schema_that_is_gone_is_not_healed_but_migrated(connection: Connection) -> None:
    await connection.execute("DROP SCHEMA layout_mutation CASCADE")
    with pytest.raises(SchemaError, match="is gone"):
        await heal(connection, EXPECTED)


async def test_it_works_through_a_transaction_pooler(pgbouncer: str, filled_url: str, fresh_lines: list[str]) -> None:
    through = urlunsplit(urlsplit(pgbouncer)._replace(path=urlsplit(filled_url).path))
    pooled = await asyncpg.connect(through, statement_cache_size=0)
    try:
        await pooled.execute(REPAIRED["function_missing"])
        assert (await heal(pooled, EXPECTED)).left == ()
    finally:
        await pooled.close()
    assert await described(filled_url) == fresh_lines


DUMPED = (
    *("column_missing", "index_missing", "constraint_missing", "trigger_missing", "policy_missing", "row_security_off"),
    *("comment_changed", "default_changed", "not_null_missing", "function_changed", "grant_extra"),
)
"""Damages that can be done one after the other."""


async def test_pg_dump_finds_no_difference_either(postgres_15: str, missing: Callable[[str, str], str]) -> None:
    program = missing("pg_dump", "postgresql-client-15")

    def dumped(url: str) -> list[str]:
        options = [program, "--schema-only", "--schema=layout_mutation", "--dbname", url]
        text = subprocess.run(options, check=True, capture_output=True, text=True).stdout
        return sorted(line.rstrip(",") for line in text.splitlines() if not line.startswith("\\"))

    with empty_database(postgres_15) as url:
        await migrate(url)
        await fill(url)
        fresh = await asyncio.to_thread(dumped, url)
        connection = await asyncpg.connect(url)
        try:
            for kind in DUMPED:
                await connection.execute(REPAIRED[kind])
            damaged = await asyncio.to_thread(dumped, url)
            assert (await heal(connection, EXPECTED)).left == ()
        finally:
            await connection.close()
        assert damaged != fresh
        assert await asyncio.to_thread(dumped, url) == fresh


def test_only_the_tables_of_records_are_refilled() -> None:
    assert {"mutations", "module_versions", "audit_entries", "alerts", "used_sign_ins"} <= healing.REFILLED
    assert not healing.REFILLED & {"ledger", "schema_migrations", "granted_roles"}


@pytest.mark.parametrize(
    "version",
    [
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES (9999, 'x', 'x', 0)",
        "DELETE FROM layout_mutation.schema_migrations WHERE number = (SELECT max(number) FROM layout_mutation.schema_migrations)",
    ],
    ids=["newer", "older"],
)
async def test_a_schema_of_another_version_is_left_alone(version: str, connection: Connection, filled_url: str) -> None:
    """Where two versions of the program run side by side, neither undoes what the other made."""
    await connection.execute(f"{version}; {REPAIRED['trigger_missing']}")
    before = await described(filled_url)
    with pytest.raises(SchemaError, match="other migrations"):
        await heal(connection, EXPECTED)
    assert await described(filled_url) == before


async def test_a_partitioned_table_comes_back_ready_for_rows(connection: Connection) -> None:
    await connection.execute("DROP TABLE layout_mutation.events CASCADE")
    assert (await heal(connection, EXPECTED)).left == ()
    parts = "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relrowsecurity AND relname LIKE 'events%'"
    assert [row["relname"] for row in await connection.fetch(parts)] == ["events_default"]
    await connection.execute("SELECT layout_mutation.make_event_partitions(3)")
    assert await look(connection, EXPECTED) == ()

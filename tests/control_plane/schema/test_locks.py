"""What a migration is said to lock is what PostgreSQL says that it locked."""

import asyncpg
import pytest

from control_plane.schema import files, locks
from control_plane.schema.locks import Duration, impact, statements

HEADER = "-- What: a test.\n-- Why: a test.\n-- Undo: nothing;\n"
HELD = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.relnamespace = 'layout_mutation'::regnamespace AND c.relname = ANY ($1)
"""
TABLES = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace('layout_mutation')"
)
SERVER_MODES = {
    "RowExclusiveLock": "ROW EXCLUSIVE",
    "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
    "ShareLock": "SHARE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
}


def migration(sql: str, more: str = "") -> files.Migration:
    return files.Migration(1, "test", "", f"{HEADER}{more}\n{sql}")


async def held(connection: "asyncpg.Connection[asyncpg.Record]", tables: list[str]) -> dict[str, str]:
    """Table -> the strongest lock that the transaction holds on it."""
    found: dict[str, str] = {}
    for row in await connection.fetch(HELD, tables):
        mode = SERVER_MODES.get(row["mode"])
        if mode is not None and locks.MODES.index(mode) >= locks.MODES.index(found.get(row["relname"], locks.MODES[0])):
            found[row["relname"]] = mode
    return found


async def test_each_migration_locks_what_it_is_said_to(empty_url: str) -> None:
    connection = await asyncpg.connect(empty_url)
    try:
        await connection.execute("CREATE SCHEMA layout_mutation")
        await connection.execute(
            "CREATE TABLE layout_mutation.schema_migrations (number int CONSTRAINT schema_migrations_pk PRIMARY KEY)"
        )
        for one in files.read():
            before = [row["relname"] for row in await connection.fetch(TABLES)]
            async with connection.transaction():
                await connection.execute(one.sql)
                found = await held(connection, before)
            said = impact(one).locks
            if said == ("ACCESS EXCLUSIVE on every table",):
                assert set(found.values()) == {"ACCESS EXCLUSIVE"}, one.name
            else:
                assert {f"{mode} on {table}" for table, mode in found.items()} == set(said), one.name
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("sql", "said", "duration"),
    [
        ("ALTER TABLE layout_mutation.settings ADD COLUMN a text NOT NULL DEFAULT ''", "ACCESS EXCLUSIVE", Duration.INSTANT),
        ("ALTER TABLE layout_mutation.settings ADD COLUMN a bigint DEFAULT nextval('layout_mutation.changes')", "ACCESS EXCLUSIVE", Duration.LONG),
        ("ALTER TABLE layout_mutation.settings ADD COLUMN a text GENERATED ALWAYS AS (id) STORED", "ACCESS EXCLUSIVE", Duration.LONG),
        ("ALTER TABLE layout_mutation.settings ALTER COLUMN id TYPE varchar", "ACCESS EXCLUSIVE", Duration.LONG),
        ("ALTER TABLE layout_mutation.settings ALTER COLUMN id SET NOT NULL", "ACCESS EXCLUSIVE", Duration.BY_ROWS),
        ("ALTER TABLE layout_mutation.settings ADD CONSTRAINT x CHECK (id <> '') NOT VALID", "ACCESS EXCLUSIVE", Duration.INSTANT),
        ("ALTER TABLE layout_mutation.settings ADD CONSTRAINT x CHECK (id <> '')", "ACCESS EXCLUSIVE", Duration.BY_ROWS),
        ("ALTER TABLE layout_mutation.settings ADD CONSTRAINT x FOREIGN KEY (id) REFERENCES layout_mutation.settings (id)", "SHARE ROW EXCLUSIVE", Duration.BY_ROWS),
        ("CREATE INDEX x ON layout_mutation.settings (at)", "SHARE", Duration.BY_ROWS),
        ("CREATE TRIGGER x BEFORE DELETE ON layout_mutation.settings FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change()", "SHARE ROW EXCLUSIVE", Duration.INSTANT),
        ("CREATE POLICY x ON layout_mutation.settings USING (true)", "ACCESS EXCLUSIVE", Duration.INSTANT),
        ("COMMENT ON COLUMN layout_mutation.settings.id IS 'a; b'", "SHARE UPDATE EXCLUSIVE", Duration.INSTANT),
        ("CREATE TABLE layout_mutation.y (id text REFERENCES layout_mutation.settings (id))", "SHARE ROW EXCLUSIVE", Duration.INSTANT),
        ("UPDATE layout_mutation.settings SET deleted = false", "ROW EXCLUSIVE", Duration.BY_ROWS),
        ("INSERT INTO layout_mutation.settings (id, change, content, at) VALUES ('a', 1, '{}', now())", "ROW EXCLUSIVE", Duration.INSTANT),
        ("DROP TABLE layout_mutation.settings", "ACCESS EXCLUSIVE", Duration.INSTANT),
    ],
)  # fmt: skip
async def test_a_statement_locks_what_it_is_said_to(
    sql: str, said: str, duration: Duration, used: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    found = impact(migration(sql))
    assert (found.locks, found.duration) == ((f"{said} on settings",), duration)
    transaction = used.transaction()
    await transaction.start()
    try:
        await used.execute(sql)
        if not sql.startswith("DROP"):
            assert (await held(used, ["settings"])) == {"settings": said}
    finally:
        await transaction.rollback()


def test_tables_of_the_migration_itself_are_nobodys_yet() -> None:
    sql = "CREATE TABLE layout_mutation.x (a int); CREATE INDEX y ON layout_mutation.x (a); -- CREATE INDEX z ON layout_mutation.z"
    assert impact(migration(sql)) == locks.Impact((), Duration.INSTANT)


def test_a_block_of_code_says_in_the_header_what_it_locks() -> None:
    with pytest.raises(ValueError, match="Locks:"):
        impact(migration("DO $$ BEGIN END $$"))
    told = impact(migration("DO $$ BEGIN END $$", "-- Locks: by rows: SHARE on x, SHARE on y"))
    assert told == locks.Impact(("SHARE on x", "SHARE on y"), Duration.BY_ROWS)
    with pytest.raises(ValueError, match="is `instant`"):
        impact(migration("", "-- Locks: some"))


def test_statements_end_where_they_end() -> None:
    sql = "SELECT 'a;b'; -- c;\nCREATE FUNCTION f() AS $x$ a; $$ b; $x$;\n\nSELECT 1 - 2"
    assert list(statements(sql)) == ["SELECT ''", "CREATE FUNCTION f() AS ''", "SELECT 1 - 2"]

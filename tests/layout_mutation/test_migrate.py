"""The database brought up to date, on a real PostgreSQL."""

import asyncio
import json
import sqlite3
import stat
from contextlib import closing

import asyncpg
import pytest

from control_plane.schema import files
from control_plane.store.local import migrating
from tests.layout_mutation.typed import CommandLine

LATEST = len(files.read(files.FOLDER))


def execute(url: str, statement: str) -> None:
    async def through_a_connection() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(through_a_connection())


def test_check_says_what_is_to_do_and_changes_nothing(run: CommandLine, empty_url: str) -> None:
    here = {"DATABASE_URL": empty_url}
    for _ in range(2):
        ran = run("migrate", "--check", environment=here)
        assert (ran.code, ran.err) == (1, "")
        first, *steps = ran.text.splitlines()
        assert first.endswith(f": schema 0 of {LATEST}")
        assert len(steps) == 2 * LATEST
        assert steps[0].startswith("  0001 ")
        assert steps[1] == "       instant; locks nothing that is in use"
        assert any(line.startswith("       long; locks ACCESS EXCLUSIVE on audit_entries, ") for line in steps)
    plan = json.loads(run("migrate", "--check", "--json", environment=here).out)
    assert (plan["current"], plan["latest"], len(plan["pending"]), plan["problem"]) == (0, LATEST, LATEST, "")
    assert (plan["pending"][0]["locks"], plan["pending"][0]["duration"]) == ([], "instant")


def test_migrate_applies_once(run: CommandLine, empty_url: str) -> None:
    here = {"DATABASE_URL": empty_url}
    done = run("migrate", "--json", environment=here)
    assert (done.code, done.err) == (0, "")
    assert [step["number"] for step in json.loads(done.out)] == list(range(1, LATEST + 1))
    assert (run("migrate", environment=here).text, run("migrate", "--json", environment=here).text) == (
        "up to date\n",
        "[]\n",
    )
    check = run("migrate", "--check", environment=here)
    assert (check.code, check.text.count("\n")) == (0, 1)
    assert f"schema {LATEST} of {LATEST}" in check.text


def test_a_database_that_is_missing_is_created(run: CommandLine, empty_url: str) -> None:
    here = {"DATABASE_URL": f"{empty_url}_new"}
    try:
        check = run("migrate", "--check", environment=here)
        assert check.code == 1
        assert "_new (to be created): schema 0 of " in check.text
        done = run("migrate", environment=here)
        assert (done.code, done.text.count("applied ")) == (0, LATEST)
    finally:
        execute(empty_url, f'DROP DATABASE IF EXISTS "{empty_url.rpartition("/")[2]}_new" WITH (FORCE)')


def test_a_schema_of_a_newer_program_is_left_alone(run: CommandLine, empty_url: str) -> None:
    here = {"DATABASE_URL": empty_url}
    assert run("migrate", environment=here).code == 0
    execute(
        empty_url,
        "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) "
        f"VALUES ({LATEST + 1}, 'future', 'x', 1)",
    )
    ran = run("migrate", environment=here)
    assert ran.is_one_error(1)
    assert "newer than this program" in ran.err
    check = run("migrate", "--check", environment=here)
    assert check.code == 1
    assert check.err.startswith("error: the schema is newer")
    told = json.loads(run("migrate", "--check", "--json", environment=here).out)
    assert (told["pending"], told["problem"]) == ([], check.err.removeprefix("error: ").rstrip())


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_server_that_is_away_is_exit_code_3_and_keeps_the_password(run: CommandLine, check: tuple[str, ...]) -> None:
    ran = run("migrate", *check, environment={"DATABASE_URL": "postgresql://anna:hunter2@127.0.0.1:1/shop"})
    assert ran.is_one_error(3)
    assert "hunter2" not in ran.err


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://anna:hunter2@a/b", "postgresql://a:hunter/2@b:c/d"])
def test_an_address_that_is_none_is_exit_code_2_and_keeps_the_password(run: CommandLine, url: str) -> None:
    ran = run("migrate", environment={"DATABASE_URL": url})
    assert ran.is_one_error(2)
    assert ran.err.startswith("error: DATABASE_URL ")
    assert "hunter" not in ran.err


# ---------------------------------------------------------------- everything in one file


def test_a_file_is_planned_copied_and_migrated(run: CommandLine) -> None:
    here = {"CONTROL_PLANE_STORE": "local", "CONTROL_PLANE_DATA_DIR": "data"}
    file, latest = run.folder / "data" / "store.sqlite3", len(files.read(migrating.FOLDER))
    check = run("migrate", "--check", environment=here)
    first, *steps = check.text.splitlines()
    assert (check.code, first, len(steps)) == (
        1,
        f"file data/store.sqlite3 (to be created): schema 0 of {latest}",
        2 * latest,
    )
    assert steps[1] == "       instant; locks writes to the whole file"
    assert not file.exists()
    assert run("migrate", environment=here).text.count("applied ") == latest
    assert run("migrate", "--check", environment=here).text == f"file data/store.sqlite3: schema {latest} of {latest}\n"

    with closing(sqlite3.connect(file)) as connection, connection:
        undo = files.read(migrating.FOLDER)[1].header["Undo"]
        connection.executescript(f"{undo} DELETE FROM schema_migrations WHERE number = 2; UPDATE ledger SET change = 7")
    plan = json.loads(run("migrate", "--check", "--json", environment=here).out)
    assert (plan["current"], [step["duration"] for step in plan["pending"]]) == (1, ["by rows"])
    assert run("migrate", environment=here).text.startswith("applied 0002 ")
    assert run("migrate", environment=here).text == "up to date\n"
    with closing(sqlite3.connect(file.with_name("store.sqlite3.before-0002"))) as copy:
        assert copy.execute("SELECT max(number), change FROM schema_migrations, ledger").fetchone() == (1, 7)
    assert stat.S_IMODE(file.with_name("store.sqlite3.before-0002").stat().st_mode) == 0o600


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_file_that_is_none_is_exit_code_3_and_a_strangers_is_left_alone(
    run: CommandLine, check: tuple[str, ...]
) -> None:
    here = {"CONTROL_PLANE_STORE": "local", "CONTROL_PLANE_DATA_DIR": "data"}
    file = run.write("data/store.sqlite3", b"nonsense" * 1_000)
    assert run("migrate", *check, environment=here).is_one_error(3)
    file.unlink()
    with closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE recipes (name TEXT)")
    ran = run("migrate", *check, environment=here)
    assert (ran.code, "belongs to another program" in ran.err) == (1, True)

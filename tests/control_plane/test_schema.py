"""The schema comes into being by itself, once, whole or not at all, and is never harmed."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest

from control_plane.schema import documentation, files, runner
from control_plane.schema.runner import SchemaError, migrate, plan
from control_plane.store import Kind, StoreError
from tests.control_plane.plane import until


async def ask(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def folder_with(folder: Path, *more: str) -> Path:
    """The first real migration and further ones of the test's own."""
    folder.mkdir()
    first = files.read()[0]
    (folder / "0001_ledger.sql").write_text(first.sql)
    for number, sql in enumerate(more, 2):
        text = f"-- What: a test.\n-- Why: a test.\n-- Undo: nothing;\n{sql}\n"
        (folder / f"{number:04}_more.sql").write_text(text)
    return folder


# ---------------------------------------------------------------- files and documentation


def test_every_migration_says_what_why_and_how_to_undo_it() -> None:
    for migration in files.read():
        assert {"What", "Why", "Undo"} <= set(migration.header) <= {"What", "Why", "Undo", "Locks"}


def test_a_header_with_a_gap_a_wrong_name_and_a_gap_in_the_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("-- What: a thing\n-- that goes on\n")
    with pytest.raises(ValueError, match="lacks Why, Undo"):
        _ = files.read(tmp_path)[0].header
    (tmp_path / "0003_c.sql").write_text("")
    with pytest.raises(ValueError, match="without gaps"):
        files.read(tmp_path)
    (tmp_path / "later.sql").write_text("")
    with pytest.raises(ValueError, match="NNNN_name"):
        files.read(tmp_path)


def test_the_documentation_names_every_migration_and_its_undoing() -> None:
    text = documentation.render()
    for migration in files.read():
        assert f"## {migration.number:04} " in text
        assert migration.header["What"] in text
    assert "**Undo.** `DROP TABLE layout_mutation.published_tables;` (the next change" in text


# ---------------------------------------------------------------- migrating


async def test_an_empty_database_gets_the_schema_once(empty_url: str) -> None:
    before = await plan(empty_url)
    assert (before.current, len(before.pending)) == (0, before.latest)
    applied = await migrate(empty_url)
    assert [step.number for step in applied] == [migration.number for migration in files.read()]
    assert await migrate(empty_url) == ()
    after = await plan(empty_url)
    assert (after.current, after.pending, after.problem) == (after.latest, (), "")


async def test_everything_in_the_schema_has_a_comment_and_nothing_is_outside(empty_url: str) -> None:
    await migrate(empty_url)
    silent = await ask(
        empty_url,
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE n.nspname = 'layout_mutation' AND c.relkind = 'r' "
        "AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)",
    )
    assert silent == []
    outside = await ask(empty_url, "SELECT 1 FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace")
    assert outside == []


async def test_history_can_not_be_rewritten(empty_url: str) -> None:
    await migrate(empty_url)
    for table in (*(f"{kind}_versions" for kind in Kind), "audit_entries"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await ask(empty_url, f"TRUNCATE layout_mutation.{table}")


async def test_tables_of_documents_made_by_the_function_are_as_those_before(empty_url: str) -> None:
    await migrate(empty_url)
    shape = (
        "SELECT replace(replace(x, '{many}', 'MANY'), '{one}', 'ONE') AS x FROM ("
        "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || coalesce(column_default, '') AS x "
        "FROM information_schema.columns WHERE table_schema = 'layout_mutation' AND table_name IN ('{many}', '{one}_versions') "
        "UNION SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid "
        "WHERE t.relname IN ('{many}', '{one}_versions') "
        "UNION SELECT pg_get_triggerdef(g.oid) FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid "
        "WHERE t.relname = '{one}_versions' AND NOT tgisinternal "
        "UNION SELECT indexdef FROM pg_indexes WHERE tablename = '{many}') AS y ORDER BY x"
    )
    shapes = [
        [row["x"] for row in await ask(empty_url, shape.replace("{many}", many).replace("{one}", one))]
        for one, many in (("segment", "segments"), ("attribute", "attributes"), ("saved_group", "saved_groups"))
    ]
    assert len(shapes[0]) > 15
    assert shapes[0] == shapes[1] == shapes[2]


async def test_the_function_takes_names_and_nothing_else(empty_url: str) -> None:
    await migrate(empty_url)
    with pytest.raises(asyncpg.RaiseError, match="small letters"):
        await ask(empty_url, "SELECT layout_mutation.create_document_tables('thing', 'things; DROP TABLE x')")


async def test_twenty_services_that_start_at_once_on_a_missing_database_apply_it_once(empty_url: str) -> None:
    parts = urlsplit(empty_url)
    name = parts.path.strip("/") + ' "new"'
    missing = urlunsplit(parts._replace(path="/" + quote(name)))
    assert not (await plan(missing)).database_exists
    try:
        applied = await asyncio.gather(*(migrate(missing) for _ in range(20)))
        assert sorted(len(steps) for steps in applied) == [0] * 19 + [len(files.read())]
        rows = await ask(missing, "SELECT number FROM layout_mutation.schema_migrations")
        assert len(rows) == len(files.read())
    finally:
        await ask(empty_url, f"DROP DATABASE IF EXISTS {runner.quoted(name)} WITH (FORCE)")


async def test_a_service_killed_in_the_middle_leaves_nothing_behind(empty_url: str, tmp_path: Path) -> None:
    slow = folder_with(tmp_path / "slow", "CREATE TABLE layout_mutation.half (a int); SELECT pg_sleep(600);")
    code = (
        "import asyncio, sys; from pathlib import Path; from control_plane.schema.runner import migrate; "
        "asyncio.run(migrate(sys.argv[1], folder=Path(sys.argv[2])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_url, str(slow), env=environment)
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND state = 'active'"

    async def in_the_middle() -> bool:
        return bool(await ask(empty_url, sleeping))

    await until(in_the_middle)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    # The server notices a client that is gone when it next writes; an operator's hand is quicker than ten minutes.
    await ask(empty_url, sleeping.replace("SELECT 1", "SELECT pg_terminate_backend(pid)"))
    assert (await plan(empty_url)).current == 0
    quick = folder_with(tmp_path / "quick", "CREATE TABLE layout_mutation.half (a int);")
    assert len(await migrate(empty_url, folder=quick)) == 2


async def test_a_migration_that_fails_changes_nothing(empty_url: str, tmp_path: Path) -> None:
    broken = folder_with(tmp_path / "broken", "CREATE TABLE layout_mutation.half (a int); SELECT 1/0;")
    with pytest.raises(SchemaError, match="0002_more failed and nothing was changed"):
        await migrate(empty_url, folder=broken)
    assert await ask(empty_url, "SELECT 1 FROM pg_namespace WHERE nspname = 'layout_mutation'") == []


async def test_a_newer_schema_is_refused_untouched(empty_url: str, tmp_path: Path) -> None:
    newer = folder_with(tmp_path / "newer", "CREATE TABLE layout_mutation.later (a int);")
    await migrate(empty_url, folder=newer)
    older = folder_with(tmp_path / "older")
    with pytest.raises(SchemaError, match=r"newer than this program.*at 0002.*knows 0001"):
        await migrate(empty_url, folder=older)
    assert "newer" in (await plan(empty_url, folder=older)).problem
    assert len(await ask(empty_url, "SELECT 1 FROM layout_mutation.schema_migrations")) == 2


async def test_an_edited_migration_is_refused_untouched(empty_url: str, tmp_path: Path) -> None:
    await migrate(empty_url, folder=folder_with(tmp_path / "first", "SELECT 1;"))
    with pytest.raises(SchemaError, match="0002_more is not the one that was applied"):
        await migrate(empty_url, folder=folder_with(tmp_path / "edited", "SELECT 2;", "SELECT 3;"))


async def test_a_missing_row_in_the_middle_is_refused_untouched(empty_url: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "first", "SELECT 1;", "SELECT 2;")
    await migrate(empty_url, folder=folder)
    await ask(empty_url, "DELETE FROM layout_mutation.schema_migrations WHERE number = 2")
    with pytest.raises(SchemaError, match="0002 is missing"):
        await migrate(empty_url, folder=folder)


async def test_a_role_that_may_not_create_is_told_the_statement(empty_url: str) -> None:
    role = "limited_" + urlsplit(empty_url).path.strip("/")
    await ask(empty_url, f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
    try:
        parts = urlsplit(empty_url)
        theirs = urlunsplit(parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}"))
        with pytest.raises(SchemaError, match=f'CREATE SCHEMA layout_mutation AUTHORIZATION "{role}";'):
            await migrate(theirs)
        absent = urlunsplit(urlsplit(theirs)._replace(path="/absent"))
        with pytest.raises(SchemaError, match=f'CREATE DATABASE "absent" OWNER "{role}";'):
            await migrate(absent)
    finally:
        await ask(empty_url, f"DROP ROLE {role}")


async def test_a_server_that_is_away_is_a_store_error_without_the_password() -> None:
    with pytest.raises(StoreError) as caught:
        await migrate("postgresql://u:hidden@127.0.0.1:1/app")
    assert "hidden" not in str(caught.value)

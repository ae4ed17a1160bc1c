"""From nothing: twenty instances at once, kill -9 in the middle of each migration, roles that may do little."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
import pytest

from control_plane.schema import files
from control_plane.schema.runner import SchemaError, migrate, plan
from tests.control_plane.plane import headline, running, settings_of, until
from tests.servers import execute, wait_for

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CLONE = Path(files.__file__).parents[2]
MIGRATE = (
    "import asyncio, sys; from pathlib import Path; from control_plane.schema.runner import migrate; "
    "print(len(asyncio.run(migrate(sys.argv[1], folder=Path(sys.argv[2])))))"
)
INSTANCES = 20


async def test_twenty_instances_boot_at_once_on_an_empty_database(
    empty_url: str, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    first = settings_of(empty_url, redis_url, redis_environment, tmp_path / "0", database_connections=2)
    again = [msgspec.structs.replace(first, data_dir=str(tmp_path / str(n))) for n in range(INSTANCES)]

    @asynccontextmanager
    async def all_running() -> AsyncIterator[list[str]]:
        async with asyncio.TaskGroup() as group:
            stop = asyncio.Event()
            up = asyncio.Queue[str]()

            async def one(number: int) -> None:
                async with running(again[number]) as plane:
                    created = await plane.ask("POST", "mutations", headline(id=f"m{number}"))
                    up.put_nowait(f"{created.status}")
                    await stop.wait()

            for number in range(INSTANCES):
                group.create_task(one(number))
            yield [await up.get() for _ in range(INSTANCES)]
            stop.set()

    async with all_running() as statuses:
        assert statuses == ["201"] * INSTANCES
        rows = await ask(empty_url, "SELECT number FROM layout_mutation.schema_migrations ORDER BY number")
        assert [row["number"] for row in rows] == [one.number for one in files.read()]
        assert len(await ask(empty_url, "SELECT FROM layout_mutation.installation")) == 1
        published = await ask(empty_url, "SELECT FROM layout_mutation.published_tables")
        assert len(published) == INSTANCES + 1, "one to begin with and one for each change"


@pytest.mark.parametrize("migration", files.read(), ids=lambda one: f"{one.number:04}")
async def test_killed_in_the_middle_of_a_migration_it_goes_on_at_the_next_start(
    empty_url: str, tmp_path: Path, migration: files.Migration
) -> None:
    await migrate(empty_url, folder=folder_until(tmp_path / "before", migration.number - 1))
    before = await plan(empty_url)
    middle = folder_until(tmp_path / "middle", migration.number, halved=True)
    environment = {**os.environ, "PYTHONPATH": str(CLONE)}
    command = (sys.executable, "-c", MIGRATE, empty_url, str(middle))
    child = await asyncio.create_subprocess_exec(*command, env=environment)
    waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"

    async def in_the_middle() -> bool:
        return bool(await ask(empty_url, f"SELECT {waiting}"))

    await until(in_the_middle)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    # The server notices a client that is gone when it next writes; nobody waits ten minutes for that here.
    await ask(empty_url, f"SELECT pg_terminate_backend(pid) {waiting}")
    after = await plan(empty_url)
    assert (after.current, after.problem) == (before.current, "") == (migration.number - 1, "")
    assert len(await migrate(empty_url)) == len(files.read()) - migration.number + 1


async def test_killed_between_a_migration_and_its_record_it_goes_on_at_the_next_start(
    empty_url: str, tmp_path: Path
) -> None:
    last = len(files.read())
    await migrate(empty_url, folder=folder_until(tmp_path / "before", last - 1))
    blocker = await asyncpg.connect(empty_url)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE layout_mutation.schema_migrations IN EXCLUSIVE MODE")
    command = (sys.executable, "-c", MIGRATE, empty_url, str(files.FOLDER))
    child = await asyncio.create_subprocess_exec(*command, env={**os.environ, "PYTHONPATH": str(CLONE)})
    waiting = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def at_its_record() -> bool:
        return bool(await ask(empty_url, f"SELECT {waiting}"))

    await until(at_its_record)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    await ask(empty_url, f"SELECT pg_terminate_backend(pid) {waiting}")
    await transaction.rollback()
    await blocker.close()
    assert (await plan(empty_url)).current == last - 1
    assert len(await migrate(empty_url)) == 1


def folder_until(folder: Path, number: int, *, halved: bool = False) -> Path:
    """The migrations up to a number; the last one sleeps after half of its statements if `halved`."""
    folder.mkdir()
    for one in files.read()[:number]:
        sql = one.sql
        if halved and one.number == number:
            statements = divided(sql)
            middle = (len(statements) + 1) // 2
            sql = "".join([*statements[:middle], "\nSELECT pg_sleep(600);\n", *statements[middle:]])
        (folder / f"{one.number:04}_{one.name}.sql").write_text(sql)
    return folder


def divided(sql: str) -> list[str]:
    """Statements, each with the comments before it; a semicolon inside $…$ ends none."""
    found, current, dollars = list[str](), "", 0
    for line in sql.splitlines(keepends=True):
        current += line
        dollars += line.count("$$") + line.count("$function$") + line.count("$template$")
        if not dollars % 2 and line.rstrip().endswith(";") and not line.startswith("--"):
            found.append(current)
            current = ""
    return [*found, current]


# ---------------------------------------------------------------- roles


@pytest.fixture
def service(empty_url: str) -> Iterator[str]:
    """The URL of the database for a role that may connect and nothing else."""
    role = "service_" + urlsplit(empty_url).path.strip("/")
    name = urlsplit(empty_url).path.strip("/")
    wait_for(
        execute(
            empty_url,
            f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD 'pw'; "
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {role}; "
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        )
    )
    parts = urlsplit(empty_url)
    yield urlunsplit(parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}"))
    again = f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO PUBLIC; GRANT USAGE ON SCHEMA public TO PUBLIC"
    wait_for(execute(empty_url, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}; {again}"))


async def test_a_role_that_may_do_little_is_told_the_statement_and_then_works(
    service: str, empty_url: str, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    with pytest.raises(SchemaError, match="Run as the database's owner: CREATE SCHEMA") as caught:
        await migrate(service)
    await execute(empty_url, str(caught.value).partition("owner: ")[2])
    assert len(await migrate(service)) == len(files.read()), "the owner of the schema needs nothing else"
    await works(service, redis_url, redis_environment, tmp_path)


async def test_a_role_that_nobody_let_in_is_told_whom_to_ask_for_what(service: str, empty_url: str) -> None:
    await migrate(empty_url)
    owner = urlsplit(empty_url).username
    with pytest.raises(SchemaError, match=f"belongs to {owner}") as caught:
        await migrate(service)
    assert (await plan(service)).problem == str(caught.value)
    await execute(empty_url, str(caught.value).partition("if nobody has yet: ")[2])
    assert await migrate(service) == ()


async def test_a_role_that_was_let_in_by_the_owner_works_and_may_not_migrate(
    service: str, empty_url: str, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    await migrate(empty_url, folder=folder_until(tmp_path / "older", len(files.read()) - 1))
    role, owner = urlsplit(service).username, urlsplit(empty_url).username
    await execute(empty_url, f"SELECT layout_mutation.grant_access('{role}', 'write')")
    with pytest.raises(SchemaError) as caught:
        await migrate(service)
    assert f"Run `layout-mutation migrate` with the DATABASE_URL of {owner}" in str(caught.value)
    await migrate(empty_url)
    assert await migrate(service) == ()
    await works(service, redis_url, redis_environment, tmp_path)


async def works(url: str, redis_url: str, redis_environment: str, folder: Path) -> None:
    """Whether a whole control plane does all it does as this role: the admin's pages, a search, an experiment's history."""
    async with running(settings_of(url, redis_url, redis_environment, folder / "data")) as plane:
        made = await plane.ask("POST", "mutations", headline(id="mine", name="A headline"))
        assert (made.status, made.json()["publication"]["published"]) == (201, True)
        found = (await plane.ask("GET", "mutations?text=headl")).json()
        assert [one["id"] for one in found["items"]] == ["mine"]
        arms = [{"key": "a"}, {"key": "b"}]
        assert (await plane.ask("POST", "experiments", {"id": "e", "variations": arms})).status == 201
        changed = await plane.ask(
            "PUT", "experiments/e", {"id": "e", "variations": [arms[0] | {"weight": 0.3}, arms[1] | {"weight": 0.7}]}
        )
        assert changed.status == 200, changed.body


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_what_a_supabase_project_shows_everybody_is_nothing(supabase_url: str, role: str) -> None:
    await migrate(supabase_url)
    connection = await asyncpg.connect(supabase_url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'layout_mutation'")
        await connection.execute(f"SET ROLE {role}")
        for table in tables:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM layout_mutation.{table['tablename']}")
    finally:
        await connection.close()


async def test_a_server_that_takes_no_writes_is_no_reason_to_fail_when_nothing_is_to_do(empty_url: str) -> None:
    await migrate(empty_url)
    name = urlsplit(empty_url).path.strip("/")
    await execute(empty_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        assert await migrate(empty_url) == ()
        assert (await plan(empty_url)).problem == ""
    finally:
        connection = await asyncpg.connect(empty_url, server_settings={"default_transaction_read_only": "off"})
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await connection.close()


async def ask(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query)
        return rows
    finally:
        await connection.close()

"""Fixtures: a real PostgreSQL and a real Valkey for tests.

`tests/conftest.py` names this module in `pytest_plugins`. A test asks for

- `database_url`: a database of its own with the newest schema and no rows, dropped afterwards;
- `empty_url`: one with nothing in it at all, for what is about making the schema;
- `redis_url`: a Valkey (or Redis) server, and `redis_environment`: the <env> of the key names that are this test's own;
- `postgres_server`: the server behind both, by its URL;
- `server_folder`: an empty folder that the servers' user can reach, for a test that starts, kills and restarts an
  `EmbeddedPostgres(server_folder / "postgres", password=…, durable=False)` or an `EmbeddedValkey(…)` of its own.

The servers come from wheels. `DATABASE_URL` and `REDIS_URL` replace them: then databases and keys are created there
under random names and removed, and nothing else is touched.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import redis

from control_plane.schema.runner import migrate
from layout_mutation.embedded.postgres import EmbeddedPostgres
from layout_mutation.embedded.valkey import EmbeddedValkey

Done = TypeVar("Done")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a database on a server where databases may be created."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        if url in _MIGRATED:
            wait_for(execute(url, f"DROP DATABASE {_name(_MIGRATED[url])} WITH (FORCE)"))
        return
    folder = new_server_folder()
    try:
        with EmbeddedPostgres(folder / "postgres", password=secrets.token_hex(16), durable=False) as server:
            yield server.url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """The URL of a database with the newest schema and no rows, dropped afterwards with whoever is still connected."""
    with new_database(postgres_server) as url:
        yield url


@contextmanager
def new_database(postgres_server: str) -> Iterator[str]:
    """As the fixture `database_url`, for whoever needs another. To copy a database takes a sixth of what migrating does."""
    if postgres_server not in _MIGRATED:
        _MIGRATED[postgres_server] = wait_for(_migrated(postgres_server))
    with copied(_MIGRATED[postgres_server]) as url:
        yield url


@contextmanager
def copied(template: str) -> Iterator[str]:
    """The URL of a copy of a database that nobody is connected to, on the same server; dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    wait_for(
        execute(_at(template, "template1"), f'CREATE DATABASE {name} TEMPLATE "{_name(template)}" STRATEGY FILE_COPY')
    )
    try:
        yield _at(template, name)
    finally:
        wait_for(execute(_at(template, "template1"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


_MIGRATED: dict[str, str] = {}
"""A database with the newest schema, by server: nobody connects to it but to copy it."""


async def _migrated(server: str) -> str:
    """The URL of a new database with the newest schema."""
    name = f"test_{secrets.token_hex(6)}"
    await execute(server, f"CREATE DATABASE {name}")
    await migrate(_at(server, name))
    return _at(server, name)


def _at(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _name(url: str) -> str:
    return urlsplit(url).path.strip("/")


@pytest.fixture
def empty_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database, dropped afterwards with whoever is still connected."""
    with empty_database(postgres_server) as url:
        yield url


@contextmanager
def empty_database(postgres_server: str) -> Iterator[str]:
    """As the fixture `empty_url`, for fixtures that live longer than a test."""
    name = wait_for(_emptied(postgres_server, _EMPTIED.setdefault(postgres_server, [])))
    url = _at(postgres_server, name)
    try:
        yield url
    finally:
        if not wait_for(_empty(postgres_server, url)):
            wait_for(execute(postgres_server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        elif "DATABASE_URL" in os.environ:
            wait_for(execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))
        else:
            _EMPTIED[postgres_server].append(name)


_EMPTIED: dict[str, list[str]] = {}
"""Databases that a test has left and that are empty again, by server: to make one takes longer than to empty one."""

_LEFT_BEHIND = """
SELECT (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public'))
    + (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql')
    + (SELECT count(*) FROM pg_default_acl) + (SELECT count(*) FROM pg_event_trigger)
    + (SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = d.oid)
    + (SELECT count(*) FROM pg_prepared_xacts) + (d.datacl IS NOT NULL)::int + (n.nspacl::text <> $1)::int
FROM pg_database d, pg_namespace n WHERE d.datname = current_database() AND n.nspname = 'public'
"""
"""What a test left in a database beside the schema that ours is; rights of `public` are compared with a new one's."""


async def _emptied(server: str, waiting: list[str]) -> str:
    """The name of a database with nothing in it."""
    if waiting:
        return waiting.pop()
    name = f"test_{secrets.token_hex(6)}"
    await execute(server, f"CREATE DATABASE {name}")
    return name


async def _empty(server: str, url: str) -> bool:
    """Take our schema out of a database, and whoever is still connected; whether it is as good as new then."""
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await connection.execute("SET client_min_messages = error; DROP SCHEMA IF EXISTS layout_mutation CASCADE")
            left = await connection.fetchval(_LEFT_BEHIND, await _rights(server))
        finally:
            await connection.close()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return False
    return bool(left == 0)


async def _rights(server: str) -> str:
    """Who may do what in `public` where nobody has changed it."""
    if server not in _RIGHTS:
        connection = await asyncpg.connect(_at(server, "template1"))
        try:
            _RIGHTS[server] = await connection.fetchval(
                "SELECT nspacl::text FROM pg_namespace WHERE nspname = 'public'"
            )
        finally:
            await connection.close()
    return _RIGHTS[server]


_RIGHTS: dict[str, str] = {}


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The URL of a server whose keys may be added to."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    folder = new_server_folder()
    try:
        with EmbeddedValkey(folder / "valkey", password=secrets.token_hex(16), durable=False) as server:
            yield server.url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def redis_environment() -> str:
    """An <env> for key names `{lm:<env>}:…` that no other test has."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def redis_url(valkey_server: str, redis_environment: str) -> Iterator[str]:
    """The URL of a server without keys of this test's environment; without any keys if it is our own."""
    with redis.Redis.from_url(valkey_server) as client:
        if "REDIS_URL" not in os.environ:
            client.flushall()
        yield valkey_server
        keys = list(client.scan_iter(match="{lm:" + redis_environment + "}:*", count=1000))
        if keys:
            client.delete(*keys)


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """An empty folder that the servers' user can reach (root's `tmp_path` is closed to it)."""
    folder = new_server_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def new_server_folder() -> Path:
    """As the fixture `server_folder`; the caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix="layout-mutation-"))
    folder.chmod(0o711)
    return folder


async def execute(url: str, statement: str) -> None:
    """Carry out statements."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def wait_for(work: Coroutine[Any, Any, Done]) -> Done:
    """Run it in a thread: the event loop of this one belongs to the test."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()

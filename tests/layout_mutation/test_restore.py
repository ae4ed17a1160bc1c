"""One command brings an installation back."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layout_mutation.test_backup import KEY
from tests.layout_mutation.test_migrate import execute
from tests.layout_mutation.typed import CommandLine
from tests.servers import empty_database


@pytest.fixture
def target_url(postgres_server: str) -> Iterator[str]:
    with empty_database(postgres_server) as url:
        yield url


@pytest.fixture
def here(run: CommandLine, database_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of an installation that has a backup."""
    here = {"DATABASE_URL": database_url, KEY: "a" * 43 + "=", "CONTROL_PLANE_DATA_DIR": str(tmp_path / "data")}
    assert run("migrate", environment=here).code == 0
    execute(database_url, "UPDATE layout_mutation.ledger SET table_version = 5")
    assert run("backup", environment=here).code == 0
    return here


def test_an_empty_database_is_filled_by_one_command(run: CommandLine, here: dict[str, str], target_url: str) -> None:
    restored = run("restore", "latest", "--json", environment=here | {"DATABASE_URL": target_url})
    assert (restored.code, restored.err) == (0, "")
    assert json.loads(restored.out)["records"] > 0
    again = run("restore", "latest", environment=here | {"DATABASE_URL": target_url})
    assert again.code == 1
    assert "holds data already; nothing was changed; --replace backs it up" in again.err


def test_a_file_takes_a_small_installations_store_too(run: CommandLine, here: dict[str, str], tmp_path: Path) -> None:
    restored = run("restore", "latest", "--into", str(tmp_path / "store.sqlite"), environment=here)
    assert (restored.code, restored.err) == (0, "")
    assert "is not in it" in restored.text


@pytest.mark.parametrize("kind", ["local", "chroma"])
def test_a_small_installation_is_filled_where_its_store_is(
    run: CommandLine, here: dict[str, str], kind: str, tmp_path: Path
) -> None:
    small = here | {"CONTROL_PLANE_STORE": kind, "CONTROL_PLANE_BACKUP_DIR": str(tmp_path / "data" / "backups")}
    there = small | {"CONTROL_PLANE_DATA_DIR": str(tmp_path / "small")}
    restored = run("restore", "latest", environment=there)
    assert (restored.code, restored.err) == (0, "")
    assert (tmp_path / "small" / "store.sqlite3").is_file()
    again = run("restore", "latest", environment=there)
    assert again.is_one_error(1)
    assert "move the file aside first" in again.err
    assert run("backup", environment=there).code == 0
    assert run("backup", "verify", environment=there).code == 0


def test_data_is_replaced_by_who_types_its_name(run: CommandLine, here: dict[str, str], database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    refused = run("restore", "latest", "--replace", environment=here, stdin=b"yes\n")
    assert (refused.code, "nothing was changed" in refused.err) == (1, True)
    done = run("restore", "latest", "--replace", environment=here, stdin=f"{name}\n".encode())
    assert done.code == 0, done.err
    assert "what was there before is in layout-mutation-" in done.text


def test_what_is_no_backup_is_refused(run: CommandLine, here: dict[str, str], target_url: str, tmp_path: Path) -> None:
    there = here | {"DATABASE_URL": target_url}
    (tmp_path / "notes").write_text("no backup")
    assert run("restore", str(tmp_path / "notes"), environment=there).code == 2
    assert run("restore", "missing", environment=there).code == 2
    assert run("restore", "latest", environment={**there, KEY: ""}).code == 2

"""Backups from the command line: made, listed, tried."""

import json
from pathlib import Path

import pytest

from tests.layout_mutation.test_migrate import execute
from tests.layout_mutation.typed import CommandLine

KEY = "CONTROL_PLANE_SIGNING_KEY"


@pytest.fixture
def here(database_url: str, tmp_path: Path) -> dict[str, str]:
    """The environment of an installation with its schema."""
    return {"DATABASE_URL": database_url, KEY: "a" * 43 + "=", "CONTROL_PLANE_DATA_DIR": str(tmp_path / "data")}


def test_a_backup_is_made_listed_and_verified(run: CommandLine, here: dict[str, str], tmp_path: Path) -> None:
    assert run("migrate", environment=here).code == 0
    assert run("backup", "list", environment=here).code == 1
    made = run("backup", "--json", environment=here)
    assert (made.code, made.err) == (0, "")
    name = json.loads(made.out)["name"]
    assert (tmp_path / "data" / "backups" / name).is_file()
    found = run("backup", "list", environment=here)
    assert (found.code, name in found.text, "kept apart (by hand)" in found.text) == (0, True, True)
    verified = run("backup", "verify", environment=here)
    assert (verified.code, verified.err) == (0, "")
    assert "restored into a throw-away database" in verified.text
    file = tmp_path / "data" / "backups" / name
    file.write_bytes(file.read_bytes()[:-2])
    torn = run("backup", "verify", str(file), "--json", environment=here)
    assert torn.code == 1
    assert "torn" in json.loads(torn.out)["problem"]


def test_one_of_a_timer_rotates_and_one_is_deleted_by_its_name(run: CommandLine, here: dict[str, str]) -> None:
    assert run("migrate", environment=here).code == 0
    name = json.loads(run("backup", "--json", environment=here).out)["name"]
    regular = json.loads(run("backup", "--scheduled", "--json", environment=here).out)
    assert (regular["occasion"], regular["apart"]) == ("scheduled", False)
    assert run("backup", "delete", environment=here).code == 2
    assert run("backup", "delete", "latest", environment=here).code == 2
    deleted = run("backup", "delete", name, environment=here)
    assert (deleted.code, deleted.text.strip()) == (0, f"deleted {name}")
    assert [one["name"] for one in json.loads(run("backup", "list", "--json", environment=here).out)] == [
        regular["name"]
    ]


def test_another_folder_is_named_for_once(run: CommandLine, here: dict[str, str], tmp_path: Path) -> None:
    assert run("migrate", environment=here).code == 0
    made = run("backup", "--to", str(tmp_path / "there"), environment=here)
    assert (made.code, len(list((tmp_path / "there").iterdir()))) == (0, 1)


def test_a_place_that_is_away_is_told_and_the_file_is_here(
    run: CommandLine, here: dict[str, str], tmp_path: Path
) -> None:
    assert run("migrate", environment=here).code == 0
    away = here | {"CONTROL_PLANE_BACKUP_URL": "s3://a/b", "CONTROL_PLANE_BACKUP_ENDPOINT": "http://127.0.0.1:9"}
    made = run("backup", environment=away)
    assert made.code == 3
    assert "don't reach their second place" in made.err
    assert len(list((tmp_path / "data" / "backups").iterdir())) == 1


def test_what_makes_no_sense_is_refused(run: CommandLine, here: dict[str, str]) -> None:
    assert run("backup", "--to", "s3://", environment=here).code == 2
    assert run("backup", "verify", "nothing", environment=here).code == 2
    assert run("backup", "make", "file", environment=here).code == 2
    assert run("backup", "list", "--scheduled", environment=here).code == 2
    assert run("backup", environment={**here, "CONTROL_PLANE_BACKUP_KEEP": "all"}).code == 2


def test_data_is_backed_up_before_it_is_migrated(run: CommandLine, here: dict[str, str], tmp_path: Path) -> None:
    assert run("migrate", environment=here).code == 0
    assert not (tmp_path / "data" / "backups").exists()  # there was nothing yet
    execute(here["DATABASE_URL"], "UPDATE layout_mutation.ledger SET table_version = 5")
    execute(here["DATABASE_URL"], "DROP TABLE layout_mutation.installation, layout_mutation.settings")
    execute(here["DATABASE_URL"], "DELETE FROM layout_mutation.schema_migrations WHERE number > 9")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "backups").touch()
    refused = run("migrate", environment=here)
    assert refused.code == 1
    assert "no backup could be made before" in refused.err
    (tmp_path / "data" / "backups").unlink()
    # The migration itself can't succeed on what was left over; what counts is that the backup came first.
    assert "nothing was changed" in run("migrate", environment=here).err
    assert len(list((tmp_path / "data" / "backups").iterdir())) == 1

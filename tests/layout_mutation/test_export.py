"""Everything exported, as it is typed. What is wrong with files is tried where they are read."""

import pyrage

from tests.control_plane.moving.stores import lines_of
from tests.layout_mutation.test_move import filled
from tests.layout_mutation.typed import CommandLine


def test_to_a_file_with_this_name_or_one_by_the_time(run: CommandLine, database_url: str) -> None:
    filled(database_url)
    here = {"DATABASE_URL": database_url}
    done = run("export", "--to", "all.zst", environment=here)
    assert (done.code, done.err) == (0, "")
    lines = lines_of(run.folder / "all.zst")
    assert done.text == f"wrote all.zst: {len(lines) - 2} records\n"
    assert run("export", "--from", "env:DATABASE_URL", environment=here).text.startswith("wrote layout-mutation-2")
    [other] = run.folder.glob("layout-mutation-*Z.jsonl.zst")
    assert lines_of(other)[1:-1] == lines[1:-1]


def test_it_is_encrypted_to_those_who_are_named(run: CommandLine, database_url: str) -> None:
    filled(database_url)
    identity = pyrage.x25519.Identity.generate()
    here = {"DATABASE_URL": database_url, "CONTROL_PLANE_BACKUP_RECIPIENTS": str(identity.to_public())}
    assert run("export", "--to", "all.age", environment=here).text.endswith(" records, encrypted\n")
    refused = run("import", "all.age", "--check", environment=here)
    assert refused.is_one_error(2)
    assert "CONTROL_PLANE_BACKUP_IDENTITY" in refused.err
    check = run("import", "all.age", "--check", environment=here | {"CONTROL_PLANE_BACKUP_IDENTITY": str(identity)})
    assert (check.code, check.err) == (0, "")
    assert run("export", environment=here | {"CONTROL_PLANE_BACKUP_RECIPIENTS": "me"}).is_one_error(2)


def test_no_store_is_exit_code_2_and_one_that_is_away_3(run: CommandLine) -> None:
    assert "DATABASE_URL is not set" in run("export").err
    ran = run("export", "--from", "mysql://anna:hunter2@a/b")
    assert ran.is_one_error(2)
    assert "hunter2" not in ran.err
    assert run("export", "--from", "postgresql://anna:hunter2@127.0.0.1:1/shop").is_one_error(3)


def test_a_file_that_can_not_be_written_is_exit_code_3(run: CommandLine, database_url: str) -> None:
    filled(database_url)
    run.write("all", "a file where the folder would be")
    ran = run("export", "--from", database_url, "--to", "all/all.zst")
    assert ran.is_one_error(3)
    assert "all: " in ran.err

"""Everything exported, as it is typed. What is wrong with files is tried where they are read."""

from tests.layout_mutation.test_move import filled
from tests.layout_mutation.typed import CommandLine


def test_to_a_file_or_to_standard_output(run: CommandLine, database_url: str) -> None:
    filled(database_url)
    here = {"DATABASE_URL": database_url}
    done = run("export", "--to", "all.jsonl", environment=here)
    assert (done.code, done.err) == (0, "")
    lines = (run.folder / "all.jsonl").read_bytes().splitlines()
    assert done.text == f"wrote all.jsonl: {len(lines) - 2} records\n"
    assert run("export", "--from", "env:DATABASE_URL", environment=here).out.splitlines() == lines


def test_no_store_is_exit_code_2_and_one_that_is_away_3(run: CommandLine) -> None:
    assert "DATABASE_URL is not set" in run("export").err
    ran = run("export", "--from", "mysql://anna:hunter2@a/b")
    assert ran.is_one_error(2)
    assert "hunter2" not in ran.err
    assert run("export", "--from", "postgresql://anna:hunter2@127.0.0.1:1/shop").is_one_error(3)


def test_a_file_that_can_not_be_written_is_exit_code_3(run: CommandLine, database_url: str) -> None:
    filled(database_url)
    ran = run("export", "--from", database_url, "--to", "no/such/folder/all.jsonl")
    assert ran.is_one_error(3)
    assert "No such file or directory" in ran.err

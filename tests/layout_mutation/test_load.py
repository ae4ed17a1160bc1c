"""A store filled from a file, as it is typed."""

import json
from collections.abc import Iterator

import pytest

from tests.control_plane.moving.stores import SOMEBODY, lines_of
from tests.layout_mutation.test_migrate import execute
from tests.layout_mutation.test_move import filled
from tests.layout_mutation.typed import CommandLine
from tests.servers import new_database


@pytest.fixture
def other_url(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        yield url


def test_up_again_in_one_command(run: CommandLine, database_url: str) -> None:
    """With nothing but a file, and a server without even the database."""
    filled(database_url)
    assert run("export", "--from", database_url, "--to", "all.zst").code == 0
    here = {"DATABASE_URL": f"{database_url}_new"}
    try:
        done = run("import", "all.zst", environment=here)
        assert (done.code, done.err) == (0, "")
        assert done.text.splitlines()[0] == "from file all.zst"
        assert done.text.splitlines()[-1].endswith("records; both sides are the same")
        check = run("import", "all.zst", "--check", "--json", environment=here)
        assert (check.code, json.loads(check.out)["plan"]["standing"]) == (0, "same")
        assert run("export", "--to", "again.zst", environment=here).code == 0
        first, again = (lines_of(run.folder / name) for name in ("all.zst", "again.zst"))
        assert first[1:-1] == again[1:-1]
    finally:
        execute(database_url, f'DROP DATABASE IF EXISTS "{database_url.rpartition("/")[2]}_new" WITH (FORCE)')


def test_another_installations_store_is_exit_code_1(run: CommandLine, database_url: str, other_url: str) -> None:
    filled(database_url)
    filled(other_url, SOMEBODY)
    assert run("export", "--from", database_url, "--to", "all.zst").code == 0
    ran = run("import", "all.zst", "--into", other_url)
    assert ran.is_one_error(1)
    assert "never mixed" in ran.err
    check = run("import", "all.zst", "--into", other_url, "--check")
    assert (check.code, check.err) == (1, "")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no backup"),
        (b"\x1f\x8b", "no backup"),
        (b'{"mutations":[]}', "a rules file goes to POST /api/layout-mutation/import"),
    ],
)
def test_what_is_no_export_is_exit_code_2(run: CommandLine, database_url: str, content: bytes, problem: str) -> None:
    run.write("all.zst", content)
    ran = run("import", "all.zst", environment={"DATABASE_URL": database_url})
    assert ran.is_one_error(2)
    assert ran.err.startswith("error: all.zst")
    assert problem in ran.err
    missing = run("import", "missing.zst", environment={"DATABASE_URL": database_url})
    assert missing.is_one_error(2)
    assert "missing.zst: No such file" in missing.err

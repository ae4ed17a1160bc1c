"""What doctor says of what a store holds."""

from collections.abc import Iterator

import pytest

from tests.control_plane.moving.stores import SOMEBODY
from tests.layout_mutation.test_migrate import execute
from tests.layout_mutation.test_move import filled
from tests.layout_mutation.typed import CommandLine
from tests.servers import new_database


@pytest.fixture
def other_url(postgres_server: str) -> Iterator[str]:
    with new_database(postgres_server) as url:
        yield url


def documents(run: CommandLine, **environment: str) -> str:
    """The line about documents."""
    lines = run("doctor", environment=environment).text.splitlines()
    [line] = [line for line in lines if line[6:].startswith("documents: ")]
    return line


def test_the_documents_alone_and_beside_where_they_came_from(
    run: CommandLine, database_url: str, other_url: str
) -> None:
    assert run("migrate", environment={"DATABASE_URL": database_url}).code == 0
    assert documents(run, DATABASE_URL=database_url) == (
        "ok    documents: 0 mutations, 0 versions; nothing is wrong with them"
    )
    filled(other_url, SOMEBODY)
    beside = documents(run, DATABASE_URL=database_url, CONTROL_PLANE_MOVE_FROM=other_url)
    assert beside.startswith("FAIL  documents: 0 mutations, 0 versions; empty as seen from postgres ")
    assert "layout-mutation move" in beside
    gone = documents(run, DATABASE_URL=database_url, CONTROL_PLANE_MOVE_FROM="postgresql://a:hunter2@127.0.0.1:1/b")
    assert gone.startswith("ok ")
    assert "hunter2" not in gone


def test_what_is_wrong_is_named_with_what_to_do(run: CommandLine, database_url: str) -> None:
    assert run("migrate", environment={"DATABASE_URL": database_url}).code == 0
    execute(
        database_url,
        "INSERT INTO layout_mutation.modules (id, version, change, content, deleted) "
        """VALUES ('hero', 1, 1, '{"id":"hero","selector":"main > > h1"}', false)""",
    )
    line = documents(run, DATABASE_URL=database_url)
    assert line.startswith("FAIL  documents: 0 mutations, 0 versions; ")
    assert "to be saved by POST /api/layout-mutation/health/migration" in line
    assert "module hero, $.selector: " in line
    assert line.endswith("write another selector, or name a module")


def test_a_store_in_one_file_needs_no_database(run: CommandLine, database_url: str) -> None:
    here = {"CONTROL_PLANE_STORE": "local", "CONTROL_PLANE_DATA_DIR": "data"}
    assert "FAIL  store: there is no file" in run("doctor", environment=here).text
    filled(database_url)
    assert run("move", "--from", database_url, "--to", "data/store.sqlite3").code == 0
    lines = run("doctor", environment=here).text
    assert "FAIL  documents: 2 mutations, 4 versions; " in lines  # what fills stores for tests are no real documents
    assert "database" not in lines

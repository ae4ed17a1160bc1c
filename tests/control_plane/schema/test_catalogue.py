"""The committed catalogue is what the migrations make, on every supported server, and a schema that grew is as one that is new."""

from pathlib import Path

import asyncpg
import msgspec
import pytest

from control_plane.schema import catalogue, files, reading
from control_plane.schema.runner import migrate
from layout_mutation.documentation import database
from tests.control_plane.schema.comparer import described
from tests.servers import empty_database


async def read(url: str) -> reading.Found:
    connection = await asyncpg.connect(url)
    try:
        return await reading.read(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("server", ["postgres_server", "postgres_16", "postgres_15"])
async def test_the_committed_file_is_what_a_fresh_migration_makes(server: str, request: pytest.FixtureRequest) -> None:
    with empty_database(request.getfixturevalue(server)) as url:
        await migrate(url)
        found = await read(url)
    fresh = catalogue.encoded(found.catalogue).replace(
        "{\n", f'{{\n "migrations": "{files.digest(files.read())}",\n', 1
    )
    assert fresh == catalogue.FILE.read_text(encoding="utf-8"), "run `layout-mutation docs`"
    assert (found.invalid, found.behind, found.owner_lacks, len(found.applied)) == ((), (), (), len(files.read()))


def test_it_goes_into_the_file_and_out_again() -> None:
    found = catalogue.committed()
    assert catalogue.encoded(found) == catalogue.FILE.read_text(encoding="utf-8")
    assert len(found.tables) > 25
    mutations = found.table("mutations")
    assert mutations is not None
    assert mutations.primary_key is not None
    assert found.table("no_such") is None


async def test_a_schema_that_grew_from_each_earlier_version_is_as_a_fresh_one(
    empty_url: str, fresh_lines: list[str], tmp_path: Path
) -> None:
    """Every version of the past is passed through, with the schema used in between; comparing the last is comparing all."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for migration in files.read():
        name = f"{migration.number:04}_{migration.name}.sql"
        (folder / name).write_bytes((files.FOLDER / name).read_bytes())
        assert len(await migrate(empty_url, folder=folder)) == 1
    assert await described(empty_url) == fresh_lines
    assert (await read(empty_url)).catalogue == _without_digest(catalogue.committed())


def _without_digest(known: catalogue.Catalogue) -> catalogue.Catalogue:
    return msgspec.structs.replace(known, migrations="")


@pytest.mark.parametrize("example", database.EXAMPLES, ids=lambda example: str(example.question))
async def test_an_example_query_of_the_documentation_answers(
    example: database.Example, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute(
        "INSERT INTO layout_mutation.quarantines (id, change, content, at) "
        'VALUES (\'q\', 99, \'{"relation": "x", "why": "y", "row": {}}\', now())'
    )
    prepared = await connection.prepare(example.query)
    assert prepared.get_attributes()
    if "interval '1 day'" not in example.query:  # rows of the template are of a day of their own
        assert await prepared.fetch()


def test_the_diagram_has_every_table_column_and_reference() -> None:
    chapter, known = database.chapter(), catalogue.committed()
    diagram = chapter.partition("```mermaid\n")[2].partition("```")[0]
    for table in known.tables:
        entity = diagram.partition(f"    {table.name} {{\n")[2].partition("    }")[0]
        assert [line.split()[1] for line in entity.splitlines()] == [column.name for column in table.columns]
        assert f"| `{table.name}` | {table.comment} |" in chapter
    references = [one for table in known.tables for one in table.constraints if "REFERENCES" in one.definition]
    assert diagram.count(" ||--o{ ") == len(references) >= 7


def test_a_file_of_other_migrations_is_made_anew_by_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stale = tmp_path / "catalogue.json"
    stale.write_text(catalogue.encoded(catalogue.Catalogue(migrations="others")))
    fresh = catalogue.FILE.read_text(encoding="utf-8")
    monkeypatch.setattr(catalogue.committed, "__defaults__", (stale,))
    database._made.cache_clear()
    try:
        assert database.catalogue_file() == fresh
    finally:
        database._made.cache_clear()

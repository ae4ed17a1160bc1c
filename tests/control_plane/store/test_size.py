"""What grows with the years is not gone through from end to end, a search means what it says, and a draft costs one row."""

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime

import asyncpg
import msgspec
import pytest

from benchmarks.stored_mutations import Explained, Question, fill, mutation, questions
from control_plane import codec
from control_plane.schema import address, runner
from control_plane.store import Kind, StoredVersion
from control_plane.store.postgres import PostgresStore
from control_plane.store.postgres.reader import PostgresReader
from tests.control_plane.plane import CHAIN
from tests.servers import new_database, wait_for

COUNT = 3_000
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def large(postgres_server: str) -> Iterator[str]:
    """The URL of a database with enough in it for a planner to prefer an index where there is one."""

    async def filled(url: str) -> None:
        await runner.migrate(url)
        connection = await asyncpg.connect(url)
        await fill(connection, COUNT, versions=3, active=100)
        await connection.close()

    with new_database(postgres_server) as url:
        wait_for(filled(url))
        yield url


@pytest.fixture
async def connection(large: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    opened = await asyncpg.connect(large)
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", [*questions(COUNT), "publish: what is on", "ids"])
async def test_no_question_goes_through_a_large_table(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str
) -> None:
    more: dict[str, Question] = {
        "publish: what is on": lambda reader, _: reader.served(),
        "ids": lambda reader, _: reader.ids(Kind.MUTATION),
    }
    explained = Explained(connection)
    await ({**questions(COUNT), **more}[name])(explained.reader, random.Random(1))
    assert explained.plans
    assert explained.scanned() == [], explained.plans


async def test_a_plan_that_goes_through_a_table_is_noticed(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    explained = Explained(connection)
    await explained.fetch("SELECT * FROM layout_mutation.mutation_versions WHERE content::text LIKE '%x%'")
    assert explained.scanned() == ["mutation_versions"]


@pytest.mark.parametrize(
    "text",
    ["card 12", "CARD 7", "m0000012", "team 4", "r", "er", "qq", "d 1", "of card 1", "zebra", "", "%", "_", "ü", "  "],
)
async def test_a_search_finds_what_has_the_text_and_nothing_else(
    connection: "asyncpg.Connection[asyncpg.Record]", text: str
) -> None:
    reader = PostgresReader(lambda: nullcontext(connection))
    found = {one.id for one in await reader.page(Kind.MUTATION, {"text": text}, None, COUNT)}
    all_of_them = [mutation(number, on=False) for number in range(COUNT)]
    assert found == {one.id for one in all_of_them if text.lower() in f"{one.id} {one.name} {one.note}".lower()}


async def test_letters_of_all_languages_and_texts_of_any_length_are_found(database_url: str) -> None:
    await runner.migrate(database_url)
    store = PostgresStore(address.parse(database_url), connections_max=2, chain=CHAIN)
    await store.open()
    try:
        names = {"a": "Größe \U0001f600 'quoted' \\ \"x\"", "b": "", "c": "日本語の見出し", "d": "x" * 200}
        async with store.transaction() as transaction:
            for id_, name in names.items():
                one = msgspec.structs.replace(mutation(1, on=False), id=id_, name=name, note="")
                await transaction.put(Kind.MUTATION, id_, version(codec.encode(one)))
        for text, expected in (
            ("größe", ["a"]),
            ("\U0001f600", ["a"]),
            ("'quoted' \\", ["a"]),
            ('"x"', ["a"]),
            ("本語の見", ["c"]),
            ("x" * 200, ["d"]),
            ("x" * 201, []),
            ("a Gr", ["a"]),
        ):
            assert [one.id for one in await store.page(Kind.MUTATION, {"text": text}, None, 9)] == expected, text
    finally:
        await store.close()


def version(content: bytes) -> StoredVersion:
    return StoredVersion(version=1, content=content, action="created", actor="me", reason="", at=NOW)

"""The installation's database as an earlier version of the schema has it, with the rows of now.

What later migrations added is not copied, as it was not there then. Counterpart: `stage` has the server.
Never: a schema from before the audit was a chain with rows in it: no mirror can have known those.
"""

import asyncio
import io
from pathlib import Path

import asyncpg

from control_plane.schema.runner import migrate
from tests.control_plane.schema.test_beginning import folder_until
from tests.end_to_end.chaos.stage import DATABASE, Stage, run

CHAINED_SINCE = 10
"""The migration that made the audit a chain and named the installation."""

_COLUMNS = (
    "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
    "AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND c.relname <> 'schema_migrations' "
    "ORDER BY c.relname, a.attnum"
)


def earlier_copy(stage: Stage, name: str, number: int, source: str = DATABASE) -> None:
    """Make a database of that name with the first `number` migrations, and the rows of `source` where it had them then."""
    stage.sql(f"CREATE DATABASE {name}", database="postgres")
    if number:
        folder = stage.folder / f"migrations-of-{name}"
        run(migrate(stage.url_of(name), folder=folder_until(Path(folder), number)))
    if number >= CHAINED_SINCE:
        run(_copied(stage.url_of(source), stage.url_of(name)))


async def _copied(source: str, target: str) -> None:
    async with asyncio.timeout(60):
        one, other = await asyncpg.connect(source), await asyncpg.connect(target)
        try:
            async with one.transaction(isolation="repeatable_read"), other.transaction():
                await _tables(one, other)
        finally:
            await one.close()
            await other.close()


async def _tables(one: "asyncpg.Connection[asyncpg.Record]", other: "asyncpg.Connection[asyncpg.Record]") -> None:
    there = {(row[0], row[1]) for row in await one.fetch(_COLUMNS)}
    wanted: dict[str, list[str]] = {}
    for table, column in await other.fetch(_COLUMNS):
        if (table, column) in there:
            wanted.setdefault(table, []).append(column)
    await other.execute("SET LOCAL session_replication_role = replica")
    for table, columns in wanted.items():
        rows = io.BytesIO()
        named = ", ".join(f'"{column}"' for column in columns)
        await one.copy_from_query(f"SELECT {named} FROM layout_mutation.{table}", output=rows, format="binary")
        rows.seek(0)
        await other.execute(f"DELETE FROM layout_mutation.{table}")
        await other.copy_to_table(table, schema_name="layout_mutation", source=rows, columns=columns, format="binary")
    last = await one.fetchval("SELECT last_value FROM layout_mutation.changes")
    await other.execute("SELECT setval('layout_mutation.changes', $1)", last)

"""The catalogue of the database's schema as a committed file, and the chapter that shows it: diagram, tables, example queries.

The file says which migrations it was made from. Where they are others by now, a PostgreSQL of the wheels makes it anew.
Counterpart: `control_plane.schema.catalogue` is what both are. Never: a table or a column that no server has.
"""

import asyncio
import re
import secrets
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from control_plane.schema import address, catalogue, files, reading, runner
from control_plane.schema.catalogue import Catalogue, Table
from layout_mutation.embedded.postgres import EmbeddedPostgres
from layout_mutation.inputs import UnusableError
from layout_mutation.processes import RunError


class Example(NamedTuple):
    """A question, and the query that answers it."""

    question: str
    query: str


EXAMPLES = (
    Example(
        "Which mutations do visitors get now, the highest priority first?",
        "SELECT id, content ->> 'name' AS name, coalesce((content ->> 'priority')::integer, 0) AS priority\n"
        "FROM layout_mutation.mutations\n"
        "WHERE is_active AND status IN ('active', 'experimental') AND NOT deleted\n"
        "ORDER BY priority DESC, id;",
    ),
    Example(
        "Who changed a mutation, when and why?",
        "SELECT version, action, actor, reason, at\n"
        "FROM layout_mutation.mutation_versions\n"
        "WHERE id = 'a'\n"
        "ORDER BY version DESC;",
    ),
    Example(
        "What was done in the last day, and by whom?",
        "SELECT number, at, actor, action, kind, subject, reason\n"
        "FROM layout_mutation.audit_entries\n"
        "WHERE at > now() - interval '1 day'\n"
        "ORDER BY number DESC\n"
        "LIMIT 100;",
    ),
    Example(
        "Which decision table did visitors get at a given time?",
        "SELECT version, digest, mutations, actor, at\n"
        "FROM layout_mutation.published_tables\n"
        "WHERE at <= '2026-11-27 12:00+00'\n"
        "ORDER BY version DESC\n"
        "LIMIT 1;",
    ),
    Example(
        "Which mutations does each module carry?",
        "SELECT m.id, count(u.id) AS mutations, count(u.id) FILTER (WHERE u.is_active) AS active\n"
        "FROM layout_mutation.modules AS m\n"
        "LEFT JOIN layout_mutation.mutations AS u ON u.module_id = m.id AND NOT u.deleted\n"
        "WHERE NOT m.deleted\n"
        "GROUP BY m.id\n"
        "ORDER BY m.id;",
    ),
    Example(
        "What did repairs put aside, and why?",
        "SELECT at, content ->> 'relation' AS relation, content ->> 'why' AS why, content -> 'row' AS row\n"
        "FROM layout_mutation.quarantines\n"
        "WHERE NOT deleted\n"
        "ORDER BY change DESC;",
    ),
    Example(
        "Whose data is this, and which migrations made its schema?",
        "SELECT i.id, i.epoch, i.created_at, max(m.number) AS schema\n"
        "FROM layout_mutation.schema_migrations AS m\n"
        "LEFT JOIN layout_mutation.installation AS i ON true\n"
        "GROUP BY i.id, i.epoch, i.created_at;",
    ),
)

_HEAD = """
## Database

Everything is in the PostgreSQL schema `layout_mutation`; [README_migration.md](README_migration.md) has its migrations. Each table, column,
constraint, index, trigger and policy has a comment in the database itself (`\\d+ layout_mutation.mutations` in psql). What is drawn here is
read off a live database.

Rows are protected by row-level security, and nothing is granted to anybody: what `anon` and `authenticated` of Supabase ask for is refused.
The owner of the schema lets other roles in, `SELECT layout_mutation.grant_access('reporting', 'read')` or `'write'`, and out again by
`layout_mutation.revoke_access('reporting')`. Once a minute the schema is compared with the migrations; what is missing is repaired, what
others added is told with the statement that removes it (`layout-mutation doctor`, `GET /api/layout-mutation/health`).

```mermaid
erDiagram
"""

_REFERENCE = re.compile(r"^FOREIGN KEY \((.+?)\) REFERENCES layout_mutation\.(\w+)\(")


def catalogue_file() -> str:
    """The text of the committed file; raises UnusableError where it has to be made and there is no server to make it."""
    return catalogue.encoded(present())


def chapter() -> str:
    """The chapter, with its heading."""
    found = present()
    references = [
        f'    {reference[2]} ||--o{{ {table.name} : "{reference[1]}"'
        for table in found.tables
        for one in table.constraints
        if (reference := _REFERENCE.match(one.definition))
    ]
    drawn = "\n".join([*(_entity(table) for table in found.tables), *references])
    rows = "\n".join(f"| `{table.name}` | {table.comment} |" for table in found.tables)
    examples = "\n".join(f"{one.question}\n\n```sql\n{one.query}\n```\n" for one in EXAMPLES)
    return (
        f"{_HEAD}{drawn}\n```\n\n| table | what it holds |\n| --- | --- |\n{rows}\n\n### Example queries\n\n{examples}"
    )


def _entity(table: Table) -> str:
    key = table.primary_key.definition if table.primary_key is not None else ""
    lines = [
        f"        {_word(column.type)} {column.name}" + (" PK" if re.search(rf"\b{column.name}\b", key) else "")
        for column in table.columns
    ]
    return "\n".join([f"    {table.name} {{", *lines, "    }"])


def _word(type_: str) -> str:
    """A type as the diagram can have it: one word."""
    return re.sub(r"\W+", "_", type_.replace("timestamp with time zone", "timestamptz")).strip("_")


def present() -> Catalogue:
    """What the migrations of this checkout make."""
    return _made(files.digest(files.read()))


@cache
def _made(migrations: str) -> Catalogue:
    known = catalogue.committed()
    if known.migrations == migrations:
        return known
    folder = Path(tempfile.mkdtemp(prefix="layout-mutation-"))
    folder.chmod(0o711)
    try:
        with EmbeddedPostgres(folder / "postgres", password=secrets.token_hex(16), durable=False) as server:
            found = asyncio.run(_fresh(server.url))
    except RunError as error:
        raise UnusableError(f"the migrations are others than those of {catalogue.FILE.name}, and {error}") from None
    finally:
        shutil.rmtree(folder)
    return msgspec.structs.replace(found, migrations=migrations)


async def _fresh(url: str) -> Catalogue:
    await runner.migrate(url)
    async with runner.connected(address.parse(url)) as connection:
        return (await reading.read(connection)).catalogue

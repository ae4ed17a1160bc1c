"""The schema as an earlier program left it, read as if it were today's.

What a later migration added stands in a statement as what it would have been: a missing table is empty, a missing column
has the value of its default. That is how data is backed up before it is migrated.
Counterpart: `carrying.py` reads through it. Never: a change, or a schema that is newer than the program.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from control_plane.store.postgres.connections import Connection

Fit = Callable[[str], str]
"""A question as the schema can answer it; empty where there is nothing that could be asked."""

LATER: Mapping[str, Mapping[str, str]] = {
    "ledger": {"audit_hash": "''::bytea"},
    "audit_entries": {
        "changeset": "NULL::uuid",
        "origin": "''::text",
        "digest": "NULL::text",
        "key_id": "NULL::text",
    },
    # As the migration numbers them that gives them numbers: after everything else.
    "idempotency_keys": {
        "change": "(SELECT last_value FROM layout_mutation.changes) + row_number() OVER (ORDER BY at, actor, key)"
    },
    "used_sign_ins": {
        "change": "(SELECT last_value FROM layout_mutation.changes) + (SELECT count(*) FROM layout_mutation.idempotency_keys) "
        "+ row_number() OVER (ORDER BY expires_at, id)"
    },
}
"""Table -> column that a later migration than the table's added -> what stands for it before."""
EMPTY: Mapping[str, str] = {
    "installation": "(SELECT NULL::uuid AS id, NULL::bigint AS epoch, NULL::timestamptz AS created_at WHERE false)",
}
"""Table -> what stands for it before there was one, where a question about more than it goes on."""

_COLUMNS = (
    "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'layout_mutation' AND c.relkind IN ('r', 'p') "
    "AND a.attnum > 0 AND NOT a.attisdropped"
)


def AS_IT_IS(query: str) -> str:  # noqa: N802 - a constant: the fit of today's schema
    """The question as it was put."""
    return query


async def fit_of(connection: "Connection", tables: tuple[str, ...]) -> Fit:
    """How questions about these tables, named in full, are put to the schema that is there."""
    present: dict[str, set[str]] = {}
    for row in await connection.fetch(_COLUMNS):
        present.setdefault(row["relname"], set()).add(row["attname"])
    replaced, absent = dict[str, str](), set[str]()
    for table in tables:
        name = table.partition(".")[2]
        if name not in present:
            if name in EMPTY:
                replaced[table] = EMPTY[name]
            else:
                absent.add(table)
        elif missing := {column: value for column, value in LATER.get(name, {}).items() if column not in present[name]}:
            more = ", ".join(f"{value} AS {column}" for column, value in missing.items())
            replaced[table] = f"(SELECT present.*, {more} FROM {table} AS present)"  # noqa: S608 - names of ours

    def fit(query: str) -> str:
        words = query.split(" ")
        if absent.intersection(words):
            return ""
        return " ".join(replaced.get(word, word) for word in words)

    return fit

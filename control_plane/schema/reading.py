"""The catalogue of a live database, and what of its state a comparison with the migrations needs.

Counterpart: `catalogue.py` has the form, `drift.py` compares. Never: a change, or a version of PostgreSQL that shows in what is read.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
from msgspec import Struct

from control_plane.schema.catalogue import (
    SCHEMA,
    Catalogue,
    Column,
    Function,
    Grant,
    Part,
    Policy,
    Sequence,
    Table,
)

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")


class Invalid(Struct, frozen=True):
    """An index that PostgreSQL keeps but does not use."""

    index: str
    table: str
    rows: float
    """How many rows the table has, by the server's estimate; negative where it has none yet."""


class Behind(Struct, frozen=True):
    """A counter that would give numbers again that rows have already."""

    name: str
    at: int
    newest: int


class Found(Struct, frozen=True, kw_only=True):
    """A live schema: its catalogue, and the state of what is in it."""

    catalogue: Catalogue
    invalid: tuple[Invalid, ...] = ()
    behind: tuple[Behind, ...] = ()
    open_partitions: tuple[str, ...] = ()
    """Partitions without row-level security."""
    without_default: frozenset[str] = frozenset()
    """Partitioned tables that have no place for rows that no partition takes."""
    granted: Mapping[str, str] = {}
    """Roles that were let in -> read or write."""
    owner_lacks: tuple[Grant, ...] = ()
    empty: frozenset[str] = frozenset()
    """Tables without a row."""
    ledger_has_row: bool = True
    applied: tuple[str, ...] = ()
    """Checksums of the migrations that are written down, in their order; none where that list is lost, or all of it."""


async def read(connection: "Connection") -> Found:
    """The schema as it is right now, all of it as of about one moment."""
    async with connection.transaction():
        await connection.execute("SET LOCAL search_path = pg_catalog")
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", SCHEMA):
            return Found(catalogue=Catalogue(exists=False))
        catalogue = await _catalogue(connection)
        rows, empty = await connection.fetch(_INVALID), await _empty(connection, catalogue)
        return Found(
            catalogue=catalogue,
            invalid=tuple(Invalid(row["index"], row["table"], row["rows"]) for row in rows),
            behind=await _behind(connection, catalogue),
            open_partitions=tuple(row["name"] for row in await connection.fetch(_OPEN_PARTITIONS)),
            without_default=frozenset(row["name"] for row in await connection.fetch(_WITHOUT_DEFAULT)),
            granted=await _granted(connection, catalogue),
            owner_lacks=tuple(Grant(**dict(row)) for row in await connection.fetch(_OWNER_LACKS)),
            empty=empty,
            ledger_has_row=catalogue.table("ledger") is not None and "ledger" not in empty,
            applied=await _applied(connection, catalogue),
        )


async def _catalogue(connection: "Connection") -> Catalogue:
    columns = await _by_table(connection, _COLUMNS, lambda row: Column(**row))
    constraints = await _by_table(connection, _CONSTRAINTS, lambda row: Part(**row))
    indexes = await _by_table(connection, _INDEXES, lambda row: Part(**row))
    triggers = await _by_table(connection, _TRIGGERS, lambda row: Part(**row))
    policies = await _by_table(connection, _POLICIES, lambda row: Policy(**row))
    tables = tuple(
        Table(
            **{**dict(row), "options": tuple(row["options"])},
            columns=columns[row["name"]],
            constraints=_sorted(constraints[row["name"]]),
            indexes=_sorted(indexes[row["name"]]),
            triggers=_sorted(triggers[row["name"]]),
            policies=_sorted(policies[row["name"]]),
        )
        for row in await connection.fetch(_TABLES)
    )
    grants = [Grant(**dict(row)) for row in await connection.fetch(_GRANTS)]
    return Catalogue(
        comment=await connection.fetchval(
            "SELECT coalesce(obj_description('layout_mutation'::regnamespace, 'pg_namespace'), '')"
        ),
        tables=_sorted(tables),
        functions=_sorted(tuple(Function(**dict(row)) for row in await connection.fetch(_FUNCTIONS))),
        sequences=_sorted(tuple(Sequence(**dict(row)) for row in await connection.fetch(_SEQUENCES))),
        grants=tuple(sorted(grants, key=lambda one: (one.what, one.role, one.privilege))),
        others=tuple(sorted(row["name"] for row in await connection.fetch(_OTHERS))),
    )


async def _by_table(
    connection: "Connection", query: str, make: Callable[[dict[str, Any]], T]
) -> Mapping[str, tuple[T, ...]]:
    found: dict[str, tuple[T, ...]] = defaultdict(tuple)
    for row in await connection.fetch(query):
        values = dict(row)
        found[values.pop("of")] += (make(values),)
    return found


def _sorted(parts: tuple[T, ...]) -> tuple[T, ...]:
    """By name, whatever order the database's collation has."""
    return tuple(sorted(parts, key=lambda one: one.name))  # type: ignore[attr-defined]


async def _behind(connection: "Connection", catalogue: Catalogue) -> tuple[Behind, ...]:
    """The sequence of changes and the ledger's counters, against the rows that have their numbers from there."""
    found = list[Behind]()
    numbered = [one.name for one in catalogue.tables if _has(catalogue, one.name, "change")]
    if numbered and any(one.name == "changes" for one in catalogue.sequences):
        newest = ", ".join(f'(SELECT max(change) FROM layout_mutation."{name}")' for name in numbered)  # noqa: S608
        counted = await connection.fetch(
            f"SELECT last_value - (NOT is_called)::int AS at, greatest(0, {newest}) AS newest "  # noqa: S608 - names out of the catalogue
            "FROM layout_mutation.changes"
        )
        found += [Behind("changes", one["at"], one["newest"]) for one in counted]
    for column, table, number in (
        ("audit_number", "audit_entries", "number"),
        ("table_version", "published_tables", "version"),
    ):
        if _has(catalogue, "ledger", column) and _has(catalogue, table, number):
            row = await connection.fetchrow(
                f"SELECT {column} AS at, coalesce((SELECT max({number}) FROM layout_mutation.{table}), 0) AS newest "  # noqa: S608 - constants
                "FROM layout_mutation.ledger"
            )
            if row is not None:
                found.append(Behind(f"ledger.{column}", row["at"], row["newest"]))
    return tuple(one for one in found if one.at < one.newest)


async def _granted(connection: "Connection", catalogue: Catalogue) -> Mapping[str, str]:
    if not (_has(catalogue, "granted_roles", "role") and _has(catalogue, "granted_roles", "may")):
        return {}
    rows = await connection.fetch(
        "SELECT g.role, g.may FROM layout_mutation.granted_roles g JOIN pg_roles r ON r.rolname = g.role"
    )
    return {row["role"]: row["may"] for row in rows}


async def _applied(connection: "Connection", catalogue: Catalogue) -> tuple[str, ...]:
    if not (_has(catalogue, "schema_migrations", "number") and _has(catalogue, "schema_migrations", "checksum")):
        return ()
    rows = await connection.fetch("SELECT checksum FROM layout_mutation.schema_migrations ORDER BY number")
    return tuple(row["checksum"] for row in rows)


async def _empty(connection: "Connection", catalogue: Catalogue) -> frozenset[str]:
    """All tables in one question: one for each would be half of what reading a schema takes."""
    names = [one.name for one in catalogue.tables]
    rows = ", ".join(map(_has_rows, names))
    answers = await connection.fetchval(f"SELECT ARRAY[{rows}]::bool[]")
    return frozenset(name for name, has in zip(names, answers, strict=True) if not has)


def _has_rows(table: str) -> str:
    """The expression for whether a table of the catalogue has any."""
    name = table.replace('"', '""')
    return f'EXISTS (SELECT FROM layout_mutation."{name}")'


def _has(catalogue: Catalogue, table: str, column: str) -> bool:
    found = catalogue.table(table)
    return found is not None and any(one.name == column for one in found.columns)


_OURS = "c.relnamespace = 'layout_mutation'::regnamespace AND NOT c.relispartition"
_TABLES = f"""
SELECT c.relname AS name, c.relrowsecurity AS row_security, c.relforcerowsecurity AS forced,
    coalesce(pg_get_partkeydef(c.oid), '') AS partitioned_by, coalesce(c.reloptions, '{{}}') AS options,
    coalesce(obj_description(c.oid, 'pg_class'), '') AS comment
FROM pg_class c WHERE {_OURS} AND c.relkind IN ('r', 'p')
"""  # noqa: S608 - constants, here and below
_COLUMNS = f"""
SELECT c.relname AS of, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
    CASE WHEN a.attgenerated = '' THEN coalesce(pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END AS default,
    CASE WHEN a.attgenerated = '' THEN '' ELSE pg_get_expr(d.adbin, d.adrelid) END AS generated,
    CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' ELSE '' END AS identity,
    coalesce(col_description(c.oid, a.attnum), '') AS comment
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE {_OURS} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum
"""  # noqa: S608
_CONSTRAINTS = f"""
SELECT c.relname AS of, x.conname AS name, regexp_replace(pg_get_constraintdef(x.oid), ' NOT VALID$', '') AS definition,
    x.convalidated AS on, coalesce(obj_description(x.oid, 'pg_constraint'), '') AS comment
FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid
WHERE {_OURS} AND x.contype IN ('p', 'u', 'f', 'c', 'x') AND x.conparentid = 0
"""  # noqa: S608
_INDEXES = f"""
SELECT c.relname AS of, i.relname AS name, pg_get_indexdef(i.oid) AS definition, true AS on,
    coalesce(obj_description(i.oid, 'pg_class'), '') AS comment
FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
WHERE {_OURS} AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
"""  # noqa: S608
_TRIGGERS = f"""
SELECT c.relname AS of, t.tgname AS name, pg_get_triggerdef(t.oid) AS definition, t.tgenabled <> 'D' AS on,
    coalesce(obj_description(t.oid, 'pg_trigger'), '') AS comment
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE {_OURS} AND NOT t.tgisinternal
"""  # noqa: S608
_POLICIES = f"""
SELECT c.relname AS of, p.polname AS name, coalesce(obj_description(p.oid, 'pg_policy'), '') AS comment,
    concat_ws(' ', CASE WHEN p.polpermissive THEN NULL ELSE 'AS RESTRICTIVE' END,
    'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
    'TO ' || (SELECT string_agg(CASE WHEN one = 0 THEN 'PUBLIC' ELSE one::regrole::text END, ', ' ORDER BY one::regrole::text) FROM unnest(p.polroles) AS one),
    'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')') AS definition
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE {_OURS}
"""  # noqa: S608
_FUNCTIONS = """
SELECT f.oid::regprocedure::text AS name, pg_get_functiondef(f.oid) AS definition, coalesce(obj_description(f.oid, 'pg_proc'), '') AS comment
FROM pg_proc f WHERE f.pronamespace = 'layout_mutation'::regnamespace AND f.prokind IN ('f', 'p')
"""
_SEQUENCES = f"""
SELECT c.relname AS name, coalesce(obj_description(c.oid, 'pg_class'), '') AS comment,
    format('AS %s START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement,
    s.seqmin, s.seqmax, s.seqcache) || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END AS definition,
    coalesce((SELECT t.relname || '.' || a.attname FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'), '') AS owned_by
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
WHERE {_OURS} AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'i')
"""  # noqa: S608
_PARTS_WITH_OWNERS = """
    SELECT 'SCHEMA ' || nspname AS what, nspowner AS owner, coalesce(nspacl, acldefault('n', nspowner)) AS acl, acldefault('n', nspowner) AS whole
    FROM pg_namespace WHERE nspname = 'layout_mutation'
    UNION ALL SELECT CASE WHEN c.relkind = 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass, c.relowner,
    coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner)),
    acldefault(CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
    FROM pg_class c WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v', 'm')
    UNION ALL SELECT 'FUNCTION ' || f.oid::regprocedure, f.proowner, coalesce(f.proacl, acldefault('f', f.proowner)), acldefault('f', f.proowner)
    FROM pg_proc f WHERE f.pronamespace = 'layout_mutation'::regnamespace AND f.prokind = 'f'
"""
_ROLE = "CASE WHEN given.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(given.grantee)::text END"
_GRANTS = f"""
SELECT {_ROLE} AS role, given.privilege_type AS privilege, part.what
FROM ({_PARTS_WITH_OWNERS}) AS part, aclexplode(part.acl) AS given WHERE given.grantee <> part.owner
UNION ALL SELECT {_ROLE}, given.privilege_type || ' (' || quote_ident(a.attname) || ')', 'TABLE ' || c.oid::regclass
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) AS given
WHERE c.relnamespace = 'layout_mutation'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND given.grantee <> c.relowner
"""  # noqa: S608
_OWNER_LACKS = f"""
SELECT pg_get_userbyid(part.owner)::text AS role, due.privilege_type AS privilege, part.what
FROM ({_PARTS_WITH_OWNERS}) AS part, aclexplode(part.whole) AS due
WHERE due.grantee = part.owner AND NOT EXISTS (
    SELECT FROM aclexplode(part.acl) AS given WHERE given.grantee = part.owner AND given.privilege_type = due.privilege_type
)
"""  # noqa: S608
_OTHERS = """
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW ' ELSE 'FOREIGN TABLE ' END || c.oid::regclass AS name
FROM pg_class c WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('v', 'm', 'f')
UNION ALL SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN ' ELSE 'TYPE ' END || t.oid::regtype FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typnamespace = 'layout_mutation'::regnamespace AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c')
UNION ALL SELECT 'RULE ' || quote_ident(r.rulename) || ' ON ' || c.oid::regclass FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = 'layout_mutation'::regnamespace AND r.rulename <> '_RETURN'
"""
_INVALID = """
SELECT x.indexrelid::regclass::text AS index, c.oid::regclass::text AS table, c.reltuples::float8 AS rows
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
WHERE c.relnamespace = 'layout_mutation'::regnamespace AND i.relkind = 'i' AND NOT (x.indisvalid AND x.indisready AND x.indislive)
"""
_WITHOUT_DEFAULT = """
SELECT c.relname AS name FROM pg_class c JOIN pg_partitioned_table p ON p.partrelid = c.oid
WHERE c.relnamespace = 'layout_mutation'::regnamespace AND p.partdefid = 0
"""
_OPEN_PARTITIONS = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relispartition AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
"""

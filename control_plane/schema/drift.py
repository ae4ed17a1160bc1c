"""How a live schema differs from what the migrations make, and the statement that would put each difference right.

What is missing is added, and what is ours and was altered is put back where no data hangs on it. What others added, and what only
destroys could undo (a changed type, an extra column), is for a person.
Counterpart: `reading.py` gives what is there, `definitions.py` the statements, `healing.py` runs those that may be. Never: I/O.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from control_plane.schema import definitions
from control_plane.schema.catalogue import Catalogue, Column, Function, Grant, Part, Policy, Table
from control_plane.schema.definitions import quoted, table_name
from control_plane.schema.reading import Found

OUTSIDERS = frozenset({"PUBLIC", "anon", "authenticated", "authenticator", "service_role"})
"""Who never gets anything here: everybody, and Supabase's roles of an API over the whole database."""
CLOSED = frozenset({"granted_roles", "schema_migrations"})
"""Tables that only the owner of the schema changes."""
PARTITIONING = (
    "make_event_partitions(integer)",
    "drop_event_partitions(timestamp with time zone,timestamp with time zone)",
)
"""Functions with the rights of the owner that whoever writes may call: partitions of events come and go."""
REBUILT_ROWS_MAX = 2_000_000
"""Larger tables would be closed to writers for longer than seconds; their indexes are rebuilt by a person, concurrently."""

P = TypeVar("P", Column, Part, Policy, Function, Table)


class Remedy(StrEnum):
    """Who puts it right."""

    REPAIR = "repair"
    """The service: nothing can be lost by it."""
    PERSON = "person"
    """A person: it would destroy something, or it was added by others."""


class Drift(Struct, frozen=True, kw_only=True, rename="camel"):
    """One difference."""

    kind: str
    """A stable word, such as `column_missing`."""
    subject: str
    """What it is about, such as `mutations.note`."""
    statement: str
    """What puts it right."""
    remedy: Remedy = Remedy.REPAIR
    former: str = ""
    """What is there instead, as SQL; kept when it is replaced."""
    table: str = ""
    """The table that it belongs to; empty where there is none."""
    harmful: bool = True
    """Whether the service may misbehave by it."""
    problem: str = ""
    """Why the service could not repair it; empty where it did not try."""


def compare(expected: Catalogue, found: Found) -> tuple[Drift, ...]:
    """All differences, in the order in which they can be put right."""
    there = found.catalogue
    known = {table.name: there.table(table.name) for table in expected.tables}
    pairs = [(table, present) for table in expected.tables if (present := known[table.name]) is not None]
    return (
        *_sequences(expected, there),
        *_functions(expected, there),
        *(_table_missing(table) for table in expected.tables if known[table.name] is None),
        *(drift for table, present in pairs for drift in _columns(table, present, found)),
        *(drift for table in expected.tables for drift in _constraints(table, known[table.name])),
        *(drift for table, present in pairs for drift in _indexes(table, present)),
        *_invalid(found),
        *(drift for table, present in pairs for drift in _triggers(table, present)),
        *(drift for table, present in pairs for drift in _security(table, present)),
        *_partitions(expected, found),
        *_privileges(expected, found),
        *_comments(expected, there),
        *_counters(found),
        *_strangers(expected, there),
    )


def _by_name(parts: Sequence[P]) -> dict[str, P]:
    return {part.name: part for part in parts}


def _sequences(expected: Catalogue, there: Catalogue) -> Iterator[Drift]:
    present = {one.name: one for one in there.sequences}
    for one in expected.sequences:
        name = table_name(one.name)
        if one.name not in present:
            yield Drift(kind="sequence_missing", subject=one.name, statement=definitions.sequence(one))
        elif present[one.name].definition != one.definition:
            statement = f"ALTER SEQUENCE {name} {one.definition};"
            yield Drift(
                kind="sequence_changed", subject=one.name, statement=statement, former=present[one.name].definition
            )


def _functions(expected: Catalogue, there: Catalogue) -> Iterator[Drift]:
    present = _by_name(there.functions)
    for one in expected.functions:
        other = present.get(one.name)
        if other is None:
            yield Drift(kind="function_missing", subject=one.name, statement=definitions.function(one))
        elif other.definition != one.definition:
            # Its result can't be replaced under those who use it; then a person sees why the repair failed.
            yield Drift(
                kind="function_changed",
                subject=one.name,
                statement=definitions.function(one),
                former=other.definition,
            )


def _table_missing(table: Table) -> Drift:
    return Drift(kind="table_missing", subject=table.name, statement=definitions.table(table), table=table.name)


def _columns(table: Table, present: Table, found: Found) -> Iterator[Drift]:
    there, expected = _by_name(present.columns), _by_name(table.columns)
    name = table_name(table.name)
    for column in table.columns:
        other, subject = there.get(column.name), f"{table.name}.{column.name}"
        if other is None:
            rows = table.name not in found.empty and not column.generated
            statement = f"ALTER TABLE {name} ADD COLUMN {definitions.column(column)};{definitions.column_comment(table.name, column)}"
            kind = "column_lost" if rows else "column_missing"
            yield Drift(kind=kind, subject=subject, statement=statement, table=table.name)
            continue
        yield from _column(table.name, column, other)
    for extra in [column for column in present.columns if column.name not in expected]:
        yield Drift(
            kind="column_extra",
            subject=f"{table.name}.{extra.name}",
            statement=f"ALTER TABLE {name} DROP COLUMN {quoted(extra.name)};",
            remedy=Remedy.PERSON,
            table=table.name,
            harmful=extra.not_null and not (extra.default or extra.generated or extra.identity),
        )


def _column(table: str, column: Column, other: Column) -> Iterator[Drift]:
    """A column that is there and differs."""
    alter, subject = (
        f"ALTER TABLE {table_name(table)} ALTER COLUMN {quoted(column.name)}",
        f"{table}.{column.name}",
    )
    if other.type != column.type:
        statement = f"{alter} TYPE {column.type} USING {quoted(column.name)}::{column.type};"
        yield Drift(
            kind="type_changed",
            subject=subject,
            statement=statement,
            remedy=Remedy.PERSON,
            table=table,
            former=other.type,
        )
    if (other.generated, other.identity) != (column.generated, column.identity):
        again = f"ALTER TABLE {table_name(table)} DROP COLUMN {quoted(column.name)}, ADD COLUMN {definitions.column(column)};"
        yield Drift(
            kind="generation_changed",
            subject=subject,
            statement=again,
            remedy=Remedy.PERSON,
            table=table,
            former=other.generated,
        )
    elif other.default != column.default:
        to = f"SET DEFAULT {column.default}" if column.default else "DROP DEFAULT"
        yield Drift(
            kind="default_changed", subject=subject, statement=f"{alter} {to};", table=table, former=other.default
        )
    if column.not_null and not other.not_null:
        yield Drift(kind="not_null_missing", subject=subject, statement=f"{alter} SET NOT NULL;", table=table)
    elif other.not_null and not column.not_null:
        yield Drift(
            kind="not_null_extra",
            subject=subject,
            statement=f"{alter} DROP NOT NULL;",
            remedy=Remedy.PERSON,
            table=table,
        )


def _constraints(table: Table, present: Table | None) -> Iterator[Drift]:
    """Those of a missing table come with it, but for references, which wait until all tables are there."""
    there = _by_name(present.constraints) if present is not None else {}
    name = table_name(table.name)
    for one in sorted(table.constraints, key=lambda part: part.definition.startswith("FOREIGN KEY")):
        other, subject = there.get(one.name), f"{table.name}.{one.name}"
        if other is None:
            if present is not None or one.definition.startswith("FOREIGN KEY"):
                statement = definitions.constraint(table, one)
                yield Drift(kind="constraint_missing", subject=subject, statement=statement, table=table.name)
        elif other.definition != one.definition:
            statement = f"ALTER TABLE {name} DROP CONSTRAINT {quoted(one.name)}; {definitions.constraint(table, one)}"
            yield Drift(
                kind="constraint_changed",
                subject=subject,
                statement=statement,
                remedy=Remedy.PERSON,
                table=table.name,
                former=other.definition,
            )
        elif not other.on:
            statement = f"ALTER TABLE {name} VALIDATE CONSTRAINT {quoted(one.name)};"
            yield Drift(
                kind="constraint_not_validated", subject=subject, statement=statement, table=table.name, harmful=False
            )


def _indexes(table: Table, present: Table) -> Iterator[Drift]:
    there = _by_name(present.indexes)
    for one in table.indexes:
        other, subject = there.get(one.name), one.name
        if other is None:
            yield Drift(
                kind="index_missing", subject=subject, statement=definitions.index(one), table=table.name, harmful=False
            )
        elif other.definition != one.definition:
            statement = f"DROP INDEX {table_name(one.name)}; {definitions.index(one)}"
            yield Drift(
                kind="index_changed",
                subject=subject,
                statement=statement,
                remedy=Remedy.PERSON,
                table=table.name,
                former=other.definition,
            )


def _invalid(found: Found) -> Iterator[Drift]:
    for one in found.invalid:
        large = one.rows > REBUILT_ROWS_MAX
        yield Drift(
            kind="index_invalid",
            subject=one.index.removeprefix("layout_mutation."),
            statement=f"REINDEX INDEX {'CONCURRENTLY ' if large else ''}{one.index};",
            remedy=Remedy.PERSON if large else Remedy.REPAIR,
            table=one.table.removeprefix("layout_mutation."),
        )


def _triggers(table: Table, present: Table) -> Iterator[Drift]:
    there = _by_name(present.triggers)
    for one in table.triggers:
        other, subject = there.get(one.name), f"{table.name}.{one.name}"
        if other is None:
            yield Drift(
                kind="trigger_missing",
                subject=subject,
                statement=definitions.trigger(table.name, one),
                table=table.name,
            )
        elif other.definition != one.definition:
            yield Drift(
                kind="trigger_changed",
                subject=subject,
                statement=definitions.trigger(table.name, one),
                former=other.definition,
                table=table.name,
            )
        elif not other.on:
            statement = f"ALTER TABLE {table_name(table.name)} ENABLE TRIGGER {quoted(one.name)};"
            yield Drift(kind="trigger_disabled", subject=subject, statement=statement, table=table.name)


def _security(table: Table, present: Table) -> Iterator[Drift]:
    name = table_name(table.name)
    if table.row_security and not present.row_security:
        statement = f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
        yield Drift(kind="row_security_off", subject=table.name, statement=statement, table=table.name)
    if present.forced and not table.forced:
        statement = f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY;"
        yield Drift(
            kind="row_security_forced",
            subject=table.name,
            statement=statement,
            remedy=Remedy.PERSON,
            table=table.name,
            harmful=False,
        )
    there = _by_name(present.policies)
    for one in table.policies:
        other, subject = there.get(one.name), f"{table.name}.{one.name}"
        create = definitions.policy(table.name, one)
        if other is None:
            yield Drift(kind="policy_missing", subject=subject, statement=create, table=table.name)
        elif other.definition != one.definition:
            statement = f"DROP POLICY {quoted(one.name)} ON {name}; {create}"
            yield Drift(
                kind="policy_changed",
                subject=subject,
                statement=statement,
                table=table.name,
                former=other.definition,
            )


def _partitions(expected: Catalogue, found: Found) -> Iterator[Drift]:
    for table in expected.tables:
        if table.partitioned_by and table.name in found.without_default:
            subject, statement = f"{table.name}_default", definitions.default_partition(table)
            yield Drift(kind="partition_missing", subject=subject, statement=statement, table=table.name)
    for name in found.open_partitions:
        statement = f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"
        yield Drift(kind="row_security_off", subject=name.removeprefix("layout_mutation."), statement=statement)


def _privileges(expected: Catalogue, found: Found) -> Iterator[Drift]:
    due = {grant for role, may in found.granted.items() for grant in _due(expected, role, may)}
    there = set(found.catalogue.grants)
    for grant in found.catalogue.grants:
        if grant not in due and grant.privilege != "MAINTAIN":
            outsider = grant.role in OUTSIDERS
            yield Drift(
                kind="grant_extra",
                subject=f"{grant.privilege} on {grant.what} to {grant.role}",
                statement=definitions.revoke(grant),
                remedy=Remedy.REPAIR if outsider else Remedy.PERSON,
                harmful=outsider,
            )
    for grant in [*sorted(due - there, key=lambda one: (one.what, one.role, one.privilege)), *found.owner_lacks]:
        subject = f"{grant.privilege} on {grant.what} to {grant.role}"
        if grant.privilege != "MAINTAIN":
            yield Drift(kind="grant_missing", subject=subject, statement=definitions.grant(grant))


def _due(expected: Catalogue, role: str, may: str) -> Iterator[Grant]:
    """What a role that was let in has; `layout_mutation.protect()` of the migrations gives it."""
    yield Grant(role, "USAGE", "SCHEMA layout_mutation")
    for function in expected.functions:
        # Policies ask access_of, and indexes call what they are made with, in the name of whoever reads and writes.
        if function.name.startswith("layout_mutation.access_of(") or _is_immutable(function):
            yield Grant(role, "EXECUTE", f"FUNCTION {function.name}")
    for partitioning in PARTITIONING if may == "write" else ():
        yield Grant(role, "EXECUTE", f"FUNCTION layout_mutation.{partitioning}")
    for sequence in expected.sequences:
        for privilege in ("SELECT", "USAGE", "UPDATE") if may == "write" else ("SELECT",):
            yield Grant(role, privilege, f"SEQUENCE layout_mutation.{sequence.name}")
    for table in expected.tables:
        history = any("layout_mutation.refuse_change()" in one.definition for one in table.triggers)
        privileges = ["SELECT"]
        if may == "write" and table.name not in CLOSED:
            privileges += ["INSERT"] if history else ["INSERT", "UPDATE", "DELETE"]
        for privilege in privileges:
            yield Grant(role, privilege, f"TABLE layout_mutation.{table.name}")


def _is_immutable(function: Function) -> bool:
    return "IMMUTABLE" in function.definition.partition("\nAS ")[0].split()


def _comments(expected: Catalogue, there: Catalogue) -> Iterator[Drift]:
    present = definitions.commented(there)
    for subject, words in definitions.commented(expected).items():
        if words and present.get(subject, words) != words:
            statement = definitions.comment(subject, words)
            yield Drift(kind="comment_changed", subject=subject, statement=statement, harmful=False)


def _counters(found: Found) -> Iterator[Drift]:
    if not found.ledger_has_row and found.catalogue.table("ledger") is not None:
        statement = "INSERT INTO layout_mutation.ledger DEFAULT VALUES;"
        yield Drift(kind="ledger_row_missing", subject="ledger", statement=statement, table="ledger")
    for one in found.behind:
        column = one.name.removeprefix("ledger.")
        statement = (
            f"SELECT setval('layout_mutation.changes', {one.newest});"
            if column == one.name
            else f"UPDATE layout_mutation.ledger SET {column} = {one.newest};"  # noqa: S608 - a column of ours, a number
        )
        yield Drift(kind="counter_behind", subject=one.name, statement=statement)


def _strangers(expected: Catalogue, there: Catalogue) -> Iterator[Drift]:
    """What is there and comes from no migration."""
    for table in there.tables:
        ours = expected.table(table.name)
        if ours is None:
            statement = f"DROP TABLE {table_name(table.name)};"
            yield _stranger("table_extra", table.name, statement, harmful=False)
            continue
        name = table_name(table.name)
        for kind, present, known in (
            ("CONSTRAINT", table.constraints, ours.constraints),
            ("INDEX", table.indexes, ours.indexes),
            ("TRIGGER", table.triggers, ours.triggers),
            ("POLICY", table.policies, ours.policies),
        ):
            for one in [part for part in present if part.name not in {part.name for part in known}]:
                statement = {
                    "CONSTRAINT": f"ALTER TABLE {name} DROP CONSTRAINT {quoted(one.name)};",
                    "INDEX": f"DROP INDEX {table_name(one.name)};",
                }.get(kind, f"DROP {kind} {quoted(one.name)} ON {name};")
                yield _stranger(f"{kind.lower()}_extra", f"{table.name}.{one.name}", statement, harmful=kind != "INDEX")
    for function in [one for one in there.functions if one.name not in _by_name(expected.functions)]:
        yield _stranger("function_extra", function.name, f"DROP FUNCTION {function.name};", harmful=False)
    for sequence in {one.name for one in there.sequences} - {one.name for one in expected.sequences}:
        yield _stranger("sequence_extra", sequence, f"DROP SEQUENCE {table_name(sequence)};", harmful=False)
    for other in [one for one in there.others if one not in expected.others]:
        yield _stranger("other_extra", other, f"DROP {other};", harmful=other.startswith("RULE"))


def _stranger(kind: str, subject: str, statement: str, *, harmful: bool) -> Drift:
    return Drift(kind=kind, subject=subject, statement=statement, remedy=Remedy.PERSON, harmful=harmful)

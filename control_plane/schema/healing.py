"""A schema put right again: what is missing is added under the lock of migrations, everything else is left and told.

One of all instances repairs: each looks again once it has the lock. A repair that fails takes nothing back of the others, and
is tried again as long as others bring it further. Rows that fit nowhere any more go to `quarantines`; rows that were lost with their
table or a column come from a copy, such as a mirror, in the same transaction: nobody ever sees the table without them, and a
process that is killed in between has changed nothing. Works through a transaction pooler.
Counterpart: `drift.py` says what differs; `control_plane.healer` decides when to look, and tells people.
Never: a statement of `Remedy.PERSON`, or a row that is gone for good.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import msgspec
from msgspec import Struct

from control_plane.schema import definitions, files
from control_plane.schema.catalogue import SCHEMA, Catalogue, Table
from control_plane.schema.definitions import quoted, table_name
from control_plane.schema.drift import Drift, Remedy, compare
from control_plane.schema.reading import Found, read
from control_plane.schema.runner import LOCK_KEY, SchemaError
from control_plane.store.postgres import carrying, statements
from control_plane.store.records import MADE_AGAIN, Record

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]


class Copy(Struct, frozen=True):
    """A copy of what the database holds."""

    by: str
    """Whose it is: a word that no other one has."""
    records: AsyncIterator[Record]
    """All that it has."""


CopyOf = Callable[[str], Awaitable[Copy | None]]
"""A copy of the installation with this id; None where there is none."""

LOCK_TIMEOUT_S = 5  # readers and writers of a table wait no longer for a repair that waits for others
PASSES_MAX = 6  # what one repair needs of another is there at the next pass
MIGRATIONS = "schema_migrations"
REFILLED = frozenset(
    name.removeprefix(f"{SCHEMA}.")
    for name in (
        *statements.HEADS.values(),
        *statements.VERSIONS.values(),
        *statements.CHANGED,
        *("audit_entries", "published_tables"),
    )
)
"""Tables whose rows travel as records, and can come from a mirror."""
_LOSES_ROWS = ("table_missing", "column_lost")


class Outcome(Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of it."""

    repaired: tuple[Drift, ...] = ()
    left: tuple[Drift, ...] = ()
    """What is still different: for a person, or with the problem that a repair had."""
    busy: bool = False
    """Another instance had the lock for too long; it repairs."""
    emptied: tuple[str, ...] = ()
    """Tables that were made again without rows, because there is no copy of them."""


async def look(connection: "Connection", expected: Catalogue) -> tuple[Drift, ...]:
    """What differs right now; changes nothing. Raises SchemaError where there is nothing of ours at all."""
    found = await read(connection)
    _check(found, expected)
    return compare(expected, found)


async def heal(connection: "Connection", expected: Catalogue, copy_of: CopyOf | None = None) -> Outcome:
    """Repair what may be repaired.

    Raises:
        SchemaError: there is nothing of ours to repair: then migrate first.
        StoreError: the copy that lost rows come from can't be read; nothing was changed.
    """
    healing = _Healing(connection, expected, copy_of)
    try:
        for _ in range(PASSES_MAX):
            if not await healing.once():
                break
    except asyncpg.LockNotAvailableError:
        return Outcome(repaired=tuple(healing.done), busy=True, emptied=tuple(sorted(healing.emptied)))
    left = await look(connection, expected)
    problems = healing.problems
    return Outcome(
        repaired=tuple(healing.done),
        emptied=tuple(sorted(healing.emptied)),
        left=tuple(
            msgspec.structs.replace(drift, problem=problems.get((drift.kind, drift.subject), "")) for drift in left
        ),
    )


def _check(found: Found, expected: Catalogue) -> None:
    """Raise SchemaError unless the migrations are those of this program; where their list alone is lost, it comes back.

    What a newer program made must not be put back to how an older one knows it, nor the other way round.
    """
    if found.applied:
        if files.digest_of(found.applied) != expected.migrations:
            raise SchemaError(
                f"the schema {SCHEMA} was made by other migrations than this program's; it is left as it is until both are the same"
            )
        return
    if {table.name for table in expected.tables} - {MIGRATIONS} - {table.name for table in found.catalogue.tables}:
        raise SchemaError(
            f"the schema {SCHEMA} is gone, or does not know which migrations made it; `layout-mutation migrate` makes it anew, "
            "or restore it from a backup"
        )


class _Healing:
    """One healing: passes over what differs, each in a transaction of its own."""

    def __init__(self, connection: "Connection", expected: Catalogue, copy_of: CopyOf | None) -> None:
        self._connection = connection
        self._expected = expected
        self._copy_of = copy_of
        self._copy: Copy | None = None
        self._nobodys = False
        """Nobody's data: whoever finds that restores them whole, so nothing is put back here."""
        self._found = Found(catalogue=Catalogue())
        self._awaited: set[str] = set()
        """Tables whose rows are put back at the end of the pass."""
        self.emptied: set[str] = set()
        self.done: list[Drift] = []
        self.problems: dict[tuple[str, str], str] = {}

    async def once(self) -> bool:
        """One pass; whether anything was repaired, so that another pass is worth it."""
        before = len(self.done)
        async with self._connection.transaction():
            await self._connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
            await self._connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            await self._connection.execute("SET LOCAL check_function_bodies = off")  # they may name what comes later
            self._found = await read(self._connection)
            _check(self._found, self._expected)
            drifts = [drift for drift in compare(self._expected, self._found) if drift.remedy is Remedy.REPAIR]
            if drifts and self._found.catalogue.table("ledger") is not None:
                await self._connection.execute(
                    "SELECT FROM layout_mutation.ledger FOR UPDATE"
                )  # before all tables, as writers do
            if any(drift.kind in _LOSES_ROWS and drift.table in REFILLED for drift in drifts):
                await self._find_copy()
            for drift in drifts:
                await self._try(drift)
            if not self._found.applied:
                await self._write_down_migrations()
            made_again = self._awaited | self.emptied
            if self._awaited and self._copy is not None:
                await self._put_back(self._copy.records)
            if made_again:
                await self._tell_other_copies(made_again)
        return len(self.done) > before

    async def _try(self, drift: Drift) -> None:
        key = (drift.kind, drift.subject)
        try:
            async with self._connection.transaction():
                await self._repair(drift)
                if drift.former:
                    await self._keep(drift)
        except asyncpg.LockNotAvailableError:
            self.problems[key] = f"{drift.table or drift.subject} was in use for more than {LOCK_TIMEOUT_S} s"
        except asyncpg.InsufficientPrivilegeError as error:
            self.problems[key] = f"this role may not do it ({error}); run the statement as the owner of the schema"
        except (asyncpg.PostgresError, _NotNowError) as error:
            self.problems[key] = str(error)
        else:
            self.problems.pop(key, None)
            self.done.append(drift)

    async def _repair(self, drift: Drift) -> None:
        if drift.kind == "column_lost":
            await self._bring_back_column(drift)
        elif drift.kind == "constraint_not_validated":
            await self._validate(drift)
        elif drift.kind in ("counter_behind", "ledger_row_missing"):
            await self._connection.execute(drift.statement)
            await carrying.settle(self._connection)
        else:
            await self._connection.execute(drift.statement)
            if drift.kind == "table_missing" and drift.table in REFILLED:
                if self._copy is not None:
                    self._awaited.add(drift.table)
                elif not self._nobodys:
                    self.emptied.add(drift.table)

    # -- rows

    async def _find_copy(self) -> None:
        named = None
        if self._found.catalogue.table("installation") is not None:
            named = await self._connection.fetchval("SELECT i.id::text FROM layout_mutation.installation AS i")
        self._nobodys = named is None
        self._copy = None if named is None or self._copy_of is None else await self._copy_of(named)

    async def _bring_back_column(self, drift: Drift) -> None:
        """A column whose values are gone while rows are there: from the copy, if there is one."""
        table, name = self._expected.table(drift.table), drift.subject.partition(".")[2]
        if table is None:
            return
        column = next(one for one in table.columns if one.name == name)
        if self._copy is None or table.name not in REFILLED:
            if column.not_null and not column.default:
                raise _NotNowError("its values are gone and there is no copy of them here; restore the newest backup")
            await self._connection.execute(drift.statement)
            return
        self._awaited.add(table.name)
        key = table.primary_key
        if "change" not in {one.name for one in table.columns} or key is None or _names(key.definition, name):
            await self._quarantine(table, "", f"the column {name} was dropped; the rows come from a copy")
            await self._connection.execute(drift.statement)
            return
        nullable = msgspec.structs.replace(column, not_null=False)
        owner = table_name(table.name)
        await self._connection.execute(
            f"ALTER TABLE {owner} ADD COLUMN {definitions.column(nullable)};{definitions.column_comment(table.name, column)}"
        )
        # A copy replaces rows with a lower number of change.
        await self._connection.execute(
            f"UPDATE {owner} AS old SET change = least(0, (SELECT min(change) FROM {owner})) - new.place "  # noqa: S608 - names out of our catalogue
            f"FROM (SELECT ctid AS at, row_number() OVER () AS place FROM {owner}) AS new WHERE old.ctid = new.at"
        )

    async def _put_back(self, records: AsyncIterator[Record]) -> None:
        """What the copy has and the tables lack; rows there stay, but for those whose number of change is lower."""
        tables = sorted(self._awaited)
        self._awaited.clear()
        batch = list[Record]()
        async for record in records:
            batch.append(record)
            if len(batch) >= carrying.BATCH:
                await carrying.load(self._connection, batch)
                batch.clear()
        await carrying.load(self._connection, batch)
        await carrying.settle(self._connection)
        for name in tables:
            table = self._expected.table(name)
            if table is not None and any(column.name == "change" for column in table.columns):
                # What the copy does not have goes on with a number of its own.
                await self._connection.execute(
                    f"UPDATE {table_name(name)} SET change = nextval('layout_mutation.changes') WHERE change < 0 OR change IS NULL"  # noqa: S608
                )

    async def _tell_other_copies(self, tables: set[str]) -> None:
        """Another instance's mirror may have what this one's has not yet: the last second's rows, or all of them."""
        await self._connection.execute(
            "INSERT INTO layout_mutation.quarantines AS q (id, change, content, at) VALUES ($1, nextval('layout_mutation.changes'), "
            "json_build_object('relation', $2::text, 'why', 'made again; every mirror puts back what it has', 'by', $3::text), now()) "
            "ON CONFLICT (id) DO UPDATE SET change = excluded.change, content = excluded.content, at = excluded.at, deleted = false",
            MADE_AGAIN,
            ", ".join(sorted(tables)),
            "" if self._copy is None else self._copy.by,
        )

    async def _validate(self, drift: Drift) -> None:
        """Look at the rows of before; those that refer to nothing are put aside, unless all do."""
        if self._awaited:
            raise _NotNowError("rows are still to come")
        try:
            async with self._connection.transaction():
                await self._connection.execute(drift.statement)
        except asyncpg.ForeignKeyViolationError:
            await self._put_orphans_aside(drift)
            await self._connection.execute(drift.statement)

    async def _put_orphans_aside(self, drift: Drift) -> None:
        table, name = self._expected.table(drift.table), drift.subject.partition(".")[2]
        row = await self._connection.fetchrow(_REFERENCE, f"{SCHEMA}.{drift.table}", name)
        if table is None or row is None:
            return
        if not await self._connection.fetchval(f"SELECT EXISTS (SELECT FROM {row['parent']})"):  # noqa: S608 - a name out of the catalogue
            raise _NotNowError(f"{row['parent']} is empty: what refers to it is no orphan; restore it first")
        match = " AND ".join(
            f"parent.{quoted(theirs)} = lost.{quoted(own)}"
            for own, theirs in zip(row["own"], row["theirs"], strict=True)
        )
        present = " AND ".join(f"lost.{quoted(own)} IS NOT NULL" for own in row["own"])
        orphaned = f"WHERE {present} AND NOT EXISTS (SELECT FROM {row['parent']} AS parent WHERE {match})"
        await self._quarantine(table, orphaned, f"nothing in {row['parent']} that it refers to ({name})")

    async def _quarantine(self, table: Table, where: str, why: str) -> None:
        """Move rows out of a table, the immutable ones too; `where` speaks of them as `lost`."""
        owner = table_name(table.name)
        guards = [one.name for one in table.triggers if "refuse_change()" in one.definition]
        there = self._found.catalogue.table(table.name)
        present = {one.name for one in there.triggers if one.on} if there is not None else set()
        await self._connection.execute(
            "INSERT INTO layout_mutation.quarantines (id, change, content, at) "  # noqa: S608 - names out of our catalogue
            "SELECT gen_random_uuid()::text, nextval('layout_mutation.changes'), "
            f"json_build_object('relation', $1::text, 'why', $2::text, 'row', row_to_json(lost)), now() FROM {owner} AS lost {where}",
            table.name,
            why,
        )
        for name in present.intersection(guards):
            await self._connection.execute(f"ALTER TABLE {owner} DISABLE TRIGGER {quoted(name)}")
        await self._connection.execute(f"DELETE FROM {owner} AS lost {where}")  # noqa: S608
        for name in present.intersection(guards):
            await self._connection.execute(f"ALTER TABLE {owner} ENABLE TRIGGER {quoted(name)}")

    async def _keep(self, drift: Drift) -> None:
        """Put aside what was replaced: somebody may have meant it."""
        await self._connection.execute(
            "INSERT INTO layout_mutation.quarantines (id, change, content, at) VALUES (gen_random_uuid()::text, "
            "nextval('layout_mutation.changes'), json_build_object('relation', $1::text, 'why', $2::text, 'former', $3::text), now())",
            drift.subject,
            drift.kind,
            drift.former,
        )

    async def _write_down_migrations(self) -> None:
        """The list of migrations was lost while all that they make is there: it is as this program knows it."""
        for migration in files.read():
            await self._connection.execute(
                "INSERT INTO layout_mutation.schema_migrations (number, name, checksum, duration_ms) VALUES ($1, $2, $3, 0) "
                "ON CONFLICT DO NOTHING",
                migration.number,
                migration.name,
                migration.checksum,
            )


class _NotNowError(Exception):
    """A repair that would do harm as things are; the message says what is missing."""


def _names(definition: str, column: str) -> bool:
    """Whether a definition speaks of a column."""
    return re.search(rf"\b{re.escape(column)}\b", definition) is not None


def harmful(drifts: Iterable[Drift]) -> tuple[Drift, ...]:
    """Those that the service may misbehave by."""
    return tuple(drift for drift in drifts if drift.harmful)


_REFERENCE = """
SELECT x.confrelid::regclass::text AS parent,
    (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(x.conkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute a ON a.attrelid = x.conrelid AND a.attnum = k.number) AS own,
    (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(x.confkey) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute a ON a.attrelid = x.confrelid AND a.attnum = k.number) AS theirs
FROM pg_constraint x WHERE x.conrelid = $1::text::regclass AND x.conname = $2
"""

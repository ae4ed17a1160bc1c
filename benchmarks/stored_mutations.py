"""A database as a large shop has it after years: mutations with their versions and audit, written by COPY.

Counterpart: `benchmarks.database` and `tests/control_plane/store/test_size.py` ask it. Never: a database that holds
anything else.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from control_plane import codec
from control_plane.store import Kind, Reader
from control_plane.store.postgres.reader import PostgresReader
from rules.model import LayoutMutation

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SITES, LAYOUTS, PAGES, TEAMS = 20, 50, 1_000, 50
WORDS = ("banner", "checkout", "headline", "shipping", "teaser", "voucher", "winter", "wizard")


def mutation(number: int, *, on: bool, archived: bool = False) -> LayoutMutation:
    """One of many, none equal to another."""
    operation = {
        "verb": "setText",
        "target": {"selector": f".card-{number % 97} h1"},
        "content": {"text": f"New headline {number}"},
    }
    given = {
        "id": f"m{number:07}",
        "name": f"{WORDS[number % len(WORDS)].title()} of card {number}",
        "note": f"asked for by team {number % TEAMS}",
        "site": f"shop{number % SITES}.example",
        "layoutId": f"layout-{number % LAYOUTS}",
        "pageSlug": f"/p/{number % PAGES}",
        "mutationType": "set",
        "mutationPayload": {"operations": [operation]},
        "conditions": {"country": {"$in": ["AT", "DE"]}} if number % 3 == 0 else {},
        "isActive": on,
        "status": "archived" if archived else "active" if on else "draft",
    }
    converted: LayoutMutation = msgspec.convert(given, LayoutMutation)
    return converted


async def fill(connection: "asyncpg.Connection[asyncpg.Record]", count: int, *, versions: int, active: int) -> None:
    """Write `count` mutations of so many versions each; the last `active` of them were always on, of the others a tenth is archived.

    The schema is there and empty. Takes about a minute for 100,000 with 10 versions.
    """
    await connection.execute(
        "SET session_replication_role = replica"
    )  # foreign keys hold, as everything is written here
    documents = (mutation(n, on=n >= count - active, archived=n % 10 == 0 and n < count - active) for n in range(count))
    rows = ((one.id, versions, n + 1, codec.encode(one).decode()) for n, one in enumerate(documents))
    await connection.copy_records_to_table(
        "mutations", schema_name="layout_mutation", columns=["id", "version", "change", "content"], records=rows
    )
    await connection.execute(
        "INSERT INTO layout_mutation.mutation_versions (id, version, content, action, actor, reason, at) "
        "SELECT id, v, content, 'updated', 'somebody', '', $2::timestamptz + v * interval '1 hour' "
        "FROM layout_mutation.mutations, generate_series(1, $1) v",
        versions,
        NOW,
    )
    await _audit(connection, count)
    await connection.execute("SELECT setval('layout_mutation.changes', $1)", count)
    await connection.execute("RESET session_replication_role")
    await connection.execute("ANALYZE")


async def _audit(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    columns = [
        "number",
        "at",
        "actor",
        "role",
        "action",
        "kind",
        "subject",
        "reason",
        "version_before",
        "version_after",
    ]
    rows = (
        (
            *(n + 1, NOW + timedelta(seconds=n), "somebody", "admin", "updated"),
            *(Kind.MUTATION if n % 20 else Kind.MODULE, f"m{n:07}", "", 1, 2),
        )
        for n in range(count)
    )
    await connection.copy_records_to_table(
        "audit_entries", schema_name="layout_mutation", columns=columns, records=rows
    )
    await connection.execute("UPDATE layout_mutation.ledger SET audit_number = $1", count)


Question = Callable[[Reader, random.Random], Awaitable[object]]
LIMIT = 51  # a page of the lists, and one more to know whether there is another
LARGE = ("mutations", "mutation_versions", "audit_entries")
"""The tables that grow with the years."""


def questions(count: int) -> Mapping[str, Question]:
    """What the service asks of the store, each time about something else."""

    def some_id(chance: random.Random) -> str:
        return f"m{chance.randrange(count):07}"

    def page(filters: Callable[[random.Random], Mapping[str, object]], *, deep: bool = False) -> Question:
        def ask(reader: Reader, chance: random.Random) -> Awaitable[object]:
            before = chance.randrange(1, count) if deep else None
            return reader.page(Kind.MUTATION, filters(chance), before, LIMIT)

        return ask

    shown: dict[str, object] = {"not_status": "archived"}
    lists: dict[str, Question] = {
        "list": page(lambda _: shown),
        "list, from the middle": page(lambda _: shown, deep=True),
        "list of a site": page(lambda c: shown | {"site": f"shop{c.randrange(SITES)}.example"}, deep=True),
        "list of a layout": page(lambda c: shown | {"layout_id": f"layout-{c.randrange(LAYOUTS)}"}),
        "list of a page": page(lambda c: shown | {"page_slug": f"/p/{c.randrange(PAGES)}"}),
        "list of a module": page(lambda c: shown | {"module_id": f"module-{c.randrange(PAGES)}"}),
        "list of a type": page(lambda c: shown | {"mutation_type": c.choice(("set", "hide"))}),
        "list of what is on": page(lambda _: shown | {"active": True}, deep=True),
        "list of the archived": page(lambda _: {"status": "archived"}, deep=True),
        "list of a site and a page": page(
            lambda c: shown | {"site": f"shop{c.randrange(SITES)}.example", "page_slug": f"/p/{c.randrange(PAGES)}"}
        ),
        "search, one is found": page(lambda c: shown | {"text": f"card {c.randrange(count)}"}),
        "search, many are found": page(lambda c: shown | {"text": c.choice(WORDS)}),
        "search, none is found": page(lambda c: shown | {"text": f"zebra {c.randrange(count)}"}),
        "search, two letters": page(lambda c: shown | {"text": c.choice(("qq", "er", "7"))}),
    }
    return lists | {
        "one": lambda reader, chance: reader.find(Kind.MUTATION, some_id(chance)),
        "history": lambda reader, chance: reader.versions(Kind.MUTATION, some_id(chance)),
        "a version": lambda reader, chance: reader.version(Kind.MUTATION, some_id(chance), 3),
        "names": lambda reader, _: reader.names(Kind.MUTATION, 200),
        "audit": lambda reader, chance: reader.audit_page(None, None, chance.randrange(1, count), LIMIT),
        "audit of a mutation": lambda reader, chance: reader.audit_page("mutation", some_id(chance), None, LIMIT),
        "audit of an id": lambda reader, chance: reader.audit_page(None, some_id(chance), None, LIMIT),
        "audit of a kind": lambda reader, chance: reader.audit_page("module", None, chance.randrange(1, count), LIMIT),
        "was an experiment live": lambda reader, chance: reader.was_live(f"experiment-{chance.randrange(PAGES)}"),
        "publish: the newest table": lambda reader, _: reader.latest_table(),
        "publish: position": lambda reader, _: reader.position(),
    }


class Explained:
    """A connection that keeps the plan of each question in place of asking it."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", how: str = "COSTS OFF") -> None:
        """`how`: options of EXPLAIN."""
        self._connection = connection
        self._how = how
        self.plans: list[str] = []

    @property
    def reader(self) -> PostgresReader:
        """Asks over this connection."""
        connection: Any = self
        return PostgresReader(lambda: nullcontext(connection))

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        """No rows, but the plan."""
        rows = await self._connection.fetch(f"EXPLAIN ({self._how}) {query}", *values)
        self.plans.append("\n".join(row[0] for row in rows))
        return []

    async def fetchrow(self, query: str, *values: object) -> asyncpg.Record | None:
        """The row, and the plan."""
        await self.fetch(query, *values)
        return await self._connection.fetchrow(query, *values)

    async def execute(self, query: str) -> str:
        """A setting."""
        return await self._connection.execute(query)

    def transaction(self) -> Any:
        """The connection's own."""
        return self._connection.transaction()

    def scanned(self) -> list[str]:
        """Large tables that a plan goes through from end to end."""
        return [name for name in LARGE for plan in self.plans if f"Seq Scan on {name}" in plan]

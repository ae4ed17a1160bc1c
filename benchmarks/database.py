"""What PostgreSQL takes for a question and for publishing, with years of mutations in it.

    python -m benchmarks.database [--mutations 100000] [--versions 10] [--active 10000] [--rounds 100] [--json]

What runs: a PostgreSQL 18 of our own, filled by COPY. Each question of the service is asked so many times, each time about
something else, over one connection; the time is from asking until the rows are here. Then the same in a transaction
without the indexes of lists, words and texts, which is rolled back: there searching and `was an experiment live` read as
they did before there were any. At last a mutation is saved and published, among `--active` that are on.

How to read it:
    p50, p95            milliseconds with the indexes
    without             the median without them, of a few rounds, and how many times as long that is
    seq scan            a large table that the plan goes through from end to end; nothing where there is none
    publish             from the change to the signed table in the database; `nothing known` is what each took before changes
                        were taken apart alone, and `with a look at all` what each draft took

Never: a server that is somebody else's.
"""

import argparse
import asyncio
import base64
import json
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from benchmarks.paced import percentile
from benchmarks.stored_mutations import Explained, fill, mutation, questions
from control_plane import codec
from control_plane.alerts import Alerts
from control_plane.company import active
from control_plane.exchange import Exchange
from control_plane.intent import Action, Intent
from control_plane.publishing import Publishing
from control_plane.schema import address, runner
from control_plane.signing import Signer
from control_plane.store import Chain, Kind
from control_plane.store.postgres import PostgresStore
from control_plane.store.postgres.reader import PostgresReader
from control_plane.table_copy import TableCopy
from control_plane.tokens import Actor, Role
from layout_mutation.embedded.postgres import EmbeddedPostgres
from service.clock import now
from service.engine import engine
from service.keys import Keys

WRITE = (
    "UPDATE layout_mutation.mutations SET version = version + 1, change = nextval('layout_mutation.changes'), "
    "content = content WHERE id = $1"
)
ROUNDS_WITHOUT = 3  # some take seconds
PUBLISHED = 7
TEXT_BEFORE = "position(lower($1) IN lower(concat_ws(' ', id, content ->> 'name', content ->> 'note'))) > 0"
WAS_LIVE_BEFORE = (
    "SELECT EXISTS (SELECT 1 FROM layout_mutation.mutation_versions m WHERE position('\"' || $1 || '\"' IN m.content::text) > 0 "
    "AND (m.content ->> 'isActive')::boolean AND m.content ->> 'status' IN ('active', 'experimental'))"
)
LIST_BEFORE = (
    "SELECT id, version, content::text, deleted, change FROM layout_mutation.mutations WHERE NOT deleted "
    f"AND status <> 'archived' AND {TEXT_BEFORE} ORDER BY change DESC LIMIT 51"
)
INDEXES = (
    *("mutations_by_text", "mutations_present", "mutations_by_id", "mutations_by_site", "mutations_by_layout"),
    *("mutations_by_page", "mutations_by_type", "mutations_by_status", "mutations_on", "mutations_by_module"),
    *(
        "mutation_versions_by_word",
        "experiment_versions_by_word",
        "audit_entries_by_kind",
        "audit_entries_by_subject_alone",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--active", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="layout-mutation-database-"))
    folder.chmod(0o711)
    try:
        with EmbeddedPostgres(folder / "postgres", password=secrets.token_hex(16), durable=False) as server:
            found = asyncio.run(_measured(server.url, options))
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found) if options.json else _table(found))
    return 0


async def _measured(url: str, options: argparse.Namespace) -> dict[str, Any]:
    await runner.migrate(url)
    connection = await asyncpg.connect(url)
    try:
        started = time.perf_counter()
        await fill(connection, options.mutations, versions=options.versions, active=options.active)
        await connection.execute("VACUUM ANALYZE")
        filled = time.perf_counter() - started
        reader = PostgresReader(lambda: nullcontext(connection))
        asked = {**questions(options.mutations), "write: the present version": _write(connection, options.mutations)}
        served: Mapping[str, Any] = {"publish: what is on": lambda reader, _: reader.served()}
        rows = {
            name: await _timed(reader, question, options.rounds if name in asked else 20)
            for name, question in {**asked, **served}.items()
        }
        rows["publish: what is on"]["in_database_ms"] = await _in_database(connection)
        for name, question in {**questions(options.mutations), **served}.items():
            explained = Explained(connection)
            await question(explained.reader, random.Random(1))
            rows[name]["seq_scan"] = sorted(set(explained.scanned()))
        await _without_indexes(connection, rows, asked, options.mutations)
    finally:
        await connection.close()
    return {"filled_s": filled, "questions": rows, "publish": await _published(url, options)}


async def _timed(reader: PostgresReader, question: Any, rounds: int) -> dict[str, Any]:
    chance, times = random.Random(7), list[float]()
    for _ in range(rounds):
        started = time.perf_counter()
        await question(reader, chance)
        times.append((time.perf_counter() - started) * 1000)
    return {"p50_ms": statistics.median(times), "p95_ms": percentile(times, 0.95)}


def _write(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> Any:
    return lambda _, chance: connection.execute(WRITE, f"m{chance.randrange(count):07}")


async def _in_database(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    """The slowest in twenty of reading what is on, as the server sees it: until the rows are text, and not until they are
    here and made into objects."""
    explained = Explained(connection, how="ANALYZE, SERIALIZE TEXT, TIMING OFF, FORMAT JSON")
    for _ in range(20):
        await explained.reader.served()
    return percentile([json.loads(plan)[0]["Execution Time"] for plan in explained.plans], 0.95)


async def _without_indexes(
    connection: "asyncpg.Connection[asyncpg.Record]", rows: dict[str, Any], asked: Mapping[str, Any], count: int
) -> None:
    """The medians of before, into `rows`."""
    before: dict[str, Callable[[PostgresReader, random.Random], Awaitable[object]]] = dict(asked)
    for name, text in {
        "search, one is found": lambda c: f"card {c.randrange(count)}",
        "search, many are found": lambda c: "wizard",
        "search, none is found": lambda c: "zebra",
        "search, two letters": lambda c: "qq",
    }.items():
        before[name] = lambda _, chance, text=text: connection.fetch(LIST_BEFORE, text(chance))  # type: ignore[misc]
    before["was an experiment live"] = lambda *_: connection.fetch(WAS_LIVE_BEFORE, "experiment-1")
    transaction = connection.transaction()
    await transaction.start()
    try:
        for name in INDEXES:
            await connection.execute(f"DROP INDEX layout_mutation.{name}")
        reader = PostgresReader(lambda: nullcontext(connection))
        for name, question in before.items():
            rows[name]["without_ms"] = (await _timed(reader, question, ROUNDS_WITHOUT))["p50_ms"]
    finally:
        await transaction.rollback()


async def _published(url: str, options: argparse.Namespace) -> dict[str, float]:
    """Medians, in seconds, of saving something that visitors get, something that they don't, and the parts of the first."""
    ways = (
        ("publish", options.mutations - 1, True, False),
        ("publish, nothing known of the last time", options.mutations - 1, True, True),
        ("save a draft", 1, False, False),
        ("save a draft, with a look at all", 1, True, True),
    )
    versions: dict[int, int] = {}
    found: dict[str, list[float]] = {}
    async with _publishing(url) as (store, new):
        known = new()
        for turn, (what, number, reaches, forgets) in enumerate(way for _ in range(PUBLISHED) for way in ways):
            before = versions.setdefault(number, options.versions)
            versions[number] += 1
            saved = msgspec.structs.replace(mutation(number, on=number > 1), note=f"changed {turn} times")
            publishing = new() if forgets else known
            async with _taken(found, what), publishing.change(Intent(actor=Actor("me", Role.ADMIN))) as change:
                content = codec.encode(saved)
                await change.put(
                    Kind.MUTATION, saved.id, content, Action.UPDATED, before=before, reaches=reaches
                )  # `reaches` as control_plane.mutations says it
        async with _taken(found, "read and decode what is on"):
            await active(store)
    return {name: statistics.median(times) for name, times in found.items()}


@asynccontextmanager
async def _taken(found: dict[str, list[float]], what: str) -> AsyncIterator[None]:
    started = time.perf_counter()
    yield
    found.setdefault(what, []).append(time.perf_counter() - started)


@asynccontextmanager
async def _publishing(url: str) -> AsyncIterator[tuple[PostgresStore, Callable[[], Publishing]]]:
    """The service's own way to save and publish, made anew at each call; Redis is away, so that delivering waits for nothing."""
    store = PostgresStore(address.parse(url), connections_max=2, chain=Chain([secrets.token_bytes(32)]))
    await store.open()
    exchange = Exchange("redis://127.0.0.1:1/0", Keys("benchmark"))
    signer = Signer(base64.b64encode(secrets.token_bytes(32)).decode())
    with tempfile.TemporaryDirectory() as folder:

        def new() -> Publishing:
            copy = TableCopy(Path(folder))
            return Publishing(store, exchange, signer, copy, alerts=Alerts(), clock=now, engine=engine())

        try:
            yield store, new
        finally:
            await exchange.close()
            await store.close()


def _table(found: Mapping[str, Any]) -> str:
    lines = [
        f"filled in {found['filled_s']:.0f} s",
        f"{'':28}{'p50 ms':>9}{'p95 ms':>9}{'without':>10}{'ratio':>8}  seq scan",
    ]
    for name, row in found["questions"].items():
        without = row.get("without_ms")
        compared = f"{without:>10.1f}{without / row['p50_ms']:>8.1f}" if without is not None else f"{'':18}"
        lines.append(
            f"{name:28}{row['p50_ms']:>9.2f}{row['p95_ms']:>9.2f}{compared}  {', '.join(row.get('seq_scan', ()))}"
        )
    inside = found["questions"]["publish: what is on"]["in_database_ms"]
    lines.append(f"{'  of that in the database':28}{'':9}{inside:>9.2f}")
    lines += [f"{name:42}{seconds:>9.3f} s" for name, seconds in found["publish"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

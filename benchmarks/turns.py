"""What one publish takes from a worker's event loop: turns of a loop that always has something to do, while tables come in.

    python -m benchmarks.turns [--mutations 10000] [--publishes 10] [--json]

What runs: a Valkey of our own on core 1, and on core 0 this process, which follows tables as a worker does and beside that counts in
turns of a fifth of a millisecond, as requests would. Each table differs from the one before in one mutation. Unlike `publish`
it needs no load, origin or second core that all three share, so it says the same on a busy machine; what a visitor waits it does not say.

How to read it, medians of the publishes but the first two, which compile what there was not:
    lost        milliseconds that turns took longer than they do else, in the half second after a publish
    longest     the longest turn
    over 2 ms   how many took longer than that

Never: a table that did not come into force within that half second.
"""

import argparse
import asyncio
import base64
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
import uvloop
from msgspec import Struct, structs

from benchmarks.processes import LOAD_CPU, PROXY_CPU, pinned
from benchmarks.publish import Publisher
from layout_mutation.embedded.valkey import EmbeddedValkey
from service.engine import engine
from service.keys import Keys
from sidecar.tables.tables import Tables

STRETCH_S = 0.5
REST_S = 0.4
WORK = 3_000
"""Steps of a turn."""
LATE_S = 0.0003
"""A turn that is later than that waited for somebody."""
FIRST = 2


class Turns(Struct, frozen=True, rename="camel"):
    """Of the event loop after one publish, in milliseconds."""

    lost_ms: float
    longest_ms: float
    over_2_ms: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="layout-mutation-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs as somebody else where we are root
        server = EmbeddedValkey(folder / "valkey", password="benchmark", durable=False)
        with pinned(LOAD_CPU):
            server.start()
        try:
            with pinned(PROXY_CPU):
                found = uvloop.run(_measured(server.url, folder / "snapshot", options.mutations, options.publishes))
        finally:
            server.stop()
    medians = Turns(*(statistics.median(column) for column in zip(*map(structs.astuple, found), strict=True)))
    if options.json:
        print(json.dumps({name: round(value, 2) for name, value in msgspec.to_builtins(medians).items()}))
    else:
        print(
            f"{options.mutations:,} mutations, one changed: lost {medians.lost_ms:.1f} ms for each publish, "
            f"longest turn {medians.longest_ms:.1f} ms, {medians.over_2_ms:g} over 2 ms"
        )
    return 0


async def _measured(url: str, snapshot: Path, mutations: int, publishes: int) -> list[Turns]:
    publisher = Publisher(url, mutations)
    publisher.prepare(publishes + FIRST)
    tables = Tables(
        redis_url=url,
        keys=Keys("benchmark"),
        public_keys=[base64.b64decode(publisher.public_key)],
        snapshot_dir=snapshot,
        instance="benchmark",
        engine=engine(),
    )
    await tables.start()
    found: list[Turns] = []
    try:
        for _ in range(publishes + FIRST):
            await asyncio.sleep(REST_S)
            version = await asyncio.to_thread(publisher.publish)
            found.append(await _turns())
            if tables.current is None or tables.current.version != version:
                raise RuntimeError(f"table {version} is not in force after {STRETCH_S:g} s")
    finally:
        await tables.close()
    return found[FIRST:]


async def _turns() -> Turns:
    took: list[float] = []
    last = time.perf_counter()
    end = last + STRETCH_S
    while last < end:
        for _ in range(WORK):
            pass
        await asyncio.sleep(0)
        now = time.perf_counter()
        took.append(now - last)
        last = now
    usual = statistics.median(took)
    lost = sum(one - usual for one in took if one > usual + LATE_S)
    return Turns(lost * 1e3, max(took) * 1e3, sum(one > 0.002 for one in took))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.turns", description="What one publish takes from a worker's event loop."
    )
    parser.add_argument("--mutations", type=int, default=10_000, help="of each table (default 10,000)")
    parser.add_argument("--publishes", type=int, default=10, help="(default 10: a second each)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sys.exit(main())

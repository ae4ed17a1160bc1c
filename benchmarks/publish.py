"""What publishing costs the visitors: latencies while tables of 10,000 mutations come in, and while none does.

    python -m benchmarks.publish [--mutations 10000] [--rounds 5] [--every 10] [--stretch 10] [--share 0.5] [--json]

What runs: a Valkey of our own, the origin, and the sidecar with one worker on a core of its own. Its table has ten mutations
for each of a tenth as many pages; fifty of the pages are asked for in turn (10 KB each), by requests that leave when they are
due (`paced`), so many that they take half of the worker's core. A round is two stretches under the same load, one without a
publish and one with a new table `--every` so many seconds, which changes one page and has its own signature. Both are taken in
turn, so that what else the machine does falls on both. `--every 1 --stretch 4` is the hard form: a hundredth of a second is
a hundredth of the requests, so what a publish takes is the 99th percentile itself.
Valkey and who publishes share a core with the load, which they would not elsewhere: they give way to it, and in the quiet
stretches as large a table is written, and read again, where no sidecar looks.

How to read it:
    quiet, publishing   percentiles of all stretches of the kind together; `median` that of the stretches' percentiles
    moves               how much higher the 99th percentile is while tables come in
    in force            from the writing of a table until the worker says that it serves it

Never: a table that is served before it was verified, or a publish that is not one: each has another version and digest.
"""

import argparse
import base64
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import psutil
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import load
from benchmarks.paced import Pace, percentile
from benchmarks.processes import LOAD_CPU, Running, pinned, sidecar, started, stop_cleanly
from layout_mutation.embedded.valkey import EmbeddedValkey
from rules.compiler import compile_table
from rules.model import RulesFile, decode_rules
from rules.sealing import key_id, seal
from service.engine import engine
from service.keys import Keys

PER_PAGE = 10
PAGES_VISITED = 50
KILOBYTES = 10
IN_FORCE_S_MAX = 10.0
TRIED_S = 2
GIVES_WAY = 19
"""The niceness of whoever is not of the load."""


class Publisher:
    """Signs tables and puts them where the sidecar looks, as the control plane does."""

    def __init__(self, url: str, mutations: int) -> None:
        self._redis = redis.Redis.from_url(url)
        self._keys = Keys("benchmark")
        self._signing = Ed25519PrivateKey.generate()
        self._mutations = mutations
        self._version = 0
        self._ready: list[tuple[int, bytes]] = []
        self._last = b""

    @property
    def public_key(self) -> str:
        return base64.b64encode(self._signing.public_key().public_bytes_raw()).decode()

    def prepare(self, count: int) -> None:
        """Make so many tables now, so that nobody has to while figures are taken."""
        for _ in range(count):
            self._version += 1
            rules = rules_of(self._mutations, self._version)
            table = compile_table(rules, version=self._version, now=datetime.now(UTC), engine=engine())
            name = key_id(self._signing.public_key().public_bytes_raw())
            self._ready.append((self._version, seal(table, key_id=name, sign=self._signing.sign)))

    def publish(self) -> int:
        """The next table; its version."""
        version, sealed = self._ready.pop(0)
        self._last = sealed
        self._write(self._keys, version, sealed)
        return version

    def publish_elsewhere(self) -> None:
        """The last table once more, for a sidecar that is not there: written, and read as that would."""
        keys = Keys("elsewhere")
        self._write(keys, 1, self._last)
        self._redis.get(keys.table)

    def _write(self, keys: Keys, version: int, sealed: bytes) -> None:
        with self._redis.pipeline(transaction=True) as both:
            both.set(keys.table, sealed)
            both.set(keys.table_version, version)
            both.execute()
        self._redis.publish(keys.tables, version)


def rules_of(mutations: int, version: int) -> RulesFile:
    """Ten mutations for each page, one of them by an experiment, some for one kind of visitor; one differs by version."""
    number_of_pages = max(1, mutations // PER_PAGE)
    changed = version % min(PAGES_VISITED, number_of_pages)
    found = [
        _mutation(number, page, version if page == changed else 0)
        for number in range(mutations)
        for page in [number // PER_PAGE % number_of_pages]
    ]
    experiments = [
        {"id": f"e-{number}", "variations": [{"key": "control"}, {"key": "new"}]}
        for number in range(number_of_pages // 2 + 1)
    ]
    return decode_rules(msgspec.json.encode({"mutations": found, "experiments": experiments}))


def _mutation(number: int, page: int, version: int) -> dict[str, Any]:
    kind = number % PER_PAGE
    text = f"Offer {number} of version {version}"
    operation = {"verb": "setAttribute", "target": {"selector": "main"}, "name": f"data-{kind}", "value": text}
    common = {
        "id": f"mutation-{number}",
        "pageSlug": f"/same/{KILOBYTES}/{page}",
        "createdBy": "an author",
        "priority": kind,
    }
    if kind == 0:
        payload = {"experimentId": f"e-{page // 2}", "variations": {"control": {}, "new": {"operations": [operation]}}}
        return {**common, "mutationType": "variant", "mutationPayload": payload}
    conditions: dict[str, Any] = {"query.from": {"$ne": f"source-{number // 5}"}} if kind % 2 else {}
    return {**common, "conditions": conditions, "mutationType": "set", "mutationPayload": {"operations": [operation]}}


class Stretch(msgspec.Struct, frozen=True):
    """Latencies under one load, in milliseconds."""

    latencies_ms: list[float]
    in_force_ms: list[float]
    errors: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, return the exit code: 1 if something answered with an error."""
    options = _options(arguments)
    stop_cleanly()
    with pinned(LOAD_CPU), tempfile.TemporaryDirectory(prefix="layout-mutation-bench-") as folder:
        rate, kinds = measured(Path(folder), options)
    _print(options, rate, kinds)
    errors = sum(one.errors for stretches in kinds.values() for one in stretches)
    if errors:
        print(f"{errors} requests failed: these figures mean nothing", file=sys.stderr)
    return 1 if errors else 0


def measured(folder: Path, options: argparse.Namespace) -> tuple[float, dict[str, list[Stretch]]]:
    """Requests per second, and the stretches of both kinds."""
    each_stretch = max(1, int(options.stretch / options.every))
    kinds: dict[str, list[Stretch]] = {"quiet": [], "publishing": []}
    with _valkey(folder) as valkey:
        publisher = Publisher(valkey.url, options.mutations)
        publisher.prepare(1 + each_stretch * options.rounds)
        with _running(folder, valkey, publisher) as ours:
            _published(ours, publisher)
            targets = [f"/same/{KILOBYTES}/{page}" for page in range(min(PAGES_VISITED, options.mutations // PER_PAGE))]
            for target in targets * 3:
                urlopen(ours.address + target).read()
            rate = _rate(ours, targets, options.share)
            for _ in range(options.rounds):
                for kind, stretches in kinds.items():
                    pace = Pace(ours.address, targets, rate=rate, seconds=options.stretch)
                    is_quiet = kind == "quiet"
                    stretches.append(_stretch(ours, publisher, pace, each_stretch, options.every, is_quiet=is_quiet))
    return rate, kinds


@contextmanager
def _valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    folder.chmod(0o755)  # the server runs as somebody else where we are root
    server = EmbeddedValkey(folder / "valkey", password="benchmark", durable=False)
    with pinned(LOAD_CPU):
        server.start()
    psutil.Process(server.child.pid).nice(GIVES_WAY)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _running(folder: Path, valkey: EmbeddedValkey, publisher: Publisher) -> Iterator[Running]:
    with (
        started("benchmarks.origin", cpu=LOAD_CPU) as origin,
        sidecar(
            origin.address,
            folder / "sidecar",
            None,
            redis_url=valkey.url,
            snapshot_dir=str(folder / "sidecar"),
            table_public_keys=publisher.public_key,
        ) as ours,
    ):
        yield ours


def _rate(ours: Running, targets: Sequence[str], share: float) -> float:
    """Requests per second that take such a share of a core. One at a time costs more than many at once: so it is tried
    with a share of the most that the sidecar can do, of which they take more."""
    rate = load.measure(ours.address + targets[0], TRIED_S).requests_per_s * share
    before = ours.cpu_s()
    asked = len(Pace(ours.address, targets, rate=rate, seconds=TRIED_S).figures().latencies_ms)
    return share * asked / (ours.cpu_s() - before)


def _stretch(
    ours: Running, publisher: Publisher, pace: Pace, publishes: int, every_s: float, *, is_quiet: bool
) -> Stretch:
    took: list[float] = []
    begun = time.monotonic() + 0.5 * every_s
    with ThreadPoolExecutor(1, initializer=_give_way) as somebody:
        for number in range(publishes):
            while (early := begun + number * every_s - time.monotonic()) > 0 and pace.running:
                time.sleep(min(early, 0.1))
            if is_quiet:
                somebody.submit(publisher.publish_elsewhere).result()
            else:
                took.append(somebody.submit(_published, ours, publisher).result())
    found = pace.figures()
    return Stretch(found.latencies_ms, took, found.errors)


def _give_way() -> None:
    """Let whoever has something to do on this thread's core have it first (Linux: a thread has a niceness of its own)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GIVES_WAY)


def _published(ours: Running, publisher: Publisher) -> float:
    """Milliseconds from the writing of the next table until the worker serves it."""
    begun = time.monotonic()
    version = publisher.publish()
    while (passed := time.monotonic() - begun) < IN_FORCE_S_MAX:
        with urlopen(f"{ours.address}/same/{KILOBYTES}/0") as answer:
            if f"table={version};" in (answer.headers["X-Layout-Mutation"] or ""):
                return passed * 1e3
        time.sleep(0.02)
    raise RuntimeError(f"table {version} is not in force after {IN_FORCE_S_MAX:g} s")


def _print(options: argparse.Namespace, rate: float, kinds: dict[str, list[Stretch]]) -> None:
    rows = {kind: _figures(stretches) for kind, stretches in kinds.items()}
    quiet, publishing = rows["quiet"], rows["publishing"]
    took = sorted(figure for one in kinds["publishing"] for figure in one.in_force_ms)
    result = {
        "mutations": options.mutations,
        "rate": round(rate),
        "publishes": len(took),
        "everySeconds": options.every,
        "inForceMs": round(statistics.median(took)),
        **rows,
        "moves": round(publishing["p99Ms"] / quiet["p99Ms"] - 1, 3),
        "movesMedian": round(publishing["medianP99Ms"] / quiet["medianP99Ms"] - 1, 3),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"{options.mutations:,} mutations, {len(took)} publishes, one in {options.every:g} s, in force after "
        f"{statistics.median(took):.0f} ms; {rate:,.0f} requests/s; milliseconds"
    )
    print(f"{'':12}{'p50':>8}{'p99':>8}{'p99.9':>8}{'median p50':>12}{'median p99':>12}")
    for kind, row in rows.items():
        print(
            f"{kind:12}{row['p50Ms']:>8.2f}{row['p99Ms']:>8.2f}{row['p999Ms']:>8.2f}"
            f"{row['medianP50Ms']:>12.2f}{row['medianP99Ms']:>12.2f}"
        )
    print(f"p99 moves by {result['moves']:+.0%}, that of the median stretch by {result['movesMedian']:+.0%}")


def _figures(stretches: Sequence[Stretch]) -> dict[str, float]:
    together = [figure for one in stretches for figure in one.latencies_ms]
    figures = {
        "p50Ms": percentile(together, 0.5),
        "p99Ms": percentile(together, 0.99),
        "p999Ms": percentile(together, 0.999),
        "medianP50Ms": statistics.median(percentile(one.latencies_ms, 0.5) for one in stretches),
        "medianP99Ms": statistics.median(percentile(one.latencies_ms, 0.99) for one in stretches),
    }
    return {name: round(value, 3) for name, value in figures.items()}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.publish", description="What publishing a large table costs the visitors."
    )
    parser.add_argument("--mutations", type=int, default=10_000, help="of each table (default 10,000)")
    parser.add_argument("--rounds", type=int, default=5, help="two stretches each (default 5: 100 s)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two publishes (default 10)")
    parser.add_argument("--stretch", type=float, default=10.0, help="seconds (default 10)")
    parser.add_argument("--share", type=float, default=0.5, help="of the worker's core (default 0.5)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

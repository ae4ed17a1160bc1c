"""How long one decision takes, by the size of the table; and what a table costs to load and to keep.

    python -m benchmarks.decide [--sizes 100 1000 10000 100000] [--visits 20000] [--json]

A table of 10,000 active mutations has 1,000 pages, 500 experiments and 2,000 distinct conditions, and the other sizes have
them in proportion: each page has ten mutations, nine with a condition and one of an experiment. Visits fulfil the
conditions, so ten predicates are asked and ten mutations apply: what is decided costs the same at every size, and what
grows is the table alone.

Each size is measured in a process of its own, which gets the sealed bytes of a table that this very engine has checked.
Decisions are told in processor time, so that a busy machine's other programs don't count.

- *load*: the bytes verified (with a signature that is not looked at), decoded and indexed, in milliseconds.
- *first*: the first visit of each page, which decodes and compiles its rows, in microseconds.
- *decide*: visits of pages at random afterwards, in microseconds; also of a page that no rule names.
- *MB*: resident memory above that of the program without a table, once it is loaded, and when every row is compiled.
- *whole*: the same table as if another engine had checked it, so that all is compiled before the first visit.

Never: rewriting, or the making of a context.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.model import RulesFile, decode_rules
from rules.sealing import seal, unseal
from rules.table import UNCHECKED, DecisionTable
from service.engine import engine

SIZES = (100, 1_000, 10_000, 100_000)
PER_PAGE = 10
CONDITIONS = 5
"""Mutations by distinct condition."""
EXPERIMENTS = 20
"""Mutations by experiment."""
ATTRIBUTES = {
    "language": "de",
    "country": "DE",
    "mobile": False,
    "lm_uid": "0196f3a0-visitor",
    "query": {"from": "news"},
}
HEADINGS = {
    "mutations": "mutations",
    "megabytes": "table MB",
    "load_ms": "load ms",
    "whole_ms": "whole ms",
    "first_us": "first µs",
    "median_us": "decide µs",
    "p99_us": "p99 µs",
    "none_us": "no rule µs",
    "loaded_mb": "loaded MB",
    "all_mb": "all MB",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _options(arguments)
    if options.child:
        print(json.dumps(_measured(options.child, options.visits)))
        return 0
    rows = [_in_a_process(size, options.visits) for size in options.sizes]
    if options.json:
        print(json.dumps(rows))
        return 0
    print("  ".join(f"{heading:>10}" for heading in HEADINGS.values()))
    for row in rows:
        print("  ".join(f"{row[name]:>10,}" for name in HEADINGS))
    return 0


def _in_a_process(size: int, visits: int) -> dict[str, Any]:
    table = compile_table(_rules(size), version=1, now=datetime.now(UTC), engine=engine())
    with tempfile.TemporaryDirectory() as folder:
        sealed = Path(folder, "table")
        sealed.write_bytes(seal(table, key_id="benchmark", sign=lambda _: b"signature"))
        del table
        command = [sys.executable, "-m", "benchmarks.decide", "--child", str(sealed), "--visits", str(visits)]
        answer = subprocess.run(command, check=True, capture_output=True)
        found: dict[str, Any] = msgspec.json.decode(answer.stdout)
        return found


def _measured(file: Path, visits: int) -> dict[str, Any]:
    named = engine()
    before = _resident_mb()
    sealed = file.read_bytes()
    megabytes = len(sealed) / 1e6
    table, load_s = _loaded(sealed, named)
    del sealed
    loaded_mb = _resident_mb() - before
    pages = [*range(max(1, table.size // PER_PAGE))]
    first = sorted(_visit_us(table, page) for page in pages)
    all_mb = _resident_mb() - before
    chance = Random(1)
    later = sorted(_visit_us(table, chance.choice(pages)) for _ in range(visits))
    none = sorted(_visit_us(table, -1 - number) for number in range(visits))
    size = table.size
    del table
    _, whole_s = _loaded(file.read_bytes(), UNCHECKED)
    figures = {
        "megabytes": megabytes,
        "load_ms": load_s * 1e3,
        "whole_ms": whole_s * 1e3,
        "first_us": _at(first, 0.5),
        "median_us": _at(later, 0.5),
        "p99_us": _at(later, 0.99),
        "none_us": _at(none, 0.5),
        "loaded_mb": loaded_mb,
        "all_mb": all_mb,
    }
    return {"mutations": size, **{name: round(figure, 1) for name, figure in figures.items()}}


def _loaded(sealed: bytes, named: str) -> tuple[DecisionTable, float]:
    begun = time.perf_counter()
    table = unseal(sealed, verify=lambda *_: True, engine=named)
    return table, time.perf_counter() - begun


def _visit_us(table: DecisionTable, page: int) -> float:
    context = Context(site="shop.example", path=f"/offers/{page}", attributes=ATTRIBUTES)
    begun = time.thread_time()
    decision = decide(table, context)
    spent = time.thread_time() - begun
    assert len(decision.outcomes) == (0 if page < 0 else min(PER_PAGE, table.size))
    return spent * 1e6


def _at(figures: list[float], share: float) -> float:
    return figures[min(len(figures) - 1, int(len(figures) * share))]


def _resident_mb() -> float:
    """What the process has in memory; 0 where the system does not say so in /proc."""
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 / 1e6 if statm.exists() else 0.0


def _rules(size: int) -> RulesFile:
    experiments = [
        {"id": f"e-{number}", "variations": [{"key": "control"}, {"key": "new"}]}
        for number in range(max(1, size // EXPERIMENTS))
    ]
    mutations = [_mutation(number, size, len(experiments)) for number in range(size)]
    return decode_rules(msgspec.json.encode({"mutations": mutations, "experiments": experiments}))


def _mutation(number: int, size: int, experiments: int) -> dict[str, Any]:
    pages, kind = max(1, size // PER_PAGE), number % PER_PAGE
    page, condition = number // PER_PAGE % pages, number % max(1, size // CONDITIONS)
    operation = {
        "verb": "setText",
        "target": {"selector": f"#part-{kind}"},
        "content": {"text": f"An offer for page {page}"},
    }
    common = {"id": f"mutation-{number}", "pageSlug": f"/offers/{page}", "createdBy": "an author", "priority": kind}
    if kind == 0:
        payload = {
            "experimentId": f"e-{page % experiments}",
            "variations": {"control": {}, "new": {"operations": [operation]}},
        }
        return {**common, "mutationType": "variant", "mutationPayload": payload}
    conditions = {"country": {"$in": ["DE", f"country-{condition}"]}, "query.from": {"$ne": f"source-{condition}"}}
    if kind % 2:
        conditions = {"language": "de", "mobile": False, "lm_uid": {"$ne": f"visitor-{condition}"}}
    return {**common, "conditions": conditions, "mutationType": "set", "mutationPayload": {"operations": [operation]}}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description="What a table costs, by its size.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="mutations (default 100 to 100,000)")
    parser.add_argument("--visits", type=int, default=20_000, help="decisions for each figure (default 20,000)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""How long one decision takes, by the size of the table.

    python -m benchmarks.decide [--rounds 2000] [--json]

Tables of 10, 100 and 1,000 mutations over as many pages: each mutation has a page of its own below `/offers`, one in ten
has a condition on the visit's language. Three visits are decided against each table: of a page with one mutation, of a
page without any in the same section, and of a section that no rule names. Rules are indexed by the first segment of
their page, so the last is free; within one section the cost grows with its rules, and this table, with every rule in one
section, is the worst case.

How to read it: µs for one `rules.decision.decide`, the fastest of five runs. A request costs the sidecar some 200 µs in
all. Compiling (a table is compiled when it comes into force, in a thread) is there to compare with.
Never: rewriting, or the making of a context.
"""

import argparse
import json
import sys
import time
import timeit
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.model import RulesFile, decode_rules

SIZES = (10, 100, 1_000)
RUNS = 5
VISITS = {"one rule applies": "/offers/{}", "no rule for the page": "/offers/none", "another section": "/blog/none"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _options(arguments)
    rows = [row for size in SIZES for row in _measured(size, options.rounds)]
    if options.json:
        print(json.dumps(rows))
        return 0
    print(f"{'mutations':>10}  {'visit':24}{'µs':>10}")
    for row in rows:
        print(f"{row['mutations']:>10,}  {row['what']:24}{row['microseconds']:>10,.1f}")
    return 0


def _measured(size: int, rounds: int) -> list[dict[str, object]]:
    rules_file = _rules(size)
    begun = time.perf_counter()
    table = compile_table(rules_file, version=1, now=datetime.now(UTC))
    rows = [_row(size, "(compiling the table)", time.perf_counter() - begun)]
    for what, path in VISITS.items():
        context = Context(site="shop.example", path=path.format(size // 2), attributes={"language": "de"})
        runs = timeit.repeat(partial(decide, table, context), number=rounds, repeat=RUNS)
        rows.append(_row(size, what, min(runs) / rounds))
    return rows


def _row(size: int, what: str, seconds: float) -> dict[str, object]:
    return {"mutations": size, "what": what, "microseconds": round(seconds * 1e6, 2)}


def _rules(size: int) -> RulesFile:
    payload = {"operations": [{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "New"}}]}
    mutations = [
        {
            "id": f"m-{number}",
            "pageSlug": f"/offers/{number}",
            "conditions": {"language": {"$in": ["de", "at"]}} if number % 10 == 0 else {},
            "mutationType": "set",
            "mutationPayload": payload,
        }
        for number in range(size)
    ]
    return decode_rules(msgspec.json.encode({"mutations": mutations}))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decide", description="Microseconds per decision.")
    parser.add_argument("--rounds", type=int, default=2000, help="decisions per run (default 2000)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""Requests per second and latencies of the sidecar, beside the origin itself and a bare proxy, all from one run.

    python -m benchmarks.proxy [--seconds 3] [--sizes 10,50,100] [--json]        (`make bench` without arguments)

What runs: an origin of our own (`origin`), a bare aiohttp proxy (`floor`), and the sidecar with one worker, as
`python -m sidecar` starts it, with a table of three edits; twice, since pages can be parsed in a child process (`child`,
the default) or inside the worker (`inline`). Each proxy has one core, child included; 32 connections ask as fast as they
are answered, one row at a time. The rows of one page size are measured in turn, a second each, several times over, and a
row shows the median: what else the machine does meanwhile falls on all of them.

How to read it:
    origin, direct      what the load and the origin can do; far above the rest, or the rest is not worth reading
    bare proxy          the floor: what a proxy on aiohttp and uvloop costs before it does anything
    pass-through        a page that no rule is for, with a table in force
    first seen          each response is parsed and rewritten, as a page that nothing is known of
    token               each response differs by a token from the ones before: its edits come from the skeleton
    repeated            the same page again: it comes from the memo
    CPU µs              processor time that the server itself and its child used for one request: what stays the same
                        when the machine is busy with other things, too
    of floor/of origin  requests per second as a share of those rows'. Only these compare with another run or machine

Never: a figure without the floor beside it.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks import load, pages
from benchmarks.processes import LOAD_CPU, PROXY_CPU, Running, sidecar, started, stop_cleanly

ORIGIN = "origin, direct"
FLOOR = "bare proxy"
PARSES_EACH = {"skeleton_bytes_max": "0"}
RULES_FOR = ("/same/**", "/token/**")


class Subject(Struct, frozen=True):
    """What one row measures: the size is added to `path`."""

    server: Running
    path: str


class Row(Struct, frozen=True):
    """The median of several measurements of one subject."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, return the exit code: 1 if something answered with an error."""
    options = _options(arguments)
    stop_cleanly()
    with tempfile.TemporaryDirectory(prefix="layout-mutation-bench-") as folder, _subjects(Path(folder)) as subjects:
        results: dict[int, dict[str, Row]] = {}
        for size in options.sizes:
            results[size] = _measured(subjects, size, options.seconds)
            if not options.json:
                _print(size, results[size], heading=len(results) == 1)
    if options.json:
        print(json.dumps(_as_json(results)))
    errors = sum(row.errors for rows in results.values() for row in rows.values())
    if errors:
        print(f"{errors} requests failed: these figures mean nothing", file=sys.stderr)
    return 1 if errors else 0


@contextmanager
def _subjects(folder: Path) -> Iterator[dict[str, Subject]]:
    """Everything that is measured, running."""
    with ExitStack() as stack:
        origin = stack.enter_context(started("benchmarks.origin", cpu=LOAD_CPU))
        floor = stack.enter_context(started("benchmarks.floor", origin.address, cpu=PROXY_CPU))
        table = pages.table(*RULES_FOR)
        child, inline, parsing_child, parsing_inline = (
            stack.enter_context(sidecar(origin.address, folder / name, table, rewrite_inline=inline, **settings))
            for name, inline, settings in (
                ("child", "false", {}),
                ("inline", "true", {}),
                ("parsing-child", "false", PARSES_EACH),
                ("parsing-inline", "true", PARSES_EACH),
            )
        )
        yield {
            ORIGIN: Subject(origin, "/plain/"),
            FLOOR: Subject(floor, "/plain/"),
            "pass-through": Subject(child, "/plain/"),
            "first seen, child": Subject(parsing_child, "/token/"),
            "first seen, inline": Subject(parsing_inline, "/token/"),
            "token, child": Subject(child, "/token/"),
            "token, inline": Subject(inline, "/token/"),
            "repeated, child": Subject(child, "/same/"),
            "repeated, inline": Subject(inline, "/same/"),
        }


def _measured(subjects: dict[str, Subject], size: int, seconds: int) -> dict[str, Row]:
    """So many measurements of a second for each subject, taken in turn."""
    taken: dict[str, list[Row]] = {name: [] for name in subjects}
    for _ in range(seconds):
        for name, subject in subjects.items():
            taken[name].append(_row(subject, size))
    return {name: _median(rows) for name, rows in taken.items()}


def _row(subject: Subject, size: int) -> Row:
    before = subject.server.cpu_s()
    figures = load.measure(f"{subject.server.address}{subject.path}{size}", 1)
    return Row(
        requests_per_s=figures.requests_per_s,
        p50_ms=figures.p50_ms,
        p99_ms=figures.p99_ms,
        cpu_us=(subject.server.cpu_s() - before) / figures.requests * 1e6,
        errors=figures.errors,
    )


def _median(rows: Sequence[Row]) -> Row:
    return Row(
        requests_per_s=statistics.median(row.requests_per_s for row in rows),
        p50_ms=statistics.median(row.p50_ms for row in rows),
        p99_ms=statistics.median(row.p99_ms for row in rows),
        cpu_us=statistics.median(row.cpu_us for row in rows),
        errors=sum(row.errors for row in rows),
    )


def _print(size: int, rows: dict[str, Row], *, heading: bool) -> None:
    if heading:
        print(f"load by {load.tool()}, {load.CONNECTIONS} connections; the proxy on one core")
        print(
            f"{'page':8}{'what':20}{'req/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>9}{'of floor':>10}{'of origin':>11}"
        )
    for name, row in rows.items():
        print(
            f"{f'{size} KB':8}{name:20}{row.requests_per_s:>10,.0f}{row.p50_ms:>9.2f}{row.p99_ms:>9.2f}"
            f"{row.cpu_us:>9,.0f}{row.requests_per_s / rows[FLOOR].requests_per_s:>10.2f}"
            f"{row.requests_per_s / rows[ORIGIN].requests_per_s:>11.2f}",
            flush=True,
        )


def _as_json(results: dict[int, dict[str, Row]]) -> dict[str, object]:
    return {
        "load": load.tool(),
        "connections": load.CONNECTIONS,
        "rows": [
            {
                "kilobytes": size,
                "what": name,
                "requestsPerSecond": round(row.requests_per_s, 1),
                "p50Ms": round(row.p50_ms, 3),
                "p99Ms": round(row.p99_ms, 3),
                "cpuMicroseconds": round(row.cpu_us, 1),
                "ofFloor": round(row.requests_per_s / rows[FLOOR].requests_per_s, 3),
                "ofOrigin": round(row.requests_per_s / rows[ORIGIN].requests_per_s, 3),
                "errors": row.errors,
            }
            for size, rows in results.items()
            for name, row in rows.items()
        ],
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxy", description="How much of a bare proxy's speed the sidecar keeps."
    )
    parser.add_argument("--seconds", type=_positive, default=3, help="for each row and size (default 3: about 75 s)")
    parser.add_argument("--sizes", type=_sizes, default=[10, 50, 100], help="kilobytes (default 10,50,100)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _sizes(text: str) -> list[int]:
    return [_positive(part.strip()) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())

"""What a proxy adds to the time of a page at half of what it can do, beside the origin alone and a bare proxy.

    python -m benchmarks.latency [--rounds 5] [--size 100] [--share 0.5] [--json]

What runs is what `proxy` runs. First the most that each proxy can do, as there; then, for each of them, requests at half of
that rate (`paced`): a second of the origin itself, a second of the proxy, in turn, several times over, so that both see the
same machine. A row has the median of its seconds' percentiles: one in which something else took the core says nothing.

How to read it:
    rate                half of the row's own maximum, requests per second
    direct p50, p99     the origin at that rate, with what the load itself is late by
    p50, p99            through the proxy
    added               the difference of the two: what a visitor waits for the proxy's sake

Never: a latency of a full queue; those are in `proxy`.
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

from benchmarks import load, paced, pages
from benchmarks.paced import percentile
from benchmarks.processes import LOAD_CPU, PROXY_CPU, Running, sidecar, started, stop_cleanly


class Subject(Struct, frozen=True):
    """What one row measures: the size is added to `path`."""

    server: Running
    path: str


class Row(Struct, frozen=True):
    """Milliseconds, and requests per second."""

    rate: float
    direct_p50: float
    direct_p99: float
    p50: float
    p99: float
    errors: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, return the exit code: 1 if something answered with an error."""
    options = _options(arguments)
    stop_cleanly()
    with tempfile.TemporaryDirectory(prefix="layout-mutation-bench-") as folder, _running(Path(folder)) as running:
        origin, subjects = running
        rows = {name: _row(origin, subject, options) for name, subject in subjects.items()}
    if options.json:
        print(json.dumps([_as_json(name, options.size, row) for name, row in rows.items()]))
    else:
        _print(rows, options.size)
    errors = sum(row.errors for row in rows.values())
    if errors:
        print(f"{errors} requests failed: these figures mean nothing", file=sys.stderr)
    return 1 if errors else 0


@contextmanager
def _running(folder: Path) -> Iterator[tuple[Running, dict[str, Subject]]]:
    """The origin, and everything that is measured."""
    with ExitStack() as stack:
        origin = stack.enter_context(started("benchmarks.origin", cpu=LOAD_CPU))
        floor = stack.enter_context(started("benchmarks.floor", origin.address, cpu=PROXY_CPU))
        ours = stack.enter_context(sidecar(origin.address, folder / "child", pages.table("/same/**", "/token/**")))
        yield (
            origin,
            {
                "bare proxy": Subject(floor, "/plain/"),
                "pass-through": Subject(ours, "/plain/"),
                "token": Subject(ours, "/token/"),
                "repeated": Subject(ours, "/same/"),
            },
        )


def _row(origin: Running, subject: Subject, options: argparse.Namespace) -> Row:
    target = f"{subject.path}{options.size}"
    most = [load.measure(subject.server.address + target, 1) for _ in range(min(3, options.rounds))]
    rate = statistics.median(one.requests_per_s for one in most) * options.share
    errors = sum(one.errors for one in most)
    seconds: dict[str, list[tuple[float, float]]] = {"direct": [], "through": []}
    for _ in range(options.rounds):
        for name, server in (("direct", origin), ("through", subject.server)):
            found = paced.measure(server.address, [target], rate=rate, seconds=1)
            seconds[name].append((percentile(found.latencies_ms, 0.5), percentile(found.latencies_ms, 0.99)))
            errors += found.errors
    (direct_p50, direct_p99), (p50, p99) = (
        map(statistics.median, zip(*taken, strict=True)) for taken in seconds.values()
    )
    return Row(rate=rate, direct_p50=direct_p50, direct_p99=direct_p99, p50=p50, p99=p99, errors=errors)


def _print(rows: dict[str, Row], size: int) -> None:
    print(f"pages of {size} KB at a share of each row's maximum; milliseconds")
    print(f"{'what':16}{'rate':>8}{'direct p50':>12}{'p99':>8}{'p50':>8}{'p99':>8}{'added p50':>12}{'p99':>8}")
    for name, row in rows.items():
        print(
            f"{name:16}{row.rate:>8,.0f}{row.direct_p50:>12.2f}{row.direct_p99:>8.2f}{row.p50:>8.2f}{row.p99:>8.2f}"
            f"{row.p50 - row.direct_p50:>12.2f}{row.p99 - row.direct_p99:>8.2f}"
        )


def _as_json(name: str, size: int, row: Row) -> dict[str, object]:
    figures = {
        "rate": row.rate,
        "directP50Ms": row.direct_p50,
        "directP99Ms": row.direct_p99,
        "p50Ms": row.p50,
        "p99Ms": row.p99,
        "addedP50Ms": row.p50 - row.direct_p50,
        "addedP99Ms": row.p99 - row.direct_p99,
    }
    return {"kilobytes": size, "what": name, "errors": row.errors} | {
        name: round(value, 3) for name, value in figures.items()
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency", description="What the sidecar adds to a page's time at half load."
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="seconds for each row, and as many for the origin beside it"
    )
    parser.add_argument("--size", type=int, default=100, help="kilobytes (default 100)")
    parser.add_argument("--share", type=float, default=0.5, help="of each row's maximum (default 0.5)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

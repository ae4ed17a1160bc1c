"""What the child process costs: the same pages rewritten inline, in the child, and out of the memo, in one run.

    python -m benchmarks.isolation [--rounds 400]

Prints microseconds (p50, p99) per page of 10, 50 and 100 KB, and the ratio that counts. `wire` is the child asked for a
page in which it finds nothing to parse: the round trip alone. `token` is the memo's price for a page that differs in
every response: the miss and the doorkeeper's checksum, on top of the rewriting. One request at a time, so the figures are
latencies; a worker's throughput suffers less, for it works while the child does.
"""

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.model import decode_operations
from rules.reasons import Reason
from sidecar.processes.slots import worker_environment
from sidecar.rewriting import rewriter
from sidecar.rewriting.memo import Memo, MemoKey
from sidecar.rewriting.rewriting import Isolation, Rewriting

SIZES_KB = (10, 50, 100)
OPERATIONS = b"""[
  {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "New headline"}},
  {"verb": "addClass", "target": {"selector": ".card:first-child"}, "names": ["first"]},
  {"verb": "append", "target": {"selector": "footer"}, "content": {"html": "<p>Appended</p>"}}
]"""
GROUPS = (Group("benchmark", decode_operations(OPERATIONS)),)
KEY = MemoKey("shop.example/", "benchmark", "utf-8", None)
NOTHING = PassedThrough(reason=Reason.NOTHING_MATCHED)


def page(size_kb: int) -> bytes:
    """A shop's page of cards, at least so many kilobytes."""
    card = '<div class="card"><a href="/p/{0}"><img src="/i/{0}.jpg" alt="Product {0}"><h3>Product {0}</h3></a><p>{1}</p></div>'
    chance = random.Random(size_kb)
    cards: list[str] = []
    while sum(map(len, cards)) < size_kb * 1024:
        words = " ".join(chance.choice(("fine", "oak", "table", "für", "drei", "seats")) for _ in range(12))
        cards.append(card.format(len(cards), words))
    body = "".join(cards)
    return f"<!doctype html><title>Shop</title><h1>Old</h1><main>{body}</main><footer></footer>".encode()


async def microseconds(work: Callable[[], Awaitable[object]], rounds: int) -> tuple[float, float]:
    """p50 and p99 of one call, after a tenth of the rounds as warm-up."""
    taken: list[float] = []
    for number in range(rounds + rounds // 10):
        began = time.perf_counter()
        await work()
        if number >= rounds // 10:
            taken.append((time.perf_counter() - began) * 1e6)
    taken.sort()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


async def measure(size_kb: int, rounds: int) -> None:
    """One line of the table."""
    body = page(size_kb)
    # Equal, but not the same object, as two responses are: the memo has to compare them.
    bodies = itertools.cycle([bytes(bytearray(body)) for _ in range(3)])
    wire = (sys.executable, "-P", "-m", "benchmarks.isolation", "--echo")
    ways = {
        "inline": Rewriting(isolation=Isolation.INLINE, memo_bytes_max=0, skeleton_bytes_max=0),
        "child": Rewriting(memo_bytes_max=0, skeleton_bytes_max=0),
        "wire": Rewriting(memo_bytes_max=0, skeleton_bytes_max=0, command=wire),
        "memo": Rewriting(),
    }
    figures: dict[str, tuple[float, float]] = {}
    for name, rewriting in ways.items():
        await rewriting.start()

        async def once(rewriting: Rewriting = rewriting) -> None:
            answer = await rewriting.rewrite(KEY, next(bodies), GROUPS)
            assert isinstance(answer, Rewritten) or answer == NOTHING, answer

        figures[name] = await microseconds(once, rounds)
        await rewriting.close()
    figures["token"] = await microseconds(_token(body), rounds)
    columns = "".join(f"{p50:8.0f}/{p99:<6.0f}" for p50, p99 in figures.values())
    print(f"{size_kb:>4} KB{columns}{figures['child'][0] / figures['inline'][0]:8.2f}")


def _token(body: bytes) -> Callable[[], Awaitable[None]]:
    answer, memo = apply_groups(body, GROUPS, charset="utf-8"), Memo(64 * 1024 * 1024)

    async def once() -> None:
        fresh = body + os.urandom(16)
        memo.get(KEY, fresh)
        memo.put(KEY, fresh, answer)

    return once


async def compare(rounds: int) -> None:
    """The whole table."""
    print(f"{'page':>7}{'inline':>11}{'child':>15}{'wire':>14}{'memo':>15}{'token':>16}   child/inline   (p50/p99 µs)")
    for size_kb in SIZES_KB:
        await measure(size_kb, rounds)


def main() -> None:
    """Run it, on uvloop."""
    if "--echo" in sys.argv:
        rewriter.main([argument for argument in sys.argv[1:] if argument != "--echo"], apply=lambda *_, **__: NOTHING)
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks.isolation", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=400, help="pages of each kind (default 400)")
    options = parser.parse_args()
    if "MALLOC_TOP_PAD_" not in os.environ:  # glibc reads it once: without it, a worker's memory would be another one's
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.isolation", *sys.argv[1:]],
            worker_environment(os.environ),
        )
    uvloop.run(compare(options.rounds))


if __name__ == "__main__":
    main()

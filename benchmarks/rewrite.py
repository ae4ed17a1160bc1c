"""The rewriter alone, on real pages: ten operations spliced at source offsets, against what people use today.

    python -m benchmarks.rewrite [--pages FOLDER] [--rounds 5] [--json]

The same ten operations (`pages.TEN_EDITS`) on every page, each way in turn, and a page counts with the processor time of its
fastest round, so that what else the machine does falls out:
- *full path*: `rules.html.apply_groups` takes the whole way: charset, parse, find, edit, splice, and the proof where one is
  needed that the parser makes of the new bytes what was meant.
- *all but a token known*: the edits come from the page's skeleton (`rules.html.skeleton`), for a token not seen before. Where a
  page has no skeleton, it is the full path.
- *memo*: the finished page from `sidecar.rewriting.memo`, whose hit compares all bytes of a copy of the page.
- *selectolax*, which has no source offsets, parses, changes its tree and writes the whole page anew: at the price of every
  byte that it writes differently.
- *lol-html* streams through its Python binding, where that is installed (`benchmarks.rivals`). It knows no tree: what it
  writes may come out elsewhere, and nothing checks.
- *parse only*: a single parse with offsets; the full path divided by it says how many parses' worth of work a rewrite is.

Pages: HTML files of a folder, by default those of `../shared/corpus/pages` beside the clone; without that folder, pages
made here. How to read it: MB/s over all pages (large ones weigh more), µs for the median page, and how many times as fast as
selectolax in the same run.
Counterpart: `proxy`, which has work like this done behind HTTP. Never: a check of what comes out; tests do that.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import turbohtml

from benchmarks import pages, rivals
from rules.context import Context
from rules.decision import decide
from rules.html import Rewritten, apply_groups
from rules.html.lessons import gaps_between, learn
from rules.html.skeleton import Skeleton
from sidecar.rewriting.memo import Memo, MemoKey

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus" / "pages"
SELECTOLAX = "selectolax: parse, edit, serialise"
MEMO_BYTES = 256 * 1024 * 1024
_GROUPS = decide(pages.table("*", edits=pages.TEN_EDITS), Context(site="shop.example", path="/")).groups
_OPERATIONS = _GROUPS[0].operations

Prepare = Callable[[bytes], Callable[[], object]]
"""A page -> what is measured of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 2 where there are no pages."""
    options = _options(arguments)
    found = _pages(options.pages)
    if not found:
        print(f"benchmarks.rewrite: no .html files in {options.pages}", file=sys.stderr)
        return 2
    seconds_of = [_best(page, options.rounds) for page in found]
    best = {name: [of[name] for of in seconds_of] for name in WAYS}
    size = sum(map(len, found))
    refused = sum(not isinstance(apply_groups(page, _GROUPS, charset="utf-8"), Rewritten) for page in found)
    rows = [
        {
            "what": name,
            "megabytesPerSecond": round(size / 1e6 / sum(seconds), 1),
            "medianMicroseconds": round(statistics.median(seconds) * 1e6, 1),
            "timesSelectolax": round(sum(best[SELECTOLAX]) / sum(seconds), 2),
        }
        for name, seconds in best.items()
    ]
    if options.json:
        print(json.dumps({"pages": len(found), "bytes": size, "passedThrough": refused, "rows": rows}))
        return 0
    print(f"{len(found)} pages, {size / 1e6:.1f} MB, ten operations each; {refused} passed through unchanged")
    print(f"{'':40}{'MB/s':>10}{'µs, median page':>18}{'x selectolax':>15}")
    for row in rows:
        figures = f"{row['megabytesPerSecond']:>10}{row['medianMicroseconds']:>18}{row['timesSelectolax']:>15.2f}"
        print(f"{row['what']:40}{figures}")
    if not rivals.has_lolhtml:
        print("lol-html was not measured: python -m pip install python-lolhtml")
    return 0


def _full_path(page: bytes) -> Callable[[], object]:
    return lambda: apply_groups(page, _GROUPS, charset="utf-8")


def _memo(page: bytes) -> Callable[[], object]:
    memo, key = Memo(MEMO_BYTES), MemoKey("shop.example/", "ten", "utf-8", None)
    answer = apply_groups(page, _GROUPS, charset="utf-8")
    for _ in range(2):  # what was seen once is not kept
        memo.put(key, page, answer)
    again = bytes(bytearray(page))  # equal, but not the same object, as two responses are
    assert memo.get(key, again) is not None
    return lambda: memo.get(key, again)


def _skeleton(page: bytes) -> Callable[[], object]:
    base, other, fresh = (_with_token(page, token) for token in ("4b0f", "77ac19", "e2d90001"))
    gaps = gaps_between(base, other)
    lesson = gaps and learn(base, gaps, _GROUPS, charset="utf-8", with_nonce=False, apply=apply_groups)
    if not lesson:
        return lambda: apply_groups(fresh, _GROUPS, charset="utf-8")  # what the sidecar does then
    skeleton = Skeleton(base, lesson, "utf-8")
    return lambda: skeleton.fit(fresh, None)


def _with_token(page: bytes, token: str) -> bytes:
    """The page with a form's token in its head, or before everything where it has none."""
    head = page.lower().find(b"</head")
    at = max(head, 0)
    return page[:at] + f'<meta name="csrf-token" content="{token}">'.encode() + page[at:]


def _parse(page: bytes) -> Callable[[], object]:
    return lambda: turbohtml.parse(page.decode("latin-1"), source_locations=True, scripting=True)


WAYS: Mapping[str, Prepare] = {
    "rules.html: full path": _full_path,
    "rules.html: all but a token known": _skeleton,
    "rules.html: memo of finished pages": _memo,
    SELECTOLAX: lambda page: lambda: rivals.by_selectolax(page, _OPERATIONS),
    **({"lol-html: streamed": lambda page: lambda: rivals.by_lolhtml(page, _OPERATIONS)} if rivals.has_lolhtml else {}),
    "turbohtml: parse only": _parse,
}
"""What is measured, by name; a row is one line here."""


def _best(page: bytes, rounds: int) -> dict[str, float]:
    """Seconds of processor time of each way's fastest round on one page; the ways take turns."""
    ways = {name: prepare(page) for name, prepare in WAYS.items()}
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            fastest[name] = min(fastest[name], time.process_time() - begun)
    return fastest


def _pages(folder: Path | None) -> list[bytes]:
    if folder is None and not CORPUS.is_dir():
        print(f"there is no {CORPUS}: pages made here instead", file=sys.stderr)
        return [pages.listing(kilobytes) for kilobytes in (10, 20, 50, 100, 200, 500)]
    return [path.read_bytes() for path in sorted((folder or CORPUS).glob("*.html"))]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rewrite", description="The rewriter on real pages.")
    parser.add_argument("--pages", type=Path, help=f"folder of .html files (default {CORPUS})")
    parser.add_argument("--rounds", type=int, default=5, help="per page and way; the fastest counts (default 5)")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

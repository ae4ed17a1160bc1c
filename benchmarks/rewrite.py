"""The rewriter alone, on real pages: three edits spliced at source offsets, against parse, edit and serialise.

    python -m benchmarks.rewrite [--pages FOLDER] [--rounds 5] [--json]

`rules.html.apply_groups` takes the whole way (charset, parse, find, edit, splice, and the proof that the parser makes of the
new bytes what was meant). Selectolax, which has no source offsets, parses, changes its tree and writes the whole page
anew: the cheap way, at the price of every byte that it writes differently. `turbohtml, parse only` is what a single parse
with offsets costs, so the first row divided by it says how many parses' worth of work a rewrite is. The three take turns
on each page, and a page counts with its fastest round, so that what else the machine does falls out.

Pages: HTML files of a folder, by default those of `../shared/corpus/pages` beside the clone; without that folder, pages
made here. How to read it: MB/s over all pages (large ones weigh more), µs for the median page, and each way's time as a
multiple of selectolax's in the same run; below 1 is faster.
Counterpart: `proxy`, which has the same work done behind HTTP. Never: a check of what comes out; tests do that.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import turbohtml
from selectolax.lexbor import LexborHTMLParser

from benchmarks import pages
from rules.context import Context
from rules.decision import decide
from rules.html import Rewritten, apply_groups

CORPUS = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus" / "pages"
SELECTOLAX = "selectolax: parse, edit, serialise"
_GROUPS = decide(pages.table("*"), Context(site="shop.example", path="/")).groups


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 2 where there are no pages."""
    options = _options(arguments)
    found = _pages(options.pages)
    if not found:
        print(f"benchmarks.rewrite: no .html files in {options.pages}", file=sys.stderr)
        return 2
    best = {name: [_best(way, page, options.rounds) for page in found] for name, way in _WAYS.items()}
    size = sum(map(len, found))
    refused = sum(not isinstance(apply_groups(page, _GROUPS, charset="utf-8"), Rewritten) for page in found)
    rows = [
        {
            "what": name,
            "megabytesPerSecond": round(size / 1e6 / sum(seconds), 1),
            "medianMicroseconds": round(statistics.median(seconds) * 1e6, 1),
            "ofSelectolax": round(sum(seconds) / sum(best[SELECTOLAX]), 2),
        }
        for name, seconds in best.items()
    ]
    if options.json:
        print(json.dumps({"pages": len(found), "bytes": size, "passedThrough": refused, "rows": rows}))
        return 0
    print(f"{len(found)} pages, {size / 1e6:.1f} MB, three edits each; {refused} passed through unchanged")
    print(f"{'':40}{'MB/s':>8}{'µs, median page':>18}{'of selectolax':>16}")
    for row in rows:
        print(
            f"{row['what']:40}{row['megabytesPerSecond']:>8}{row['medianMicroseconds']:>18}{row['ofSelectolax']:>16.2f}"
        )
    return 0


def _rewrite(page: bytes) -> None:
    apply_groups(page, _GROUPS, charset="utf-8")


def _serialise(page: bytes) -> None:
    tree = LexborHTMLParser(page)
    if tree.body is not None:
        tree.body.attrs["data-x"] = "1"
    for heading in tree.css("h1"):
        heading.inner_html = "Benchmark headline"
    if tree.head is not None:
        style = tree.create_node("style")
        style.insert_child(".a{color:red}")
        tree.head.insert_child(style)
    (tree.html or "").encode("utf-8", "replace")


def _parse(page: bytes) -> None:
    turbohtml.parse(page.decode("latin-1"), source_locations=True, scripting=True)


_WAYS: dict[str, Callable[[bytes], None]] = {
    "rules.html: find, splice, prove": _rewrite,
    SELECTOLAX: _serialise,
    "turbohtml: parse only": _parse,
}


def _best(way: Callable[[bytes], None], page: bytes, rounds: int) -> float:
    """Seconds of the fastest round."""
    fastest = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        way(page)
        fastest = min(fastest, time.perf_counter() - begun)
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

"""Pages made to be slow, rewritten beside ordinary pages of their size: what each costs, and what was answered.

    python -m benchmarks.hostile [--rounds 3] [--only TEXT] [--json]

Each page has ten operations carried out on it, in one mutation each as in a real table, and so has a shop's listing of as
many bytes. How to read it: milliseconds of the fastest round, and their ratio; whatever an attacker writes, it should not be
far above 1. What is not here are pages with thousands of targets: those cost as much on a page that means well. `answer` is `applied` with how many of the ten, or the reason for which the page passed through.
Counterpart: `rewrite`, for pages as they are; `tests/benchmarks` holds the ratios to a bound.
Never: a page that says which of its parts is the bad one; every bound is met by each page alone.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks import pages
from rules import limits
from rules.context import Context
from rules.decision import decide
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.reasons import Reason

MEGABYTE = 1_000_000
BYTES_MAX = 12 * MEGABYTE
"""Raised for these pages, since some are larger than a page may be: that bound is no news."""
_PAGE = "<!doctype html><html><head><title>t</title></head><body{attributes}><h1>h</h1>{hostile}<footer>f</footer></body></html>"


def page(hostile: str, attributes: str = "") -> bytes:
    """A page with hostile markup between its headline and its footer, or among the attributes of its body."""
    return _PAGE.format(hostile=hostile, attributes=attributes).encode()


HOSTILE: Mapping[str, bytes] = {
    "40,000 nested <div>": page("<div>" * 40_000 + "</div>" * 40_000),
    "40,000 open <div>": page("<div>" * 40_000),
    "500 open <div>, then text": page("<div>" * 500 + "word " * 100_000),
    "5,000 nested <ul><li>": page("<ul><li>" * 5_000),
    "20,000 attributes of one tag": page("", "".join(f" a{number}=v" for number in range(20_000))),
    "20,000 classes of one tag": page("", ' class="' + "a " * 20_000 + '"'),
    "20,000 attributes of <aside>": page("<aside" + "".join(f" a{number}" for number in range(20_000)) + "></aside>"),
    "100,000 <p>": page("<p>x</p>" * 100_000),
    "100,000 open <p>": page("<p>x" * 100_000),
    "100,000 comments": page("<!--x-->" * 100_000),
    "5,000 misnested formatting triples": page("<b><i><u>x</b></i></u>" * 5_000),
    "5,000 misnested across blocks": page("<b><p><i>x</b></p></i>" * 5_000),
    "5,000 links in links": page("<a><div>x" * 5_000),
    "one text of 10 MB": page("x" * 10 * MEGABYTE),
    "one word of 3 MB of entities": page("&amp" * (3 * MEGABYTE // 4)),
    "3 MB of signs": page("<" * 3 * MEGABYTE),
    "10,000 nested <table>": page("<table><tr><td>" * 10_000),
    "20,000 tables in no cell": page("<table>" * 20_000),
    "20,000 words thrown out of a table": page("<table>" + "<b>x" * 20_000),
    "20,000 <select>": page("<select><option>x" * 20_000),
    "20,000 <svg> in <math>": page("<math><mi><svg><desc>" * 5_000),
    "10,000 nested <template>": page("<template>" * 10_000),
    "5,000 <aside> to remove": page("<aside>x" * 5_000),
    "<plaintext> and 1 MB": page("<plaintext>" + "<p>x</p>" * (MEGABYTE // 8)),
    "a comment without end": page("<!--" + "- " * 500_000),
    "5,000 <form> in <form>": page("<form><div></form>" * 5_000),
    "20,000 nested <button>": page("<button><span>" * 20_000),
}
"""What is hostile -> the page."""


class Measured(NamedTuple):
    """One hostile page beside an ordinary one of its size."""

    what: str
    kilobytes: int
    milliseconds: float
    ordinary_milliseconds: float
    answer: str

    @property
    def ratio(self) -> float:
        """How many times as long as the ordinary page."""
        return self.milliseconds / self.ordinary_milliseconds


def operations() -> list[Group]:
    """The ten operations of `pages.TEN_EDITS`, each a mutation of its own, so that none takes the others with it."""
    (whole,) = decide(pages.table("*", edits=pages.TEN_EDITS), Context(site="shop.example", path="/")).groups
    return [Group(str(number), (operation,)) for number, operation in enumerate(whole.operations)]


def measure(what: str, rounds: int = 3) -> Measured:
    """The fastest of some rounds of a hostile page and of an ordinary one, which take turns.

    Without collections of cyclic garbage, as `timeit` does: they take as long as the measuring process is large.
    """
    hostile, groups = HOSTILE[what], operations()
    ordinary = pages.listing(min(len(hostile), limits.PAGE_BYTES_MAX) // 1000)
    best = {hostile: float("inf"), ordinary: float("inf")}
    answer: Rewritten | PassedThrough | None = None
    collects = gc.isenabled()
    gc.disable()
    try:
        for one in (ordinary, hostile) * rounds:
            begun = time.process_time()
            answer = apply_groups(one, groups, charset="utf-8", page_bytes_max=BYTES_MAX)
            best[one] = min(best[one], time.process_time() - begun)
    finally:
        if collects:
            gc.enable()
    assert answer is not None
    return Measured(what, len(hostile) // 1000, best[hostile] * 1e3, best[ordinary] * 1e3, _told(answer))


def _told(answer: Rewritten | PassedThrough) -> str:
    applied = sum(outcome.reason is Reason.APPLIED for outcome in answer.outcomes)
    if isinstance(answer, Rewritten):
        return f"applied {applied}"
    return f"{answer.reason}: {answer.detail}" if answer.detail else answer.reason


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description="Pages made to be slow.")
    parser.add_argument("--rounds", type=int, default=3, help="per page; the fastest counts (default 3)")
    parser.add_argument("--only", default="", metavar="TEXT", help="pages whose description has this text")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    options = parser.parse_args(arguments)
    rows = [measure(what, options.rounds) for what in HOSTILE if options.only in what]
    if options.json:
        print(json.dumps([{**row._asdict(), "ratio": round(row.ratio, 2)} for row in rows]))
        return 0
    print(f"{len(rows)} pages; at most {limits.TAGS_MAX:,} tags and {limits.DEPTH_MAX} elements deep are parsed")
    print(f"{'':40}{'KB':>8}{'ms':>9}{'ordinary':>10}{'ratio':>7}  answer")
    for row in rows:
        figures = f"{row.kilobytes:>8}{row.milliseconds:>9.2f}{row.ordinary_milliseconds:>10.2f}{row.ratio:>7.2f}"
        print(f"{row.what:40}{figures}  {row.answer}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

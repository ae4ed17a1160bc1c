"""What does it cost to code a page, and how small does it get?

    python -m benchmarks.codings [--pages 40] [--json]

Pages of `../shared/corpus/pages` where that folder is there, else listings of 10, 50 and 100 KB. Each is coded whole, in
memory, by the libraries that the sidecar uses, in levels around those that it uses (`sidecar.heads.codings`).

How to read it: *ms* is the processor time for 100 KB of the median page, *share* what is left of all bytes together. A
level is worth its time where the bytes that it saves take longer on the wire: one KB takes 0.8 ms at 10 Mbit/s.
Counterpart: `proxy` has what the whole way of a page costs. Never: a level that is set by this; the sidecar's are constants.
"""

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import brotli
import zstandard
from isal import igzip

from benchmarks.pages import listing

PAGES = Path(__file__).resolve().parent.parent.parent / "shared" / "corpus" / "pages"
REPEATS = 3

Coder = Callable[[bytes], bytes]


def coders() -> dict[str, Coder]:
    """Name -> what codes a page. Compressors of zstd are kept, as the sidecar keeps its own."""
    found: dict[str, Coder] = {}
    for level in (0, 1, 2, 3):
        found[f"gzip (isal) {level}"] = lambda page, level=level: igzip.compress(page, level, mtime=0)  # type: ignore[misc]
    for level in (1, 6):
        found[f"gzip (zlib) {level}"] = lambda page, level=level: zlib.compress(page, level, 31)  # type: ignore[misc]
    for level in (1, 3, 6, 9, 12):
        found[f"zstd {level}"] = zstandard.ZstdCompressor(level=level).compress
    for quality in (1, 2, 3, 4, 5, 6):
        found[f"br {quality}"] = lambda page, quality=quality: brotli.compress(page, quality=quality)  # type: ignore[misc]
    return found


def measured(pages: Sequence[bytes], code: Coder) -> tuple[float, float]:
    """(milliseconds for 100 KB, share of the bytes that is left)."""
    took: list[float] = []
    left = 0
    for page in pages:
        fastest, size = float("inf"), 0
        for _ in range(REPEATS):
            began = time.process_time()
            size = len(code(page))
            fastest = min(fastest, time.process_time() - began)
        took.append(fastest * 1000 * 100_000 / len(page))
        left += size
    return median(took), left / sum(map(len, pages))


def sample(count: int) -> list[bytes]:
    """So many real pages, evenly over the folder, or the listings."""
    files = sorted(PAGES.rglob("*.html")) if PAGES.is_dir() else []
    pages = [file.read_bytes() for file in files[:: max(1, len(files) // count)]] if files else []
    pages = [page for page in pages if len(page) >= 2_000]
    return pages or [listing(kilobytes) for kilobytes in (10, 50, 100)]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=40, help="how many real pages [40]")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    arguments = parser.parse_args()
    pages = sample(arguments.pages)
    rows = {name: measured(pages, code) for name, code in coders().items()}
    if arguments.json:
        print(json.dumps({name: {"ms": ms, "share": share} for name, (ms, share) in rows.items()}))
        return 0
    print(f"{len(pages)} pages, {sum(map(len, pages)):,} bytes")
    print(f"{'coding and level':18} {'ms':>7} {'share':>7}")
    for name, (ms, share) in rows.items():
        print(f"{name:18} {ms:7.2f} {share:7.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

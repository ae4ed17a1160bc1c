"""The memory of a process that rewrites 100,000 pages stays what it was after the first thousands."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PAGES = 100_000
GROWTH_KILOBYTES_MAX = 5_000
"""From half way, when caches are full, to the end; a leak of 100 bytes for each page would be as much."""


@pytest.mark.timeout(0)
def test_memory_is_flat_over_100_000_pages(clone: Path, figures: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "tests.soak.many_pages", str(PAGES)]
    ran = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    resident: list[int] = json.loads(ran.stdout)
    figures(f"memory: resident kilobytes at each tenth of {PAGES:,} pages: {resident}")
    assert max(resident[5:]) - resident[4] < GROWTH_KILOBYTES_MAX, resident

"""For minutes on end: no exception, no page beyond its time, no byte changed outside the edits, no crash.

Two fuzzers: hypothesis with what the properties are made of and with mutated real pages; and atheris, guided by which
lines of Python were reached, in a process of its own. Run by `make soak`.
"""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.reasons import Reason
from tests.properties.exactness import assert_only_edits_changed
from tests.properties.markup import operations, pages
from tests.soak.mutations import mutated, seeds

EXAMPLES_AT_ONCE = 500
PAGE_SECONDS_MAX = 2.0
"""For a page of some kilobytes, on a machine that does much else: what hangs takes longer."""

GROUPS = st.lists(operations(), min_size=3, max_size=12).map(
    lambda found: [Group(str(index), (one,)) for index, one in enumerate(found)]
)
SEEDS = seeds()
MUTATED = st.builds(lambda seed: mutated(SEEDS, random.Random(seed)), st.integers(0, 2**64))


class Told:
    """What a fuzzer met."""

    def __init__(self) -> None:
        self.pages = self.rewritten = 0
        self.slowest_s = 0.0


@pytest.mark.timeout(0)
def test_no_page_is_too_odd(soak_seconds: float, figures: Callable[[str], None]) -> None:
    told, until = Told(), time.monotonic() + soak_seconds

    @settings(max_examples=EXAMPLES_AT_ONCE, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(
        st.one_of(pages(), st.tuples(MUTATED, st.sampled_from(["utf-8", None, "shift_jis", "windows-1252"]))), GROUPS
    )
    def hold(page: tuple[bytes, str | None], groups: list[Group]) -> None:
        tried(page, groups, told)

    while time.monotonic() < until:
        hold()
    figures(f"hypothesis: {told.pages:,} pages, {told.rewritten:,} rewritten, the slowest in {told.slowest_s:.3f} s")
    assert told.rewritten > told.pages / 50


def tried(page: tuple[bytes, str | None], groups: list[Group], told: Told) -> None:
    """One page: changed within its time and only where the edits are, or passed through for a reason."""
    begun = time.monotonic()
    result = apply_groups(page[0], groups, charset=page[1], nonce="n")
    took = time.monotonic() - begun
    told.pages += 1
    told.slowest_s = max(told.slowest_s, took)
    assert took < PAGE_SECONDS_MAX
    if isinstance(result, Rewritten):
        told.rewritten += 1
        assert_only_edits_changed(page[0], result)
        assert any(outcome.reason is Reason.APPLIED for outcome in result.outcomes)
    else:
        assert isinstance(result, PassedThrough)


@pytest.mark.timeout(0)
def test_coverage_finds_nothing_worse(
    soak_seconds: float, figures: Callable[[str], None], tmp_path: Path, clone: Path
) -> None:
    if not _has_atheris():
        pytest.skip("atheris is not installed (PyPI has it for Linux on x86-64, Python 3.11 to 3.13)")
    for number, page in enumerate(SEEDS):
        (tmp_path / f"{number}.html").write_bytes(page[:2000])
    limits = [
        f"-max_total_time={max(1, round(soak_seconds))}",
        f"-timeout={round(10 * PAGE_SECONDS_MAX)}",
        "-max_len=4096",
    ]
    command = [sys.executable, "-m", "tests.soak.guided", *limits, f"-artifact_prefix={tmp_path}/found-", str(tmp_path)]
    ran = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, "\n".join([*ran.stderr.splitlines()[-40:], *map(repr, _found(tmp_path))])
    figures(
        "atheris: " + " ".join(line for line in ran.stderr.splitlines() if "DONE" in line or line.startswith("Done"))
    )


def _found(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("found-*")]


def _has_atheris() -> bool:
    return subprocess.run([sys.executable, "-c", "import atheris"], capture_output=True, check=False).returncode == 0

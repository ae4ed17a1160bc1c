"""Malformed files of all kinds: each is refused with one line, the path, and what is allowed, in a time that its size bounds."""

import time
from datetime import UTC, datetime

import pytest

from rules import limits
from rules.compiler import compile_table
from rules.errors import RulesError
from rules.model import decode_rules
from tests.rules import malformed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CASES = [*malformed.files()]
SECONDS, SECONDS_PER_MEGABYTE = 8.0, 2.4
"""Of processor time: ten times what a quiet machine takes. What grows faster than a file does takes far more."""


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_malformed_file_is_one_line_in_time(case: malformed.Case) -> None:
    _, content, path, part = case
    data = content()
    begun = time.thread_time()
    with pytest.raises(RulesError) as caught:
        compile_table(decode_rules(data), version=1, now=NOW)
    spent = time.thread_time() - begun
    assert caught.value.path == path
    assert part in caught.value.problem
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 2 * limits.PROBLEM_CHARACTERS_MAX
    assert spent < SECONDS + len(data) / 1e6 * SECONDS_PER_MEGABYTE


def test_there_are_well_over_a_hundred() -> None:
    small = {data for _, content, _, _ in CASES if len(data := content()) < 1_000_000}
    assert len(small) > 200

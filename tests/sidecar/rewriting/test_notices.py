"""How it is said that something is held."""

import pytest
from structlog.testing import capture_logs

from sidecar.rewriting.notices import log_held, mutation_row, page_row
from sidecar.rewriting.quarantine import HeldMutation, Why, named


@pytest.mark.parametrize("why", list(Why))
def test_a_person_is_called_where_processes_end(why: Why) -> None:
    with capture_logs() as lines:
        log_held(HeldMutation("m", 3, why, 2, 1199.6))
    [line] = lines
    assert line["log_level"] == ("error" if why in {Why.KILLED, Why.HUNG} else "warning")
    assert (line["event"], line["mutation"], line["version"], line["why"], line["held_s"], line["offences"]) == (
        "mutation_held",
        "m",
        3,
        why.value,
        1200,
        2,
    )


def test_rows_for_operators_have_no_query() -> None:
    held = named("shop.example/a?who=me", "d1", Why.HUNG, 7)
    assert page_row(held) == {"page": "shop.example/a", "why": "hung", "table": 7, "offences": 0, "leftSeconds": 0}
    row = mutation_row(HeldMutation("m", 3, Why.SLOW, 1, 599.7))
    assert row == {"mutation": "m", "version": 3, "why": "slow", "offences": 1, "leftSeconds": 600}

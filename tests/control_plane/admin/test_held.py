"""What the reports of sidecars say of mutations that are skipped; some of it is nonsense."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.admin.held import CAUSES, UNKNOWN, WHY, Held, held_at, switched_off_at
from sidecar.rewriting.quarantine import Why

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def report(instance: str, minutes: int = 10, **changes: Any) -> dict[str, Any]:
    told = {"version": 2, "why": "slow", "until": (NOW + timedelta(minutes=minutes)).isoformat(), **changes}
    return {"instance": instance, "held": {"m": told}}


def test_workers_of_one_sidecar_are_one_and_the_latest_end_counts() -> None:
    found = held_at([report("a/:80/0"), report("a/:80/1", 20), report("b/:80/0", why="hung")], NOW)
    why = tuple(sorted((WHY["slow"], WHY["hung"])))
    assert found == {"m": Held(2, ("a/:80", "b/:80"), why, NOW + timedelta(minutes=20))}


def test_the_newest_version_counts() -> None:
    found = held_at([report("a/:80/0", version=3), report("b/:80/0"), report("c/:80/0", version=4)], NOW)
    assert (found["m"].version, found["m"].sidecars) == (4, ("c/:80",))


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"held": ["m"]},
        {"held": {"m": 1}},
        {"held": {"m": {"version": "2"}}},
        report("a/:80/0", until="soon"),
        report("a/:80/0", until="2026-11-24T00:00:00"),
        report("a/:80/0", -1),
    ],
    ids=["empty", "list", "number", "text", "no_time", "no_zone", "over"],
)
def test_what_is_no_report_or_over_is_left_out(nonsense: dict[str, Any]) -> None:
    assert held_at([nonsense], NOW) == {}


def test_sidecars_that_skip_everything_are_named_once_with_what_ends_it() -> None:
    reports: list[dict[str, Any]] = [
        {"instance": "a/:80/0", "switchedOff": ["file"]},
        {"instance": "a/:80/1", "switchedOff": ["signal", "file"]},
        {"instance": "b/:80/0", "switchedOff": []},
        {"instance": "c/:80/0", "switchedOff": "file"},
        {"instance": "d/:80/0", "switchedOff": ["new"]},
        {"instance": "e/:80/0"},
    ]
    found = switched_off_at(reports)
    assert found == {"a/:80": f"{CAUSES['signal']}, and {CAUSES['file']}", "d/:80": UNKNOWN}


def test_every_reason_has_words() -> None:
    assert set(WHY) == set(Why)
    assert held_at([report("a/:80/0", why="new")], NOW)["m"].why == (UNKNOWN,)

"""Schedules in the author's time zone, across daylight saving."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rules.errors import RulesError
from rules.model import Schedule
from rules.schedules import compile_schedule


def is_open(at: str, **fields: Any) -> bool:
    schedule = msgspec.convert({"timezone": "Europe/Berlin", **fields}, Schedule)
    opened = compile_schedule(schedule, "$")
    assert opened is not None
    return opened(datetime.fromisoformat(at))


MORNING = {"from": "09:00", "to": "10:00"}
NIGHT = {"from": "22:00", "to": "02:00"}


@pytest.mark.parametrize(
    ("at", "fields", "want"),
    [
        ("2026-03-28T08:30:00+00:00", {"hours": MORNING}, True),
        ("2026-03-29T08:30:00+00:00", {"hours": MORNING}, False),
        ("2026-03-29T07:30:00+00:00", {"hours": MORNING}, True),
        ("2026-10-25T08:30:00+00:00", {"hours": MORNING}, True),
        ("2026-10-24T08:30:00+00:00", {"hours": MORNING}, False),
        ("2026-03-28T08:00:00+00:00", {"hours": MORNING}, True),
        ("2026-03-28T09:00:00+00:00", {"hours": MORNING}, False),
        ("2026-03-27T21:30:00+00:00", {"hours": NIGHT, "daysOfWeek": ["fri"]}, True),
        ("2026-03-28T00:59:00+00:00", {"hours": NIGHT, "daysOfWeek": ["fri"]}, True),
        ("2026-03-28T01:00:00+00:00", {"hours": NIGHT, "daysOfWeek": ["fri"]}, False),
        ("2026-03-27T00:30:00+00:00", {"hours": NIGHT, "daysOfWeek": ["fri"]}, False),
        ("2026-03-27T22:59:00+00:00", {"daysOfWeek": ["fri"]}, True),
        ("2026-03-27T23:00:00+00:00", {"daysOfWeek": ["fri"]}, False),
        ("2026-03-27T23:00:00+00:00", {"hours": {"from": "22:00", "to": "00:00"}}, False),
        ("2026-03-27T22:59:00+00:00", {"hours": {"from": "22:00", "to": "00:00"}}, True),
        ("2026-01-01T00:00:00+00:00", {"startsAt": "2026-01-01T01:00:00+01:00"}, True),
        ("2025-12-31T23:59:59+00:00", {"startsAt": "2026-01-01T01:00:00+01:00"}, False),
        ("2026-01-01T00:00:00+00:00", {"endsAt": "2026-01-01T01:00:00+01:00"}, False),
        ("2025-12-31T23:59:59+00:00", {"endsAt": "2026-01-01T01:00:00+01:00"}, True),
    ],
)
def test_open_at(at: str, fields: dict[str, Any], want: bool) -> None:
    assert is_open(at, **fields) is want


def test_no_schedule_is_no_predicate() -> None:
    assert compile_schedule(None, "$") is None


def test_the_ends_of_time_are_closed_where_a_zone_has_none() -> None:
    opened = compile_schedule(Schedule(timezone="America/New_York"), "$")
    assert opened is not None
    assert not opened(datetime.min.replace(tzinfo=UTC))


@pytest.mark.parametrize("name", ["Mars/Base", "../etc", "Europe", "a\0b", "\udc80"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(RulesError, match="unknown time zone"):
        compile_schedule(Schedule(timezone=name), "$")

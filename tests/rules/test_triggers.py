"""What a schedule and its hours refuse when they are written."""

from datetime import UTC, datetime

import pytest

from rules.triggers import Hours, Schedule


def test_a_schedule_ends_after_it_starts() -> None:
    noon, evening = datetime(2026, 5, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 20, tzinfo=UTC)
    assert Schedule(starts_at=noon, ends_at=evening).timezone == "UTC"
    for ends_at in (noon, noon.replace(hour=8)):
        with pytest.raises(ValueError, match="`startsAt` must be earlier than `endsAt`"):
            Schedule(starts_at=noon, ends_at=ends_at)


def test_hours_are_a_window() -> None:
    assert Hours(since="22:00", until="06:00").until == "06:00"
    with pytest.raises(ValueError, match="leave `hours` out for the whole day"):
        Hours(since="08:00", until="08:00")

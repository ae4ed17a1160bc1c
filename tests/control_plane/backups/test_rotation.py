"""Which backups stay."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.backups.places import Found
from control_plane.backups.rotation import Keep, keep_of, superfluous

END = datetime(2030, 6, 15, 12, tzinfo=UTC)


def backup(at: datetime) -> Found:
    return Found(f"{at:%Y%m%dT%H%M}", 1, at, "7b0c6d0e", 1)


def left(found: list[Found], keep: Keep) -> list[Found]:
    gone = superfluous(found, keep)
    return [one for one in found if one not in gone]


def test_of_two_years_of_hours_a_week_a_month_and_a_year_stay() -> None:
    found = [backup(END - timedelta(hours=hours)) for hours in range(2 * 365 * 24)]
    stay = left(found, Keep(7, 4, 12))
    days = {one.made_at.date() for one in stay}
    assert {(END - timedelta(days=back)).date() for back in range(7)} <= days
    assert len({one.made_at.isocalendar()[:2] for one in stay if one.made_at > END - timedelta(days=29)}) >= 4
    assert {(one.made_at.year, one.made_at.month) for one in stay} == {
        ((2030, month)[0], month) for month in range(1, 7)
    } | {(2029, month) for month in range(7, 13)}
    assert 7 < len(stay) <= 7 + 4 + 12


def test_day_by_day_rotation_reaches_the_same_as_all_at_once() -> None:
    found: list[Found] = []
    for day in range(500):
        found = left([*found, backup(END + timedelta(days=day))], Keep(7, 4, 12))
    assert 20 <= len(found) <= 23
    assert min(one.made_at for one in found) < END + timedelta(days=200)


def test_the_newest_stays_however_little_is_kept() -> None:
    found = [backup(END), backup(END - timedelta(days=900))]
    assert left(found, Keep(0, 0, 1)) == found[:1]
    assert left(found[1:], Keep(0, 0, 0)) == found[1:]


def test_the_setting_is_words() -> None:
    assert keep_of("7 daily, 4 weekly, 12 monthly") == Keep(7, 4, 12)
    assert keep_of("30 daily") == Keep(30, 0, 0)
    for bad in ("", "7", "0 daily", "7 daily, 8 daily", "7 yearly"):
        with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_KEEP"):
            keep_of(bad)

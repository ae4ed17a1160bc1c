"""Which backups stay."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.backups.occasions import BEFORE_MIGRATION, BY_HAND
from control_plane.backups.places import Found
from control_plane.backups.rotation import Keep, keep_of, superfluous

END = datetime(2030, 6, 15, 12, tzinfo=UTC)


def backup(at: datetime, occasion: str = "") -> Found:
    return Found(f"{at:%Y%m%dT%H%M}{occasion}", 1, at, "7b0c6d0e", 1, occasion=occasion)


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


def test_those_made_for_an_occasion_are_kept_apart_each_kind_within_its_own_bound() -> None:
    days = [backup(END - timedelta(days=back)) for back in range(10)]
    by_hand = [backup(END - timedelta(days=back, hours=1), BY_HAND) for back in range(10)]
    migrations = [backup(END - timedelta(days=200 + back), BEFORE_MIGRATION) for back in range(3)]
    stay = left([*migrations, *by_hand, *days], Keep(2, 0, 0, apart=3))
    assert [one for one in stay if one in days] == days[:2], "those made by hand take no day from the regular ones"
    assert [one for one in stay if one in by_hand] == by_hand[:3]
    assert [one for one in stay if one in migrations] == migrations, "and each occasion counts by itself"


def test_of_the_regular_ones_the_newest_stays_behind_newer_ones_made_by_hand() -> None:
    found = [backup(END, BY_HAND), backup(END - timedelta(days=900))]
    assert left(found, Keep(0, 0, 0, apart=1)) == found


def test_the_setting_is_words() -> None:
    assert keep_of("7 daily, 4 weekly, 12 monthly") == Keep(7, 4, 12)
    assert keep_of("30 daily") == Keep(30, 0, 0)
    assert keep_of("30 daily", "2") == Keep(30, 0, 0, 2)
    for bad in ("0", "-1", "ten", "10000"):
        with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_KEEP_APART"):
            keep_of("1 daily", bad)
    for bad in ("", "7", "0 daily", "7 daily, 8 daily", "7 yearly"):
        with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_KEEP"):
            keep_of(bad)

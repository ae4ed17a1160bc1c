"""Schedules -> predicates over the time of a visit, in the author's time zone, across daylight saving.

Never: a clock; the time is handed in.
"""

from collections.abc import Callable
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rules.errors import RulesError
from rules.model import Schedule

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def compile_schedule(schedule: Schedule | None, path: str) -> Callable[[datetime], bool] | None:
    """A predicate over an aware datetime; None if there is no schedule. Raises RulesError for an unknown time zone.

    A window over midnight (22:00 to 02:00) belongs to the day on which it begins.
    """
    if schedule is None:
        return None
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RulesError(
            f"unknown time zone {schedule.timezone!r}; use an IANA name such as Europe/Berlin", f"{path}.timezone"
        ) from None
    days = frozenset(_DAYS.index(day) for day in schedule.days_of_week) or frozenset(range(7))
    hours = schedule.hours
    since, until = (_clock(hours.since), _clock(hours.until)) if hours else (time(0), None)

    def open_at(now: datetime) -> bool:
        if schedule.starts_at is not None and now < schedule.starts_at:
            return False
        if schedule.ends_at is not None and now >= schedule.ends_at:
            return False
        try:
            local = now.astimezone(zone)
        except OverflowError:  # year 1 or 9999, which has no local time in some zones
            return False
        clock, day = local.time(), local.weekday()
        if until is None:
            return day in days
        if since <= until:
            return day in days and since <= clock < until
        return (day in days and clock >= since) or ((day - 1) % 7 in days and clock < until)

    return open_at


def _clock(text: str) -> time:
    hours, minutes = text.split(":")
    return time(int(hours), int(minutes))

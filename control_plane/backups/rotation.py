"""Which backups stay: the newest of each of so many days, weeks and months (grandfather, father, son).

Days and weeks are those of UTC; a week begins on Monday (ISO 8601). Counterpart: `backups.py` removes the others, after it has
read the newest one to its end. Never: the newest one, or one of another installation.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime

from msgspec import Struct

from control_plane.backups.places import Found

_WORD = re.compile(r"(\d{1,4})\s*(daily|weekly|monthly)")


class Keep(Struct, frozen=True):
    """How many of each."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12


def keep_of(text: str) -> Keep:
    """`7 daily, 4 weekly, 12 monthly`, or a part of it; ValueError otherwise."""
    words = [word.strip() for word in text.split(",")]
    matches = [_WORD.fullmatch(word) for word in words]
    counts = {match[2]: int(match[1]) for match in matches if match is not None}
    if None in matches or len(counts) != len(words) or not any(counts.values()):
        raise ValueError(
            f"CONTROL_PLANE_BACKUP_KEEP must be such as `7 daily, 4 weekly, 12 monthly` (got {text[:80]!r})"
        )
    return Keep(counts.get("daily", 0), counts.get("weekly", 0), counts.get("monthly", 0))


def superfluous(found: Sequence[Found], keep: Keep) -> list[Found]:
    """Those that may go, of backups of one installation."""
    newest_first = sorted(found, key=lambda one: (one.made_at, one.change), reverse=True)
    stay = set(newest_first[:1])
    periods: tuple[tuple[int, Callable[[datetime], Hashable]], ...] = (
        (keep.daily, lambda at: at.date()),
        (keep.weekly, lambda at: at.isocalendar()[:2]),
        (keep.monthly, lambda at: (at.year, at.month)),
    )
    for count, period in periods:
        newest: dict[Hashable, Found] = {}
        for one in newest_first:
            newest.setdefault(period(one.made_at), one)
        stay.update(list(newest.values())[:count])
    return [one for one in newest_first if one not in stay]

"""Which backups stay: the newest of each of so many days, weeks and months (grandfather, father, son).

Days and weeks are those of UTC; a week begins on Monday (ISO 8601). Those that were made for an occasion (`occasions.py`) don't count in
that and are not replaced in it: of each occasion the newest so many stay. Counterpart: `backups.py` removes the others, after it
has read the newest one to its end. Never: the newest one, or one of another installation.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime

from msgspec import Struct

from control_plane.backups.occasions import is_apart
from control_plane.backups.places import Found

APART = 10
_WORD = re.compile(r"(\d{1,4})\s*(daily|weekly|monthly)")


class Keep(Struct, frozen=True):
    """How many of each."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    apart: int = APART
    """Of each occasion; one at least."""


def keep_of(text: str, apart: str = str(APART)) -> Keep:
    """`7 daily, 4 weekly, 12 monthly`, or a part of it, and how many of each occasion; ValueError otherwise."""
    words = [word.strip() for word in text.split(",")]
    matches = [_WORD.fullmatch(word) for word in words]
    counts = {match[2]: int(match[1]) for match in matches if match is not None}
    if None in matches or len(counts) != len(words) or not any(counts.values()):
        raise ValueError(
            f"CONTROL_PLANE_BACKUP_KEEP must be such as `7 daily, 4 weekly, 12 monthly` (got {text[:80]!r})"
        )
    if re.fullmatch(r"[1-9]\d{0,3}", apart) is None:
        raise ValueError(f"CONTROL_PLANE_BACKUP_KEEP_APART must be a number from 1 to 9999 (got {apart[:20]!r})")
    return Keep(counts.get("daily", 0), counts.get("weekly", 0), counts.get("monthly", 0), int(apart))


def superfluous(found: Sequence[Found], keep: Keep) -> list[Found]:
    """Those that may go, of backups of one installation."""
    newest_first = sorted(found, key=lambda one: (one.made_at, one.change), reverse=True)
    rotated = [one for one in newest_first if not is_apart(one.occasion)]
    stay = {*newest_first[:1], *rotated[:1]}
    for occasion in {one.occasion for one in newest_first if is_apart(one.occasion)}:
        stay.update([one for one in newest_first if one.occasion == occasion][: keep.apart])
    periods: tuple[tuple[int, Callable[[datetime], Hashable]], ...] = (
        (keep.daily, lambda at: at.date()),
        (keep.weekly, lambda at: at.isocalendar()[:2]),
        (keep.monthly, lambda at: (at.year, at.month)),
    )
    for count, period in periods:
        newest: dict[Hashable, Found] = {}
        for one in rotated:
            newest.setdefault(period(one.made_at), one)
        stay.update(list(newest.values())[:count])
    return [one for one in newest_first if one not in stay]

"""Why a backup was made, and which of them are kept apart from the rotation.

Who makes one by hand wants that one back, and not another of the same day: so do the ones that are made before a migration and before a
restore replaces data. Such an occasion is in the file's name, so that also a place far away and another instance know it, and of each the
newest so many are kept. Counterparts: `places.py` writes it into the name, `rotation.py` counts. Never: a scheduled one among them.
"""

from typing import Final

SCHEDULED: Final = "scheduled"
BY_HAND: Final = "by_hand"
BEFORE_MIGRATION: Final = "before_migration"
BEFORE_REPLACING: Final = "before_replacing"

_ROTATED = frozenset({SCHEDULED, ""})


def is_apart(occasion: str) -> bool:
    """Whether one of the occasion is kept apart; an occasion that a newer program knows is."""
    return occasion not in _ROTATED


def word_of(occasion: str) -> str:
    """What a name has of it, such as `by-hand`; empty for those that rotate."""
    return occasion.replace("_", "-").replace(" ", "-") if is_apart(occasion) else ""


def occasion_of(word: str) -> str:
    """The way back; also from the words with which shelves were written at first."""
    return word.replace("-", "_").replace(" ", "_")

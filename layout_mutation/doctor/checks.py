"""What a check is: a question to an installation, and its answers.

Counterpart: `examinations.py` lists them; `command.py` asks them and prints what they say. Never: a question of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct


class Check(Struct, frozen=True):
    """One thing that was looked at. `detail` says what was found, and what to do where it is not fine."""

    name: str
    fine: bool
    detail: str


class Asked(Struct, frozen=True):
    """What a check may use. `heal`: it may repair what nothing can be lost by."""

    environ: Mapping[str, str]
    heal: bool = False
    data_dir: Path | None = None
    """As `--data-dir` has it."""


Examination = Callable[[Asked, Sequence[Check]], list[Check]]
"""A question; it gets what earlier ones found. It raises nothing: what can't be looked at is not fine, and says why."""


def store_is_fine(found: Sequence[Check]) -> bool:
    """Whether what everything is kept in was looked at and is fine: the database, or the file."""
    return is_fine("database", found) or is_fine("store", found)


def is_fine(name: str, found: Sequence[Check]) -> bool:
    """Whether the check of that name was made and is fine."""
    return any(check.name == name and check.fine for check in found)

"""What advice looks like.

Counterpart: `rules.lint` and its parts give it, the command line shows it. Never: a check of its own.
"""

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """An error keeps a mutation from working at all; a warning deserves a look; a note says what was done."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(Struct, frozen=True, rename="camel"):
    """One thing an author should know."""

    severity: Severity
    path: str
    """JSON path in the rules file."""
    message: str

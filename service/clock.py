"""What time it is. The one place where a plane looks at the clock for decisions; `rules` gets it handed in."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)

"""What stands at the top of every page: each condition that is open, once, with what to do.

Counterpart: `control_plane.kept_alerts` knows them; `templates/frame.html` shows them. Never: I/O; the banner has to be there
while everything else is away.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from control_plane.admin import addresses
from control_plane.alerts import Alert, Severity

TONES = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.INFO: "test"}
WORDS = {Severity.CRITICAL: "act now", Severity.WARNING: "look today", Severity.INFO: "for you to know"}

PAGES = {
    "conflicts_open": (addresses.CONFLICTS, "Look at both sides, and choose"),
    "histories_parted": (addresses.CONFLICTS, "Conflicts that came of it"),
    "audit_chain_broken": (addresses.HISTORY, "The history, and what was found"),
    "backup_failed": (addresses.BACKUPS, "Backups"),
    "backup_old": (addresses.BACKUPS, "Backups"),
    "backup_unverified": (addresses.BACKUPS, "Backups"),
    "backup_remote_away": (addresses.BACKUPS, "Backups"),
    "schema_drift": (addresses.SCHEMA, "The schema, and what differs"),
}
"""Where a person acts on a condition, and what the link there says."""


class Shown(Struct, frozen=True):
    """One condition, of all instances that found it. `alert`: as the one says that found the worst of it."""

    alert: Alert
    instances: tuple[str, ...]
    since: datetime
    known: bool
    """Whether a person has acknowledged it everywhere."""

    @property
    def tone(self) -> str:
        """The class of its colours."""
        return TONES[self.alert.severity]

    @property
    def page(self) -> tuple[str, str] | None:
        """Address and words of the page where a person acts on it; None where it takes something else."""
        return PAGES.get(self.alert.id)

    @property
    def word(self) -> str:
        """How much it matters, in words: colours alone tell not everybody."""
        return WORDS[self.alert.severity]


def shown(alerts: Iterable[Alert]) -> tuple[Shown, ...]:
    """Open alerts, the worst first, as people should see them."""
    found: dict[str, list[Alert]] = {}
    for alert in alerts:
        found.setdefault(alert.id, []).append(alert)
    return tuple(
        Shown(
            alert=same[0],
            instances=tuple(sorted({alert.instance for alert in same})),
            since=min(alert.opened_at for alert in same),
            known=all(alert.acknowledged_at is not None for alert in same),
        )
        for same in found.values()
    )

"""What stands at the top of every page: each condition that is open, once, with what to do.

Counterpart: `control_plane.kept_alerts` knows them; `templates/frame.html` shows them. Never: I/O; the banner has to be there
while everything else is away.
"""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from control_plane.admin import addresses
from control_plane.alerts import Alert, Severity
from control_plane.tokens import Permission

TONES = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.INFO: "test"}
WORDS = {Severity.CRITICAL: "act now", Severity.WARNING: "look today", Severity.INFO: "for you to know"}


class Leads(Struct, frozen=True):
    """Where a person acts on a condition, what the link there says, and what it takes to open it."""

    address: str
    words: str
    needs: Permission


_BACKUPS = Leads(addresses.BACKUPS, "Backups", Permission.ADMINISTER)
_HISTORY = Leads(addresses.HISTORY, "The history, and what was found", Permission.READ)
PAGES = {
    "conflicts_open": Leads(addresses.CONFLICTS, "Look at both sides, and choose", Permission.READ),
    "histories_parted": Leads(addresses.CONFLICTS, "Conflicts that came of it", Permission.READ),
    "audit_chain_broken": _HISTORY,
    "audit_anchors_away": _HISTORY,
    "backup_failed": _BACKUPS,
    "backup_old": _BACKUPS,
    "backup_unverified": _BACKUPS,
    "backup_remote_away": _BACKUPS,
    "schema_drift": Leads(addresses.SCHEMA, "The schema, and what differs", Permission.PUBLISH),
}
"""By the words of alerts; the others take something else than a page here."""


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
    def page(self) -> Leads | None:
        """The page where a person acts on it; None where it takes something else."""
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

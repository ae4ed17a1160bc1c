"""The admin's addresses, and which of them a sign-in may return to.

Counterpart: `mounting` gives each address its page. Never: an address of anybody else's.
"""

import re
from urllib.parse import quote

PREFIX = "/admin/layout-mutations"
TOGGLES = f"{PREFIX}/toggles"
ACTIVITY = f"{PREFIX}/activity"
SETTINGS = f"{PREFIX}/settings"
ALERTS = f"{PREFIX}/alerts"
CONFLICTS = f"{PREFIX}/conflicts"
BACKUPS = f"{PREFIX}/backups"
HISTORY = f"{PREFIX}/history"
DELETED = f"{PREFIX}/deleted"
MIGRATION = f"{PREFIX}/migration"
SCHEMA = f"{PREFIX}/schema"

_OWN = re.compile(rf"{PREFIX}(?:[/?][A-Za-z0-9/_.~!$&'()*+,;=:@%?-]*)?")
_NEXT_CHARACTERS_MAX = 2_000


def mutation(mutation_id: str, page: str = "") -> str:
    """The address of a mutation's page; `page` is what stands below it, for example `edit`."""
    below = f"/{page}" if page else ""
    return f"{PREFIX}/mutations/{quote(mutation_id, safe='')}{below}"


def toggle(toggle_id: str, verb: str) -> str:
    """The address that changes a toggle: `force`, `lift` or `delete`."""
    return f"{TOGGLES}/{quote(toggle_id, safe='')}/{verb}"


def alert(alert_id: str) -> str:
    """The address that acknowledges an alert."""
    return f"{ALERTS}/{quote(alert_id, safe='')}/acknowledge"


def conflict(conflict_id: str) -> str:
    """The address that settles a conflict."""
    return f"{CONFLICTS}/{quote(conflict_id, safe='')}"


def backup(name: str) -> str:
    """The address that has a backup verified."""
    return f"{BACKUPS}/{quote(name, safe='')}/verify"


def entry(number: int, page: str = "") -> str:
    """The address of an audit entry; `page` is what stands below it: `undo`."""
    return f"{HISTORY}/{number}{f'/{page}' if page else ''}"


def deleted(kind: str, document_id: str) -> str:
    """The address that brings back what was deleted."""
    return f"{DELETED}/{kind}/{quote(document_id, safe='')}"


def own(address: str) -> str:
    """`address` if it is one of this admin's, else the list: a sign-in never sends anyone elsewhere.

    Browsers read a backslash as a slash and drop line ends, so that only plain characters of RFC 3986 pass.
    """
    fits = len(address) <= _NEXT_CHARACTERS_MAX and _OWN.fullmatch(address) is not None
    return address if fits and "//" not in address.partition("?")[0] and ".." not in address else PREFIX

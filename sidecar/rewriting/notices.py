"""How it is said that something is held: lines for the log, and rows for operators.

Counterparts: `quarantine.py` has what is held; `guard.py` and `sidecar.processes.knowledge` say it.
Never: a query, or an address that is more than its path.
"""

from typing import Any

import structlog

from sidecar.rewriting.quarantine import HeldMutation, HeldPage, Why

_LOUD = frozenset({Why.KILLED, Why.HUNG})
"""Whoever did that costs processes: a person must mend it now. What a second opinion says has an error of its own."""

_log = structlog.get_logger("sidecar.rewriting.guard")


def log_held(held: HeldMutation) -> None:
    """One line for whoever has to mend it."""
    say = _log.error if held.why in _LOUD else _log.warning
    say(
        "mutation_held",
        mutation=held.mutation_id,
        version=held.version,
        why=held.why.value,
        held_s=round(held.left_s),
        offences=held.offences,
        advice="it is skipped here meanwhile; a new version of it is tried at once",
    )


def mutation_row(held: HeldMutation) -> dict[str, Any]:
    """A held mutation as operators read it."""
    return {
        "mutation": held.mutation_id,
        "version": held.version,
        "why": held.why.value,
        "offences": held.offences,
        "leftSeconds": round(held.left_s),
    }


def page_row(held: HeldPage) -> dict[str, Any]:
    """A page in quarantine as operators read it."""
    return {
        "page": held.path,
        "why": held.why.value,
        "table": held.table,
        "offences": held.offences,
        "leftSeconds": round(held.left_s),
    }

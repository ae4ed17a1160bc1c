"""Which mutations sidecars skip for a while, since they did harm there, and which sidecars skip everything: what the fleet's reports say, for those who mend them.

Counterparts: `sidecar.tables.feed` writes the reports, `published.py` reads them from Redis. Never: trusts them; they are other
programs' words, and whatever doesn't read as one is left out.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

WHY: Mapping[str, str] = {
    "differs": "a second parser sees other changes on the page than were asked for",
    "killed": "the page rewriter crashed over it",
    "hung": "the page rewriter did not come back from it",
    "raised": "the page rewriter failed over it",
    "slow": "it took too long, on several pages",
    "refused": "its target is there, and nearly never can be edited",
}
UNKNOWN = "no reason is given"
NAME_CHARACTERS_MAX = 200
CAUSES: Mapping[str, str] = {
    "file": "by its file (SIDECAR_KILL_SWITCH_FILE); it ends when the file is gone",
    "signal": "by a signal; it ends with SIGUSR2",
}
"""What switches everything off at a sidecar, and how that ends."""


class _Told(Struct, frozen=True):
    version: int
    why: str
    until: datetime


class Held(Struct, frozen=True):
    """One version of a mutation, skipped somewhere. `sidecars` are their names, `until` when the last of them tries it again."""

    version: int
    sidecars: tuple[str, ...]
    why: tuple[str, ...]
    until: datetime


def held_at(reports: Iterable[Mapping[str, Any]], now: datetime) -> dict[str, Held]:
    """Mutation -> where it is skipped, of the newest version that is. Workers of one sidecar are one."""
    found: dict[str, Held] = {}
    for report in reports:
        sidecar = sidecar_of(report)
        held = report.get("held")
        for name, said in held.items() if isinstance(held, dict) else ():
            told = _read(said)
            if told is None or told.until <= now:
                continue
            known = found.get(name)
            if known is None or known.version < told.version:
                found[name] = Held(told.version, (sidecar,), (words(told.why),), told.until)
            elif known.version == told.version:
                sidecars = tuple(sorted({*known.sidecars, sidecar}))
                why = tuple(sorted({*known.why, words(told.why)}))
                found[name] = Held(known.version, sidecars, why, max(known.until, told.until))
    return found


def switched_off_at(reports: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Sidecars at which everything is switched off, with by what, in words."""
    found: dict[str, set[str]] = {}
    for report in reports:
        causes = report.get("switchedOff")
        if isinstance(causes, list) and causes:
            known = {CAUSES.get(str(cause), UNKNOWN) for cause in causes}
            found.setdefault(sidecar_of(report), set()).update(known)
    return {sidecar: ", and ".join(sorted(found[sidecar])) for sidecar in sorted(found)}


def sidecar_of(report: Mapping[str, Any]) -> str:
    """The name of the sidecar whose worker reports."""
    return str(report.get("instance") or "").rpartition("/")[0][:NAME_CHARACTERS_MAX] or "unnamed"


def words(why: str) -> str:
    """A reason as an author reads it."""
    return WHY.get(why, UNKNOWN)


def _read(said: object) -> _Told | None:
    try:
        told = msgspec.convert(said, _Told)
    except msgspec.ValidationError:
        return None
    return None if told.until.tzinfo is None else told

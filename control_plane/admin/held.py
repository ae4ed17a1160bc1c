"""Which mutations sidecars skip for a while, since they did harm there: what the fleet's reports say, for those who mend them.

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
        sidecar = str(report.get("instance", "unnamed")).rpartition("/")[0] or "unnamed"
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


def words(why: str) -> str:
    """A reason as an author reads it."""
    return WHY.get(why, UNKNOWN)


def _read(said: object) -> _Told | None:
    try:
        told = msgspec.convert(said, _Told)
    except msgspec.ValidationError:
        return None
    return None if told.until.tzinfo is None else told

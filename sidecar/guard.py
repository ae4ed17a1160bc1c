"""Mutations that a second opinion differed about, and that this worker skips for a while.

Counterpart: `verification.py` puts them in, `proxy.py` hands their ids to the decision, which then takes them as switched
off. How it ends for a mutation:

- a new version of it: whoever was told has mended it, and it is judged anew;
- time: the first stay is ten minutes and each further one twice as long, up to a day. One odd page in a million may have
  spoken against it, and the edge must not stay without it for ever; if it is at fault the next sample says so again.

Never: I/O or a clock of its own.
"""

from collections.abc import Callable, Mapping

from rules.table import DecisionTable

STAY_S = 600.0
STAY_S_MAX = 86_400.0
ENTRIES_MAX = 1_000
"""With more than so many at fault at once, the one that would be free next leaves."""

NOBODY: frozenset[str] = frozenset()


class _Stay:
    __slots__ = ("offences", "until", "version")

    def __init__(self, version: int) -> None:
        self.version = version
        self.offences = 0
        self.until = 0.0


class Guard:
    """Held mutations by id, each in the version that did harm. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float], *, stay_s: float = STAY_S) -> None:
        self._clock = clock
        self._stay_s = stay_s
        self._stays: dict[str, _Stay] = {}
        self._table: DecisionTable | None = None
        self._versions: Mapping[str, int] = {}

    def hold(self, mutation_id: str, version: int) -> float:
        """Skip a mutation from now on, in this version; for how many seconds."""
        stay = self._stays.get(mutation_id)
        if stay is None or stay.version != version:
            if stay is None and len(self._stays) >= ENTRIES_MAX:
                del self._stays[min(self._stays, key=lambda name: self._stays[name].until)]
            stay = self._stays[mutation_id] = _Stay(version)
        stay_s = min(STAY_S_MAX, self._stay_s * 2.0 ** min(stay.offences, 32))
        stay.offences += 1
        stay.until = self._clock() + stay_s
        self._table = None
        return stay_s

    def held(self, table: DecisionTable | None) -> frozenset[str]:
        """Ids of the mutations of a table that are to be skipped now."""
        if not self._stays or table is None:
            return NOBODY
        if table is not self._table:
            self._table, self._versions = table, table.versions(self._stays.keys())
        now, versions = self._clock(), self._versions
        return frozenset(
            name for name, stay in self._stays.items() if stay.until > now and versions.get(name) == stay.version
        )

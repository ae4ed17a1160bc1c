"""What did harm is kept from visitors for a while: pages, and mutations.

Counterpart: `rewriting.py` puts in pages that hung or killed the rewriter, and asks before it rewrites. `verification.py` puts
in mutations that a second opinion differed about, and `proxy.py` hands their ids to the decision, which then takes them as
switched off.

The first stay is ten minutes and each further one twice as long, up to a day. A page may be innocent (the machine had no time
for the child, an operator killed it), and the busiest page is the likeliest to be hit by that. One odd page in a million
may have spoken against a mutation, and the edge must not stay without it for ever; if it is at fault the next sample says so
again. What else ends a stay:

- of a page: other rules for it, or another decision, since entries belong to an address *and* a decision key, which changes
  when the rules of that page do; and room, since the least recently entered page leaves when the list is full;
- of a mutation: a new version of it, since whoever was told has mended it, and it is judged anew.

An address is watched with its query. When three of one path were caught, the whole path is: `/search?q=…` could
otherwise hang one child per query.

Never: I/O or a clock of its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from rules.table import DecisionTable

STAY_S = 600.0
STAY_S_MAX = 86_400.0
PAGES_MAX = 4_096
PATH_OFFENDERS_MAX = 3
MUTATIONS_MAX = 1_000
"""With more than so many at fault at once, the one that would be free next leaves."""

NOBODY: frozenset[str] = frozenset()


class Stay:
    """Of one page or mutation: until when, and how often it did harm."""

    __slots__ = ("offences", "until")

    def __init__(self) -> None:
        self.offences = 0
        self.until = 0.0

    def begin(self, now: float, first_s: float) -> float:
        """Once more, from now on; for how many seconds."""
        stay_s = min(STAY_S_MAX, first_s * 2.0 ** min(self.offences, 32))
        self.offences += 1
        self.until = now + stay_s
        return stay_s


class PageQuarantine:
    """Addresses under a decision key, bounded, each with the time until which it is held."""

    def __init__(self, *, stay_s: float = STAY_S, pages_max: int = PAGES_MAX) -> None:
        self._stay_s = stay_s
        self._pages_max = pages_max
        self._held: OrderedDict[tuple[str, str], Stay] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, address: str, decision: str, now: float) -> bool:
        """Whether the page passes untouched at `now` (seconds of any clock that only grows)."""
        if not self._held:
            return False
        whole = self._held.get((address, decision))
        if whole is not None and whole.until > now:
            return True
        path = self._held.get((_path(address), decision))
        return path is not None and path.until > now

    def add(self, address: str, decision: str, now: float) -> float:
        """Hold a page that did harm; for how many seconds."""
        stay_s = self._enter(address, decision).begin(now, self._stay_s)
        path = _path(address)
        if path != address:
            offenders = self._enter(path, decision)
            offenders.offences += 1
            if offenders.offences >= PATH_OFFENDERS_MAX:
                offenders.until = now + stay_s
        return stay_s

    def _enter(self, address: str, decision: str) -> Stay:
        stay = self._held.setdefault((address, decision), Stay())
        self._held.move_to_end((address, decision))
        while len(self._held) > self._pages_max:
            self._held.popitem(last=False)
        return stay


class MutationQuarantine:
    """Held mutations by id, each in the version that did harm. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float], *, stay_s: float = STAY_S) -> None:
        self._clock = clock
        self._stay_s = stay_s
        self._stays: dict[str, tuple[int, Stay]] = {}
        self._table: DecisionTable | None = None
        self._versions: Mapping[str, int] = {}

    def hold(self, mutation_id: str, version: int) -> float:
        """Skip a mutation from now on, in this version; for how many seconds."""
        of, stay = self._stays.get(mutation_id, (None, Stay()))
        if of is None and len(self._stays) >= MUTATIONS_MAX:
            del self._stays[min(self._stays, key=lambda name: self._stays[name][1].until)]
        if of != version:
            stay = Stay()
        self._stays[mutation_id] = (version, stay)
        self._table = None
        return stay.begin(self._clock(), self._stay_s)

    def held(self, table: DecisionTable | None) -> frozenset[str]:
        """Ids of the mutations of a table that are to be skipped now."""
        if not self._stays or table is None:
            return NOBODY
        if table is not self._table:
            self._table, self._versions = table, table.versions(self._stays.keys())
        now, versions = self._clock(), self._versions
        return frozenset(
            name for name, (of, stay) in self._stays.items() if stay.until > now and versions.get(name) == of
        )


def _path(address: str) -> str:
    """The address without its query, marked so that it never equals an address that came without one."""
    before, mark, _ = address.partition("?")
    return f"{before}?" if mark else before

"""Pages that hung or killed the rewriter, and pass untouched from then on.

Counterpart: `rewriting.py` puts pages in and asks before it rewrites. How it ends for a page:

- other rules for the page, or another decision: entries belong to an address *and* a decision key, which changes when the rules of that page do;
- time: the first stay is ten minutes and each further one twice as long, up to a day. A page may be innocent (the
  machine had no time for the child, an operator killed it), and the busiest page is the likeliest to be hit by that;
- room: the least recently entered page leaves when the list is full.

An address is watched with its query. When three of one path were caught, the whole path is: `/search?q=…` could
otherwise hang one child per query.

Never: I/O or a clock of its own.
"""

from collections import OrderedDict

STAY_S = 600.0
STAY_S_MAX = 86_400.0
ENTRIES_MAX = 4_096
PATH_OFFENDERS_MAX = 3


class _Stay:
    __slots__ = ("offences", "until")

    def __init__(self) -> None:
        self.offences = 0
        self.until = 0.0


class Quarantine:
    """Addresses under a decision key, bounded, each with the time until which it is held."""

    def __init__(self, *, stay_s: float = STAY_S, entries_max: int = ENTRIES_MAX) -> None:
        self._stay_s = stay_s
        self._entries_max = entries_max
        self._held: OrderedDict[tuple[str, str], _Stay] = OrderedDict()

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
        stay_s = self._hold(address, decision, now)
        path = _path(address)
        if path != address:
            offenders = self._enter(path, decision)
            offenders.offences += 1
            if offenders.offences >= PATH_OFFENDERS_MAX:
                offenders.until = now + stay_s
        return stay_s

    def _hold(self, address: str, decision: str, now: float) -> float:
        stay = self._enter(address, decision)
        stay_s = min(STAY_S_MAX, self._stay_s * 2.0 ** min(stay.offences, 32))
        stay.offences += 1
        stay.until = now + stay_s
        return stay_s

    def _enter(self, address: str, decision: str) -> _Stay:
        stay = self._held.setdefault((address, decision), _Stay())
        self._held.move_to_end((address, decision))
        while len(self._held) > self._entries_max:
            self._held.popitem(last=False)
        return stay


def _path(address: str) -> str:
    """The address without its query, marked so that it never equals an address that came without one."""
    before, mark, _ = address.partition("?")
    return f"{before}?" if mark else before

"""What did harm is kept from visitors for a while: pages, and mutations.

Counterpart: `rewriting.py` puts in pages that hung or killed the rewriter, and asks before it rewrites. `verification.py` puts
in mutations that a second opinion differed about, `guard.py` those that are at fault themselves; `proxy.py` hands their ids to
the decision, which then takes them as switched off. `sidecar.processes.knowledge` keeps what all workers hold.

The first stay is ten minutes and each further one twice as long, up to a day. A page may be innocent (the machine had no time
for the child, an operator killed it), and the busiest page is the likeliest to be hit by that. One odd page in a million
may have spoken against a mutation, and the edge must not stay without it for ever; if it is at fault the next page says so
again: for a day after its stay a mutation is *on trial*, and then less is needed to hold it again. What else ends a stay:

- of a page: other rules for it, or another decision, since entries belong to an address *and* a decision key, which changes
  when the rules of that page do; and room, since the least recently entered page leaves when the list is full;
- of a mutation: a new version of it, since whoever was told has mended it, and it is judged anew.

An address is watched with its query. When three of one path were caught, the whole path is: `/search?q=…` could
otherwise hang one child per query. Of an address only a digest is kept, beside its path.

Never: I/O or a clock of its own.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from rules.table import DecisionTable

STAY_S = 600.0
STAY_S_MAX = 86_400.0
TRIAL_S = 86_400.0
"""After its stay a mutation is on trial for so long; then its offences are forgotten."""
PAGES_MAX = 4_096
PATH_OFFENDERS_MAX = 3
MUTATIONS_MAX = 1_000
"""With more than so many at fault at once, the one that would be free next leaves."""
PATH_CHARACTERS_MAX = 300

NOBODY: frozenset[str] = frozenset()


class Why(StrEnum):
    """What a page or a mutation is held for. The value is shown; it never changes its meaning."""

    DIFFERS = "differs"
    """A second opinion on a page differed."""
    KILLED = "killed"
    """The rewriter, or the worker, ended over it."""
    HUNG = "hung"
    """The rewriter, or the worker, did not come back from it."""
    RAISED = "raised"
    """The rewriter failed over it with an exception."""
    SLOW = "slow"
    """Its own edits took too long, on several pages."""
    REFUSED = "refused"
    """Nearly always its target was there and could not be edited."""


Seconds = Annotated[float, Meta(ge=0.0, le=STAY_S_MAX)]
OverSeconds = Annotated[float, Meta(ge=0.0, le=TRIAL_S)]
MutationId = Annotated[str, Meta(max_length=200)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Path = Annotated[str, Meta(max_length=PATH_CHARACTERS_MAX)]
DecisionKey = Annotated[str, Meta(max_length=64)]


class HeldMutation(Struct, frozen=True, array_like=True):
    """A mutation that is skipped or on trial, as workers and the supervisor tell each other of it."""

    mutation_id: MutationId
    version: int
    why: Why
    offences: Annotated[int, Meta(ge=1, le=1_000_000)]
    left_s: Seconds
    over_s: OverSeconds = 0.0
    """For how long it has been on trial; 0 while it is skipped."""


class HeldPage(Struct, frozen=True, array_like=True):
    """A page, or all of one path, that passes untouched; `table` is the version in force when it did harm, 0 if not known."""

    page: Digest
    """Digest of the address, or of the path with `?` for all its queries."""
    path: Path
    decision: DecisionKey
    why: Why
    table: int
    offences: Annotated[int, Meta(ge=0, le=1_000_000)]
    left_s: Seconds


class Held(Struct, frozen=True, array_like=True):
    """What is held, as workers and the supervisor tell each other of it, and as it is kept on disk."""

    mutations: Annotated[tuple[HeldMutation, ...], Meta(max_length=MUTATIONS_MAX)] = ()
    pages: Annotated[tuple[HeldPage, ...], Meta(max_length=PAGES_MAX)] = ()


class Stay:
    """Of one page or mutation: until when, how often it did harm, and what it did last."""

    __slots__ = ("offences", "until", "why")

    def __init__(self, why: Why = Why.DIFFERS) -> None:
        self.offences = 0
        self.until = float("-inf")
        self.why = why

    def begin(self, now: float, first_s: float) -> float:
        """Once more, from now on; for how many seconds."""
        stay_s = min(STAY_S_MAX, first_s * 2.0 ** min(self.offences, 32))
        self.offences += 1
        self.until = now + stay_s
        return stay_s

    def learn(self, held: HeldMutation | HeldPage, until: float) -> None:
        """What another process knows of it, where that is more; `until` is when the stay of which it tells ends, or ended."""
        self.offences = max(self.offences, held.offences)
        if until > self.until:
            self.until, self.why = until, held.why

    def left_s(self, now: float) -> float:
        """Seconds until it ends."""
        return max(0.0, self.until - now)


class _PageStay(Stay):
    __slots__ = ("path", "table")

    def __init__(self, why: Why, path: str, table: int) -> None:
        super().__init__(why)
        self.path = path
        self.table = table


class PageQuarantine:
    """Addresses under a decision key, bounded, each with the time until which it is held.

    `on_hold(pages)` hears of what is entered here, not of what another process told of. `pages_max` is 2 at least: a page and its path.
    """

    def __init__(
        self,
        *,
        stay_s: float = STAY_S,
        pages_max: int = PAGES_MAX,
        on_hold: Callable[[tuple[HeldPage, ...]], None] = lambda _: None,
    ) -> None:
        self._stay_s = stay_s
        self._pages_max = pages_max
        self.on_hold = on_hold
        self._held: OrderedDict[tuple[str, str], _PageStay] = OrderedDict()
        self._paths: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, address: str, decision: str, now: float) -> bool:
        """Whether the page passes untouched at `now` (seconds of any clock that only grows)."""
        if not self._held or path_of(address) not in self._paths:
            return False
        whole = self._held.get((digest_of(address), decision))
        if whole is not None and whole.until > now:
            return True
        path = self._held.get((queries_of(address), decision))
        return path is not None and path.until > now

    def add(self, address: str, decision: str, now: float, why: Why = Why.KILLED, table: int = 0) -> float:
        """Hold a page that did harm; for how many seconds."""
        return self.hold(named(address, decision, why, table), queries_of(address), now)

    def hold(self, harm: HeldPage, queries: str, now: float) -> float:
        """The same for a page that is known by its digest; `queries` is that of its path with all queries."""
        page, path, decision, why, table = harm.page, harm.path, harm.decision, harm.why, harm.table
        stay = self._enter(page, decision, path, why, table)
        stay.why, stay.table = why, table
        stay_s = stay.begin(now, self._stay_s)
        told = [(page, decision)]
        if queries != page:
            told.append((queries, decision))
            offenders = self._enter(queries, decision, path, why, table)
            offenders.offences += 1
            if offenders.offences >= PATH_OFFENDERS_MAX:
                offenders.until, offenders.why = now + stay_s, why
        self.on_hold(tuple(_as_told(key, self._held[key], now) for key in told))
        return stay_s

    def enter(self, held: HeldPage, now: float) -> None:
        """Hold what another process holds, for as long."""
        self._enter(held.page, held.decision, held.path, held.why, held.table).learn(held, now + held.left_s)

    def entries(self, now: float) -> list[HeldPage]:
        """What is known of pages, the latest last; those with nothing left only count."""
        return [_as_told(key, stay, now) for key, stay in self._held.items()]

    def _enter(self, page: str, decision: str, path: str, why: Why, table: int) -> _PageStay:
        stay = self._held.get((page, decision))
        if stay is None:
            stay = self._held[page, decision] = _PageStay(why, path, table)
            self._paths[path] += 1
        self._held.move_to_end((page, decision))
        while len(self._held) > self._pages_max:
            _, left = self._held.popitem(last=False)
            self._paths[left.path] -= 1
            if not self._paths[left.path]:
                del self._paths[left.path]
        return stay


class MutationQuarantine:
    """Held mutations by id, each in the version that did harm. `clock` gives seconds that only grow.

    `on_hold(mutation)` hears of what is found here, not of what another process told of.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        stay_s: float = STAY_S,
        on_hold: Callable[[HeldMutation], None] = lambda _: None,
    ) -> None:
        self.on_hold = on_hold
        self._clock = clock
        self._stay_s = stay_s
        self._stays: dict[str, tuple[int, Stay]] = {}
        self._table: DecisionTable | None = None
        self._versions: Mapping[str, int] = {}

    def hold(self, mutation_id: str, version: int, why: Why = Why.DIFFERS) -> float:
        """Skip a mutation from now on, in this version; for how many seconds."""
        now = self._clock()
        stay = self._stay(mutation_id, version, now)
        stay.why = why
        held_s = stay.begin(now, self._stay_s)
        self.on_hold(HeldMutation(mutation_id, version, why, stay.offences, held_s))
        return held_s

    def enter(self, held: HeldMutation) -> None:
        """Skip what another process skips, for as long; unless a newer version is known."""
        if self._stays.get(held.mutation_id, (held.version,))[0] > held.version:
            return
        now = self._clock()
        self._stay(held.mutation_id, held.version, now).learn(held, now + held.left_s - held.over_s)

    def held(self, table: "DecisionTable | None") -> frozenset[str]:
        """Ids of the mutations of a table that are to be skipped now."""
        if not self._stays or table is None:
            return NOBODY
        if table is not self._table:
            self._table, self._versions = table, table.versions(self._stays.keys())
        now, versions = self._clock(), self._versions
        return frozenset(
            name for name, (of, stay) in self._stays.items() if stay.until > now and versions.get(name) == of
        )

    def told(self, table: "DecisionTable | None") -> dict[str, tuple[int, str, float]]:
        """For the fleet: those of a table that are skipped now, each with its version, why, and how many seconds are left."""
        return {one.mutation_id: (one.version, one.why.value, one.left_s) for one in self.entries(self.held(table))}

    def entries(self, only: Iterable[str] | None = None) -> list[HeldMutation]:
        """What is known of mutations, or of some of them; those with nothing left are on trial."""
        now = self._clock()
        names = self._stays if only is None else sorted(only)
        return [
            HeldMutation(name, of, stay.why, stay.offences, stay.left_s(now), max(0.0, now - stay.until))
            for name in names
            for of, stay in [self._stays[name]]
            if now < stay.until + TRIAL_S
        ]

    def on_trial(self, mutation_id: str, version: int) -> bool:
        """Whether it was held in this version, until less than `TRIAL_S` ago."""
        of, stay = self._stays.get(mutation_id, (None, None))
        return stay is not None and of == version and stay.until <= self._clock() < stay.until + TRIAL_S

    def holds(self, mutation_id: str, version: int) -> bool:
        """Whether it is skipped now, in this version."""
        of, stay = self._stays.get(mutation_id, (None, None))
        return stay is not None and of == version and stay.until > self._clock()

    def _stay(self, mutation_id: str, version: int, now: float) -> Stay:
        of, stay = self._stays.get(mutation_id, (None, Stay()))
        if of is None and len(self._stays) >= MUTATIONS_MAX:
            del self._stays[min(self._stays, key=lambda name: self._stays[name][1].until)]
        if of != version:
            stay = Stay()
        elif now >= stay.until + TRIAL_S:
            stay.offences = 0
        self._stays[mutation_id] = (version, stay)
        self._table = None
        return stay


def digest_of(address: str) -> str:
    """What stands for an address where its query must not be kept: 32 hexadecimal digits."""
    return blake2b(address.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def path_of(address: str) -> str:
    """Host and path of an address, without its query, which may be personal; always a text that can be sent."""
    path = address.partition("?")[0][:PATH_CHARACTERS_MAX]
    return path if path.isascii() else path.encode("utf-8", "replace").decode()


def queries_of(address: str) -> str:
    """Digest of the address's path with all queries; of the address itself, if it has none."""
    return digest_of(_all_queries(address))


def named(address: str, decision: str, why: Why, table: int) -> HeldPage:
    """A page as it is known beyond this process."""
    return HeldPage(digest_of(address), path_of(address), decision, why, table, 0, 0.0)


def _all_queries(address: str) -> str:
    """The address without its query, marked so that it never equals an address that came without one."""
    before, mark, _ = address.partition("?")
    return f"{before}?" if mark else before


def _as_told(key: tuple[str, str], stay: _PageStay, now: float) -> HeldPage:
    page, decision = key
    return HeldPage(page, stay.path, decision, stay.why, stay.table, stay.offences, stay.left_s(now))

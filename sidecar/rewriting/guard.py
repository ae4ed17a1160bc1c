"""The guard: a mutation that raises, hangs, is slow or is refused too often here is switched off here for a while.

What counts, within ten minutes from the first of it (`WINDOW_S`), of pages that were rewritten anew:

| why     | a fault is | that many hold it | on trial |
| ------- | ---------- | ----------------- | -------- |
| killed  | the rewriter ended over a page with it, and did again when that was tried, but not with fewer mutations | 1 | 1 |
| hung    | the same, where it did not come back | 1 | 1 |
| raised  | the same, where it failed with an exception | 3 addresses | 1 |
| slow    | its own edits took longer than `SIDECAR_MUTATION_MS_MAX` of processor time | 3 addresses | 1 |
| refused | its target was there and could not be edited (`REFUSALS`) | 20 pages, and 9 of 10 where its target was there | 5, and 9 of 10 |

Of what is counted, one odd page must not switch off what all others get: a mutation that was fine on other paths is held when
it did harm on as many paths (`PATHS_MAX` at most), whoever asks for one of them how often.

No fault is what the page or another mutation is the cause of: the target is not there (an author's page pattern may be wide;
where that is nearly always so it is *advice*), the page is so already, a stronger mutation was before it, the page's policy
keeps the browser script out, a redirect leads to the very address. Drafts that one person looks at have names of their own,
which the table in force does not know: nobody is held for them.

Counterparts: `rewriting.py` tells of pages, `inquiry.py` finds who was to blame, `quarantine.py` keeps what is held and for how
long, and `pages.py` shows nothing of it. Never: raises, waits, or costs anything where a page is known already.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from itertools import islice

import structlog

from rules.group import Group
from rules.html import PassedThrough, Rewritten
from rules.reasons import Reason
from rules.table import DecisionTable
from sidecar.rewriting.inquiry import Finding, Harm, Inquiry, Outcome
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.notices import log_held, mutation_row, page_row
from sidecar.rewriting.quarantine import Held, HeldMutation, HeldPage, MutationQuarantine, PageQuarantine, Why, path_of

WINDOW_S = 600.0
FAULTS_MAX: Mapping[Why, int] = {Why.KILLED: 1, Why.HUNG: 1, Why.RAISED: 3, Why.SLOW: 3}
ADDRESSES_MAX = max(FAULTS_MAX.values())
REFUSED_MAX = 20
REFUSED_ON_TRIAL_MAX = 5
REFUSED_SHARE = 0.9
ABSENT_MIN = 20
ABSENT_SHARE = 0.95
"""A target that is missing on so many of at least so many pages is advice."""
PATHS_MAX = 8
"""Paths on which a mutation was fine, or did harm, that are remembered of it."""
RECORDS_MAX = 1_000
SHOWN_MAX = 100

REFUSALS = frozenset({Reason.AMBIGUOUS_SPAN, Reason.UNSAFE_TARGET, Reason.TOO_MANY_MATCHES})
"""The target is there, and what is asked of it can't be done."""
_PRESENT = frozenset({Reason.APPLIED, Reason.NO_CHANGE})
_TOLD = REFUSALS | {Reason.TARGET_NOT_FOUND}

_log = structlog.get_logger("sidecar.rewriting.guard")


class _Record:
    """Of one mutation, in one window."""

    __slots__ = ("absent", "began", "faults", "fine", "paths", "refused")

    def __init__(self, began: float) -> None:
        self.began = began
        self.faults: dict[Why, set[str]] = {}
        self.paths: dict[Why, set[str]] = {}
        """Those of the faults, without queries."""
        self.refused = self.absent = self.fine = 0


class Guard:
    """For one worker, whose two quarantines it listens to. `table` gives the one in force, `clock` seconds that only grow;
    `announce` hears of what was found here to be held.
    """

    def __init__(
        self,
        quarantine: MutationQuarantine,
        pages: PageQuarantine,
        *,
        table: Callable[[], DecisionTable | None],
        clock: Callable[[], float],
        announce: Callable[[Held], None] = lambda _: None,
    ) -> None:
        self.inquiry: Inquiry | None = None
        """Who looks for the one to blame; None: nobody does."""
        self.openings: Counter[Why] = Counter()
        self.inquiries: Counter[Outcome] = Counter()
        self.mutations = quarantine
        self.pages = pages
        quarantine.on_hold = self._mutation_held
        pages.on_hold = self._pages_held
        self._announce = announce
        self._table = table
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._fine: OrderedDict[str, set[str]] = OrderedDict()
        """Mutation -> paths on which it did its work the last time that such a page was new."""
        self._known: DecisionTable | None = None
        self._versions: Mapping[str, int] = {}

    # ---- what the rewriter tells of

    def heard(self, key: MemoKey, answer: Rewritten | PassedThrough, slow: Mapping[str, int]) -> None:
        """A page was rewritten anew: what became of each mutation, and who was slow."""
        records, path = self._records, _page_of(key.address)
        if self._table() is not self._known:
            self.versions  # noqa: B018 - what was counted of other versions is forgotten
        for outcome in answer.outcomes:
            if outcome.reason in _PRESENT:
                self._is_fine(outcome.mutation_id, path)
            if outcome.reason in _TOLD or outcome.mutation_id in records:
                self._count(outcome.mutation_id, outcome.reason, path)
        for name in slow:
            self._fault(name, Why.SLOW, key.address)

    def harmed(self, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> None:
        """A page killed, hung or confused the rewriter, or made it raise: find out by whom."""
        if self.inquiry is not None:
            versions = self.versions
            of_page = {group.mutation_id: versions.get(group.mutation_id, 0) for group in groups}
            self.inquiry.open(Harm(key, body, groups, of_page))

    def found(self, harm: Harm, finding: Finding) -> None:
        """What an inquiry came to."""
        self.inquiries[finding.outcome] += 1
        _log.info("inquiry_made", page=path_of(harm.key.address), outcome=finding.outcome.value)
        if finding.outcome is Outcome.MUTATION and self._is_of_now(finding.mutation_id, harm):
            self._fault(finding.mutation_id, finding.why, harm.key.address)
        for name in finding.slow:
            if self._is_of_now(name, harm):
                self._fault(name, Why.SLOW, harm.key.address)

    def enter(self, held: Held, now: float) -> None:
        """Hold what another process holds; `now` is the clock of pages."""
        for mutation in held.mutations:
            self.mutations.enter(mutation)
        for page in held.pages:
            self.pages.enter(page, now)

    # ---- what is known

    def pages_shown(self, now: float) -> list[dict[str, object]]:
        """The pages that pass, the latest first, at most `SHOWN_MAX`."""
        held = (page for page in reversed(self.pages.entries(now)) if page.left_s > 0)
        return [page_row(page) for page in islice(held, SHOWN_MAX)]

    @property
    def versions(self) -> Mapping[str, int]:
        """Mutation -> version, of the table in force; what was counted of other versions is forgotten."""
        table = self._table()
        if table is not self._known:
            before, self._versions = self._versions, {} if table is None else table.versions()
            self._known = table
            for known in (self._records, self._fine):
                for name in [name for name in known if before.get(name) != self._versions.get(name)]:
                    del known[name]
        return self._versions

    @property
    def table_version(self) -> int:
        """Of the table in force, 0 for none."""
        table = self._table()
        return 0 if table is None else table.version

    def advice(self) -> dict[str, str]:
        """Mutation -> what its author should look at, though nothing is wrong."""
        now = self._clock()
        return {
            name: f"its target was missing on {record.absent} of {record.absent + record.refused + record.fine} new pages: "
            "see whether its page pattern is too wide, or the page has changed"
            for name, record in self._records.items()
            if name in self._versions
            and now - record.began <= WINDOW_S
            and record.absent >= max(ABSENT_MIN, ABSENT_SHARE * (record.absent + record.refused + record.fine))
        }

    def status(self) -> dict[str, object]:
        """For `/table` and metrics: held mutations of the table in force, openings, inquiries, advice."""
        held = self.mutations.entries(self.mutations.held(self._table()))
        return {
            "held": [mutation_row(one) for one in held],
            "openings": {why.value: self.openings[why] for why in Why},
            "inquiries": {outcome.value: self.inquiries[outcome] for outcome in Outcome},
            "waiting": 0 if self.inquiry is None else self.inquiry.waiting,
            "advice": self.advice(),
        }

    # ---- what the quarantines tell

    def _mutation_held(self, held: HeldMutation) -> None:
        self.openings[held.why] += 1
        log_held(held)
        self._announce(Held(mutations=(held,)))

    def _pages_held(self, pages: tuple[HeldPage, ...]) -> None:
        self._announce(Held(pages=pages))

    # ---- counting

    def _is_fine(self, name: str, path: str) -> None:
        paths = self._fine.get(name)
        if paths is None:
            paths = self._fine[name] = set()
            if len(self._fine) > RECORDS_MAX:
                self._fine.popitem(last=False)
        if len(paths) < PATHS_MAX:
            paths.add(path)

    def _harmed_on(self, name: str, record: _Record, why: Why, path: str) -> bool:
        """Note where it did harm; whether that is on as many paths as it is fine on."""
        harmed, fine = record.paths.setdefault(why, set()), self._fine.get(name, set())
        fine.discard(path)
        if len(harmed) < PATHS_MAX:
            harmed.add(path)
        return len(harmed) >= len(fine)

    def _count(self, name: str, reason: Reason, path: str) -> None:
        record = self._record(name)
        if reason is Reason.TARGET_NOT_FOUND:
            record.absent += 1
        elif reason in _PRESENT:
            record.fine += 1
        elif reason in REFUSALS:
            record.refused += 1
            if self._harmed_on(name, record, Why.REFUSED, path) and self._is_too_often(name, record):
                self._hold(name, Why.REFUSED)

    def _is_too_often(self, name: str, record: _Record) -> bool:
        if record.refused < REFUSED_ON_TRIAL_MAX or record.refused < REFUSED_SHARE * (record.refused + record.fine):
            return False
        return record.refused >= REFUSED_MAX or self._on_trial(name)

    def _fault(self, name: str, why: Why, address: str) -> None:
        """One address counts once, whoever asks for it how often."""
        record = self._record(name)
        addresses = record.faults.setdefault(why, set())
        if len(addresses) < ADDRESSES_MAX:
            addresses.add(address)
        wide = self._harmed_on(name, record, why, _page_of(address)) or FAULTS_MAX[why] == 1
        if wide and (len(addresses) >= FAULTS_MAX[why] or self._on_trial(name)):
            self._hold(name, why)

    def _record(self, name: str) -> _Record:
        now, record = self._clock(), self._records.get(name)
        if self._table() is not self._known:
            self.versions  # noqa: B018 - what was counted of other versions is forgotten
            record = self._records.get(name)
        if record is None or now - record.began > WINDOW_S:
            record = self._records[name] = _Record(now)
            self._records.move_to_end(name)
            if len(self._records) > RECORDS_MAX:
                self._records.popitem(last=False)
        return record

    def _on_trial(self, name: str) -> bool:
        version = self.versions.get(name)
        return version is not None and self.mutations.on_trial(name, version)

    def _is_of_now(self, name: str, harm: Harm) -> bool:
        return self.versions.get(name) == harm.versions.get(name)

    def _hold(self, name: str, why: Why) -> None:
        self._records.pop(name, None)
        self._fine.pop(name, None)
        version = self.versions.get(name)
        if version is None or self.mutations.holds(name, version):
            return
        self.mutations.hold(name, version, why)


def _page_of(address: str) -> str:
    """The path of an address without its host, which a visitor may make up, as a query."""
    return path_of(address).partition("/")[2]

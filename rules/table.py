"""DecisionTable: the rules of one version, immutable and content-addressed.

A table is compiled whole, with every check there is, unless a trusted signer says that this very engine has done that: then
each row is compiled at its first use (`rules.written`).
Counterparts: `rules.sealing` reads and writes tables, `rules.decision` asks them. Never: a key, a file or a socket.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rules import pieces
from rules.model import RulesFile
from rules.page_index import PageIndex
from rules.pieces import Pause, Pieces
from rules.reasons import Outcome
from rules.rows import Company, Row, company_of, compile_rows
from rules.written import LeftOut, Look, Written, WrittenRows, read

UNCHECKED = ""
"""The name of no engine: loading compiles whole."""


class Stamp(msgspec.Struct, frozen=True):
    """Which table it is."""

    version: Annotated[int, Meta(ge=1, lt=10**18)]
    """Whoever follows tables reads numbers of 18 digits: a larger one would be the last for ever."""
    created_at: Annotated[datetime, Meta(tz=True)]
    engine: str
    """Whose checks it has passed; UNCHECKED where nobody may rely on that."""


class Head(Stamp, frozen=True, kw_only=True):
    """What a sealed table says before its rules."""

    order: list[int]
    """Places of the mutations in the rules, highest precedence first."""
    lengths: list[int]
    """In bytes: of what goes before the mutations in the rules, and of each of them (`rules.pieces`)."""

    @property
    def stamp(self) -> Stamp:
        """Which table it is."""
        return Stamp(self.version, self.created_at, self.engine)


class _Page(msgspec.Struct, frozen=True):
    """The rules of a page."""

    rows: Sequence[Row | Outcome]
    reads: frozenset[str]


_PAGES_MAX = 10_000
"""Sets of rules that are known; a site has fewer kinds of pages, and each takes some hundred bytes."""


def _page_of(rows: Sequence[Row | Outcome]) -> _Page:
    usable = (row for row in rows if isinstance(row, Row))
    return _Page(rows, frozenset().union(*(row.reads for row in usable if row.served and not row.off)))


def _ranks_of(order: Sequence[int]) -> list[int]:
    """The rank of each place; ValueError where `order` does not name each of them once."""
    ranks = [-1] * len(order)
    try:
        for rank, place in enumerate(order):
            ranks[place] = rank
    except IndexError:
        pass
    if -1 in ranks or min(order, default=0) < 0:
        raise ValueError("the order does not name each mutation once")
    return ranks


class DecisionTable:
    """Rules of one version, ready to decide; never changed once made. `compiled` and `compiled_late` make one."""

    def __init__(
        self,
        *,
        stamp: Stamp,
        rules: RulesFile | Pieces,
        company: Company,
        rows: Sequence[Row] | WrittenRows,
        order: Sequence[int],
        index: PageIndex,
        of_visits: Iterable[int],
        written: Written | None = None,
    ) -> None:
        self.stamp = stamp
        self.version = stamp.version
        self.created_at = stamp.created_at
        self.engine = stamp.engine
        self.company = company
        """What its mutations refer to."""
        self._rules = rules
        self._rows = rows
        """By place: where they are written, or their rank where they were compiled whole."""
        self._order = order
        """Places of the rows by rank: 0 has the highest precedence."""
        self._ranks = order if isinstance(order, range) else _ranks_of(order)
        """The ranks of the rows by place."""
        own = [row.reads for place in of_visits if isinstance(row := rows[place], Row) and row.served]
        self.memory = company.memory.reading(company.reads.union(*own))
        """What is remembered of visitors. `of_visits` are the places of rows that may read `VISIT_ATTRIBUTES`."""
        self._index = index
        """Has the places of rows."""
        self._pages: dict[tuple[int, ...], _Page] = {}
        """Places of the rules of a page, by rank -> what is known of them."""
        self._last: tuple[str, str, _Page] | None = None
        self._digest: str | None = None
        self.written = written
        """What the next table may take over."""
        self._versions = None if written is None else written.roster.versions

    @property
    def size(self) -> int:
        """How many mutations it has, usable or not."""
        return len(self._order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecisionTable) and self.stamp == other.stamp and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<DecisionTable version={self.version} digest={self.digest[:12]} mutations={self.size}>"

    @property
    def order(self) -> list[int]:
        """Places of the mutations in the rules, highest precedence first."""
        if self.written is not None:
            return [*self._order]
        places = {mutation.id: place for place, mutation in enumerate(self.rules.mutations)}
        return [places[row.mutation.id] for row in self.rows]

    @property
    def pieces(self) -> Pieces | None:
        """The rules as they are written, where the rows are compiled from that."""
        return self._rules if isinstance(self._rules, Pieces) else None

    @property
    def rules(self) -> RulesFile:
        """The rules as they were written; a table from bytes may have to decode them, each time."""
        return self._rules.whole() if isinstance(self._rules, Pieces) else self._rules

    @property
    def others(self) -> RulesFile:
        """The rules without their mutations; a table from bytes has to decode them, each time."""
        written = self._rules
        return written.rest() if isinstance(written, Pieces) else msgspec.structs.replace(written, mutations=[])

    @property
    def rows(self) -> tuple[Row, ...]:
        """All mutations that can be used, highest precedence first; compiles those that no visit has met."""
        found = [self._rows[place] for place in self._order]
        return tuple(row for row in found if isinstance(row, Row))

    def candidates(self, site: str, path: str) -> Sequence[Row | Outcome]:
        """The rows of the mutations whose site and page match, highest precedence first.

        In place of one that can't be used there is its outcome.
        """
        return self._page(site, path).rows

    def reads(self, site: str, path: str) -> frozenset[str]:
        """Attributes that the rules of a page may look at, whoever visits it and whenever: no decision reads others."""
        return self._page(site, path).reads

    def asks(self, site: str, path: str) -> frozenset[str]:
        """Attributes that must be known of a visit to this page: what its rules read, and what is remembered of it."""
        reads = self._page(site, path).reads
        return reads if self.memory.is_empty else reads | self.memory.asks(site, path)

    def _page(self, site: str, path: str) -> _Page:
        """The rules of a page. A visit asks twice in a row, and pages with the same rules share what is known of them."""
        last = self._last
        if last is not None and last[0] == path and last[1] == site:
            return last[2]
        places = tuple(sorted(self._index.find(site, path), key=self._ranks.__getitem__))
        page = self._pages.get(places)
        if page is None:
            if len(self._pages) >= _PAGES_MAX:
                self._pages.clear()
            page = self._pages[places] = _page_of([self._rows[place] for place in places])
        self._last = (path, site, page)
        return page

    def versions(self, ids: Collection[str] | None = None) -> dict[str, int]:
        """Id -> version, of those mutations that are named; None: of all."""
        if self._versions is None:
            self._versions = {mutation.id: mutation.version for mutation in self.rules.mutations}
        known = self._versions
        return known if ids is None else {name: known[name] for name in ids if name in known}

    @property
    def digest(self) -> str:
        """`pieces.digest_of` the rules: equal for equal rules, whatever version, time and engine say."""
        if self._digest is None:
            found = self._rules if isinstance(self._rules, Pieces) else pieces.of(self._rules)
            self._digest = pieces.digest_of(found)
        return self._digest


def compiled(rules: RulesFile, stamp: Stamp) -> DecisionTable:
    """A table of these rules, with every check there is; raises RulesError."""
    company = company_of(rules)
    rows = compile_rows(rules, company)
    return DecisionTable(
        stamp=stamp,
        rules=rules,
        company=company,
        rows=rows,
        order=range(len(rows)),
        index=PageIndex((row.mutation.site, row.mutation.page_slug) for row in rows),
        of_visits=range(len(rows)),
    )


class Load(msgspec.Struct, frozen=True):
    """How a table is loaded: what `rules.sealing.unseal` is given."""

    engine: str = UNCHECKED
    left_out: LeftOut = lambda _: None
    pause: Pause = lambda: None
    look: Look | None = None
    before: DecisionTable | None = None


def compiled_late(rules: Pieces, head: Head, load: Load) -> DecisionTable:
    """A table whose rows are compiled at their first use. Raises RulesError, msgspec.MsgspecError and ValueError."""
    if len(head.order) != len(rules):
        raise ValueError("the order does not name each mutation once")
    before = load.before if load.before is not None and load.before.engine == head.engine else None
    written = read(
        rules, load.left_out, pause=load.pause, look=load.look, before=None if before is None else before.written
    )
    load.pause()
    return DecisionTable(
        stamp=head.stamp,
        rules=rules,
        company=written.company,
        rows=written.rows,
        order=head.order,
        index=written.index,
        of_visits=written.roster.reading_visits,
        written=written,
    )

"""Rows as they are written in a table, each decoded and compiled when a visit first needs it, and then kept.

For tables whose signer has run the checks of this very engine over these very bytes (`rules.table`): running all of them
again before the first visit would take seconds. They run all the same, for each row before it is used. What the table
before had in the same bytes is taken over from there, so that a publish costs what it changed.
Counterpart: `rules.rows` compiles; tables that somebody else has checked are compiled whole, and never come here.
Never: an exception for any bytes; what can't be used after all is left out, and whoever listens is told once.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from operator import is_not

import msgspec
from msgspec import Struct

from rules.errors import RulesError
from rules.page_index import PageIndex
from rules.pieces import Pause, Pieces, mutation_of
from rules.reasons import Outcome, Reason
from rules.remembering import mentions_visits
from rules.rows import Company, Row, company_of, compile_row

LeftOut = Callable[[Outcome], None]
"""Told of a mutation that is left out, and why."""

PAUSE_EVERY = 100
"""Mutations between two pauses of a load: less than a millisecond's work."""

Look = Callable[[bytes], None]
"""Shown bytes of the rules that were not there before."""


class Entry(Struct, frozen=True, rename="camel", gc=False):
    """What is asked of all mutations at once; the rest of each is skipped."""

    id: str
    site: str
    page_slug: str
    version: int

    @property
    def address(self) -> tuple[str, str]:
        """The site and the page that it is for."""
        return self.site, self.page_slug


_ENTRY = msgspec.msgpack.Decoder(Entry)


def entry_of(written: bytes) -> Entry:
    """What a mutation is called, and where it applies; raises msgspec.MsgspecError."""
    return _ENTRY.decode(written)


class Roster(Struct, frozen=True):
    """What the bytes of all mutations say. An entry that is the very object of another roster has the same bytes there."""

    pieces: Pieces
    entries: list[Entry]
    """By place in the file."""
    places: dict[str, int]
    """Id -> place."""
    versions: dict[str, int]
    """Id -> version."""
    reading_visits: set[int]
    """Places of those that may read what is remembered of visits; nearly always none."""

    def enter(self, place: int, entry: Entry) -> None:
        """What is at a place from now on; one place after another, none left out at the end."""
        if place == len(self.entries):
            self.entries.append(entry)
        else:
            self.forget(place, self.entries[place])
            self.entries[place] = entry
        self.places[entry.id] = place
        self.versions[entry.id] = entry.version

    def forget(self, place: int, entry: Entry) -> None:
        """What was at a place, unless it has another by now."""
        if self.places.get(entry.id) == place:
            del self.places[entry.id], self.versions[entry.id]


def roster_of(pieces: Pieces, pause: Pause, look: Look | None = None, before: Roster | None = None) -> Roster:
    """The roster of a file; only what `before` does not have is read. Raises RulesError and msgspec.MsgspecError."""
    found = Roster(pieces, [], {}, {}, set()) if before is None else _copied(before, pieces)
    for places in _fresh(pieces, None if before is None else before.pieces):
        pause()
        stretch = pieces.bytes_of(places)
        if look is not None:
            look(stretch)
        found.reading_visits.difference_update(places)
        if mentions_visits(stretch):
            found.reading_visits.update(place for place in places if mentions_visits(pieces[place]))
        for place in places:
            found.enter(place, _like(pieces[place], before))
    if before is not None:
        for place, entry in enumerate(before.entries[len(pieces) :], start=len(pieces)):
            found.forget(place, entry)
    if len(found.places) != len(found.entries):
        twice = next(place for place, entry in enumerate(found.entries) if found.places.get(entry.id) != place)
        raise RulesError(f"the id {found.entries[twice].id!r} is used twice", f"$.mutations[{twice}].id")
    return found


def _copied(before: Roster, pieces: Pieces) -> Roster:
    """The roster before, for a file that may be shorter: what is left over is still to be forgotten."""
    size = len(pieces)
    reading = {place for place in before.reading_visits if place < size}
    return Roster(pieces, before.entries[:size], before.places.copy(), before.versions.copy(), reading)


def _fresh(pieces: Pieces, before: Pieces | None) -> Iterator[range]:
    """The places of the stretches that the file before does not have there, byte for byte."""
    known = () if before is None else before.digests()
    for number, digest in enumerate(pieces.digests()[1:]):
        places = pieces.stretch(number)
        is_known = known[number + 1 : number + 2] == (digest,)
        if before is None or not is_known or before.lengths_of(places) != pieces.lengths_of(places):
            yield places


def _like(written: bytes, before: Roster | None) -> Entry:
    """The entry of a mutation: that of the roster before, if the same bytes are there."""
    entry = entry_of(written)
    place = None if before is None else before.places.get(entry.id)
    if before is None or place is None or before.pieces[place] != written:
        return entry
    return before.entries[place]


class WrittenRows(dict[int, Row | Outcome]):
    """Place in the file -> the row, or the outcome of one that can't be used. Holds those that were asked for."""

    def __init__(self, mutations: Sequence[bytes], company: Company, left_out: LeftOut) -> None:
        super().__init__()
        self._mutations = mutations
        self._company = company
        self._left_out = left_out

    def __missing__(self, place: int) -> Row | Outcome:
        written = self._mutations[place]
        row: Row | Outcome
        try:
            row = compile_row(mutation_of(written), self._company, f"$.mutations[{place}]")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one rule, the visit goes on without it
            row = Outcome(entry_of(written).id, Reason.UNUSABLE, str(error))
            self._left_out(row)
        self[place] = row
        return row


class Written(Struct, frozen=True):
    """What is read of a table that this engine has checked, and what the next one takes over of it."""

    roster: Roster
    company: Company
    rows: WrittenRows
    index: PageIndex
    """Has the places of rows."""


def read(
    pieces: Pieces, left_out: LeftOut, *, pause: Pause, look: Look | None = None, before: Written | None = None
) -> Written:
    """All mutations without their rows; the rows are made as visits need them. Raises RulesError, msgspec.MsgspecError and
    ValueError.

    What is the same bytes in the table before is not made again, and neither of the two changes the other. A row depends on its own
    bytes and on its company, so it stays where both do. `look` is shown what is not the same.
    """
    roster = roster_of(pieces, pause, look, None if before is None else before.roster)
    if before is None or before.roster.pieces.others != pieces.others:
        if look is not None:
            look(pieces.others)
        company = company_of(pieces.rest())
        rows = WrittenRows(pieces, company, left_out)
    else:
        company = before.company
        rows = WrittenRows(pieces, company, left_out)
        rows.update(_taken_over(before, roster, pause))
    pause()
    if before is not None and _has_same_addresses(before.roster, roster):
        return Written(roster, company, rows, before.index)
    return Written(roster, company, rows, PageIndex(_addresses(roster, pause)))


def _taken_over(before: Written, now: Roster, pause: Pause) -> Iterator[tuple[int, Row]]:
    """Place and row of what was compiled of the same bytes. What could not be used is tried again, and said again."""
    compiled = dict(before.rows)  # made in one go: visits go on adding to it
    for number, (place, row) in enumerate(compiled.items()):
        if number % PAUSE_EVERY == 0:
            pause()
        entry = before.roster.entries[place]
        here = now.places.get(entry.id)
        if here is not None and now.entries[here] is entry and isinstance(row, Row):
            yield here, row


def _has_same_addresses(before: Roster, now: Roster) -> bool:
    if len(before.entries) != len(now.entries):
        return False
    others = compress(zip(before.entries, now.entries, strict=True), map(is_not, before.entries, now.entries))
    return all(a.address == b.address for a, b in others)


def _addresses(roster: Roster, pause: Pause) -> Iterator[tuple[str, str]]:
    for place, entry in enumerate(roster.entries):
        if place % PAUSE_EVERY == 0:
            pause()
        yield entry.address

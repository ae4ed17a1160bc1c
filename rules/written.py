"""Rows as they are written in a table, each decoded and compiled when a visit first needs it, and then kept.

For tables whose signer has run the checks of this very engine over these very bytes (`rules.table`): running all of them
again before the first visit would take seconds. They run all the same, for each row before it is used.
Counterpart: `rules.rows` compiles; tables that somebody else has checked are compiled whole, and never come here.
Never: an exception for any bytes; what can't be used after all is left out, and whoever listens is told once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from rules.decision import Outcome
from rules.model import LayoutMutation
from rules.reasons import Reason
from rules.rows import Company, Row, compile_row

LeftOut = Callable[[Outcome], None]
"""Told of a mutation that is left out, and why."""

_MUTATION: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(LayoutMutation)


class Entry(Struct, frozen=True, rename="camel", gc=False):
    """What is asked of all mutations at once; the rest of each is skipped."""

    id: str
    site: str
    page_slug: str
    version: int


_ENTRY = msgspec.msgpack.Decoder(Entry)


def entry_of(written: Raw) -> Entry:
    """What a mutation is called, and where it applies; raises msgspec.MsgspecError."""
    return _ENTRY.decode(written)


def mutation_of(written: Raw) -> LayoutMutation:
    """A mutation from its bytes; raises msgspec.MsgspecError and ValueError."""
    mutation: LayoutMutation = _MUTATION.decode(written)
    return mutation


class WrittenRows(dict[int, Row | Outcome]):
    """Rank by precedence -> the row, or the outcome of one that can't be used. Holds those that were asked for."""

    def __init__(self, mutations: Sequence[Raw], order: Sequence[int], company: Company, left_out: LeftOut) -> None:
        """`mutations` as in the file; `order` has the place in it of each rank."""
        super().__init__()
        self._mutations = mutations
        self._order = order
        self._company = company
        self._left_out = left_out

    def __missing__(self, rank: int) -> Row | Outcome:
        place = self._order[rank]
        written = self._mutations[place]
        row: Row | Outcome
        try:
            row = compile_row(mutation_of(written), self._company, f"$.mutations[{place}]")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one rule, the visit goes on without it
            row = Outcome(entry_of(written).id, Reason.UNUSABLE, str(error))
            self._left_out(row)
        self[rank] = row
        return row

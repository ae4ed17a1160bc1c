"""DecisionTable: immutable, content-addressed, signed. Bytes <-> table.

The body is msgpack: format, version, time, who has checked it, and the rules themselves as authors wrote them; nothing
compiled is sent. `seal` puts a signature round the body, `unseal` checks it before a byte is decoded. A table is compiled
whole when it is loaded, with every check there is, unless a trusted signer says that this very engine has done that: then
each row is compiled at its first use (`rules.written`).
Never: a key, a file or a socket; signing and verifying are functions handed in, and so is the engine's name.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from rules import limits
from rules.decision import Outcome
from rules.errors import RulesError, TableError
from rules.model import (
    SCHEMA_VERSION,
    DeclaredAttribute,
    Experiment,
    Module,
    RulesFile,
    SavedGroup,
    SchemaVersion,
    Segment,
    Toggle,
)
from rules.page_index import PageIndex
from rules.remembering import mentions_visits
from rules.rows import Company, Row, company_of, compile_rows
from rules.written import Entry, LeftOut, WrittenRows, entry_of, mutation_of

FORMAT = 3
"""What is written. Formats 1 (without engine and order) and 2 (without attributes, saved groups and toggles) are read too."""
UNCHECKED = ""
"""The name of no engine: loading compiles whole."""
_FORMATS = (1, 2, FORMAT)
_DOMAIN = b"layout-mutation decision table\x00"
"""Goes before what is signed, so that a signature made for something else is never valid here."""


PAUSE_EVERY = 100
"""Mutations between two pauses of a load: less than a millisecond's work."""

Pause = Callable[[], None]
"""Called between the pieces of a long task, for whoever wants to let others have their turn."""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    version: int
    created_at: datetime
    rules: Raw
    engine: str = UNCHECKED
    """Whose checks the rules have passed."""
    order: list[int] = []
    """Places of the mutations in the rules, highest precedence first."""


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A rules file whose mutations are still bytes."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    mutations: Annotated[list[Raw], Meta(max_length=limits.ENTRIES_MAX)] = []
    experiments: Annotated[list[Experiment], Meta(max_length=limits.ENTRIES_MAX)] = []
    modules: Annotated[list[Module], Meta(max_length=limits.ENTRIES_MAX)] = []
    segments: Annotated[list[Segment], Meta(max_length=limits.ENTRIES_MAX)] = []
    attributes: Annotated[list[DeclaredAttribute], Meta(max_length=limits.ATTRIBUTES_DECLARED_MAX)] = []
    saved_groups: Annotated[list[SavedGroup], Meta(max_length=limits.ENTRIES_MAX)] = []
    toggles: Annotated[list[Toggle], Meta(max_length=limits.ENTRIES_MAX)] = []

    def others(self) -> RulesFile:
        """All but the mutations: what they may refer to, and what switches them off."""
        fields = {name: getattr(self, name) for name in RulesFile.__struct_fields__ if name != "mutations"}
        return RulesFile(**fields)

    def whole(self) -> RulesFile:
        """The rules file, decoded anew; one mutation after another, so that other threads get their turn."""
        return msgspec.structs.replace(self.others(), mutations=[mutation_of(one) for one in self.mutations])


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: str
    signature: bytes
    body: bytes


class Stamp(msgspec.Struct, frozen=True):
    """Which table it is."""

    version: int
    created_at: datetime
    engine: str
    """Whose checks it has passed; UNCHECKED where nobody may rely on that."""


class _Page(msgspec.Struct, frozen=True):
    """The rules of a page."""

    rows: Sequence[Row | Outcome]
    reads: frozenset[str]


_PAGES_MAX = 10_000
"""Sets of rules that are known; a site has fewer kinds of pages, and each takes some hundred bytes."""


def _page_of(rows: Sequence[Row | Outcome]) -> _Page:
    usable = (row for row in rows if isinstance(row, Row))
    return _Page(rows, frozenset().union(*(row.reads for row in usable if row.served and not row.off)))


class DecisionTable:
    """Rules of one version, ready to decide; never changed once made. `compiled`, `from_bytes` and `unseal` make one."""

    def __init__(  # noqa: PLR0913 - each is a part that only a loader makes
        self,
        *,
        stamp: Stamp,
        rules: RulesFile | _Written,
        company: Company,
        rows: Sequence[Row] | WrittenRows,
        addresses: Iterable[tuple[str, str]],
        of_visits: Iterable[int],
        encoded: bytes | None = None,
        digest: str | None = None,
        versions: dict[str, int] | None = None,
    ) -> None:
        self.version = stamp.version
        self.created_at = stamp.created_at
        self.engine = stamp.engine
        self.company = company
        """What its mutations refer to."""
        self._rules = rules
        self._rows = rows
        """By rank: 0 has the highest precedence."""
        own = [row.reads for rank in of_visits if isinstance(row := rows[rank], Row) and row.served]
        self.memory = company.memory.reading(company.reads.union(*own))
        """What is remembered of visitors. `of_visits` are the ranks of rows that may read `VISIT_ATTRIBUTES`."""
        self._index = PageIndex(addresses)
        self._pages: dict[tuple[int, ...], _Page] = {}
        """Ranks of the rules of a page -> what is known of them."""
        self._last: tuple[str, str, _Page] | None = None
        self._encoded = encoded
        self._digest = digest
        self._versions = versions

    @property
    def size(self) -> int:
        """How many mutations it has, usable or not."""
        return len(self._rules.mutations)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecisionTable) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<DecisionTable version={self.version} digest={self.digest[:12]} mutations={self.size}>"

    @property
    def rules(self) -> RulesFile:
        """The rules as they were written; a table from bytes may have to decode them, each time."""
        return self._rules.whole() if isinstance(self._rules, _Written) else self._rules

    @property
    def others(self) -> RulesFile:
        """The rules without their mutations."""
        written = self._rules
        return written.others() if isinstance(written, _Written) else msgspec.structs.replace(written, mutations=[])

    @property
    def rows(self) -> tuple[Row, ...]:
        """All mutations that can be used, highest precedence first; compiles those that no visit has met."""
        found = [self._rows[rank] for rank in range(self.size)]
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
        ranks = tuple(self._index.find(site, path))
        page = self._pages.get(ranks)
        if page is None:
            if len(self._pages) >= _PAGES_MAX:
                self._pages.clear()
            page = self._pages[ranks] = _page_of([self._rows[rank] for rank in ranks])
        self._last = (path, site, page)
        return page

    def versions(self, ids: Collection[str] | None = None) -> dict[str, int]:
        """Id -> version, of those mutations that are named; None: of all."""
        if self._versions is None:
            written = self._rules
            entries = map(entry_of, written.mutations) if isinstance(written, _Written) else written.mutations
            self._versions = {entry.id: entry.version for entry in entries}
        known = self._versions
        return known if ids is None else {name: known[name] for name in ids if name in known}

    @property
    def digest(self) -> str:
        """SHA-256 of the rules, 64 hexadecimal digits: equal for equal rules, whatever version, time and engine say."""
        if self._digest is None:
            self._digest = sha256(msgspec.msgpack.encode(self.rules)).hexdigest()
        return self._digest

    def to_bytes(self) -> bytes:
        """The body, unsigned."""
        if self._encoded is None:
            self._encoded = self._body()
        return self._encoded

    def _body(self) -> bytes:
        rules = self.rules
        places = {mutation.id: place for place, mutation in enumerate(rules.mutations)}
        body = _Body(
            format=FORMAT,
            version=self.version,
            created_at=self.created_at,
            rules=Raw(msgspec.msgpack.encode(rules)),
            engine=self.engine,
            order=[places[row.mutation.id] for row in self.rows],
        )
        return msgspec.msgpack.encode(body)

    @staticmethod
    def from_bytes(body: bytes) -> "DecisionTable":
        """A table from its body, compiled whole: nobody has signed it. Raises TableError, and nothing else."""
        return _loaded(body, UNCHECKED, _nobody, _at_once)


def compiled(
    rules: RulesFile, *, version: int, created_at: datetime, engine: str, encoded: bytes | None = None
) -> DecisionTable:
    """A table of these rules, with every check there is; raises RulesError. `encoded` is its body, if it came from one."""
    company = company_of(rules)
    rows = compile_rows(rules, company)
    return DecisionTable(
        stamp=Stamp(version, created_at, engine),
        rules=rules,
        company=company,
        rows=rows,
        addresses=((row.mutation.site, row.mutation.page_slug) for row in rows),
        of_visits=range(len(rows)),
        encoded=encoded,
    )


def key_id(public_key: bytes) -> str:
    """Which key signed: the first 16 hexadecimal digits of SHA-256 of the raw 32-byte Ed25519 public key."""
    return sha256(public_key).hexdigest()[:16]


def seal(table: DecisionTable, *, key_id: str, sign: Callable[[bytes], bytes]) -> bytes:
    """What is published and kept on disk: the body, the id of the key and the signature over both.

    For tables that this program has compiled: who signs vouches for the engine that the table names.
    """
    body = table.to_bytes()
    return msgspec.msgpack.encode(_Sealed(key_id, sign(_signed(key_id, body)), body))


def _nobody(_: Outcome) -> None:
    """Nobody listens."""


def _at_once() -> None:
    """Nobody else waits."""


def unseal(
    sealed: bytes,
    *,
    verify: Callable[[str, bytes, bytes], bool],
    engine: str = UNCHECKED,
    left_out: LeftOut = _nobody,
    pause: Pause = _at_once,
) -> DecisionTable:
    """The table in a sealed one; `verify(key_id, signature, message)`. Raises TableError, and nothing else.

    `engine` names who is asking: a table that has passed this engine's checks is compiled row by row, as visits need
    them, and `left_out` hears of a row that then can't be used. Without a name the table is compiled whole. `pause` is
    called again and again while the first kind is loaded.
    """
    envelope = _envelope_of(sealed)
    if not verify(envelope.key_id, envelope.signature, _signed(envelope.key_id, envelope.body)):
        raise TableError("bad_signature", f"no trusted key signed this table (it names key {envelope.key_id[:16]!r})")
    return _loaded(envelope.body, engine, left_out, pause)


def engine_of(sealed: bytes) -> str:
    """Whose checks a sealed table says it has passed, whoever signed it; raises TableError."""
    return _body_of(_envelope_of(sealed).body).engine


def _signed(key_id: str, body: bytes) -> bytes:
    return _DOMAIN + key_id.encode("utf-8", "surrogatepass") + b"\x00" + body


def _envelope_of(sealed: bytes) -> _Sealed:
    _check_size(sealed)
    try:
        return msgspec.msgpack.decode(sealed, type=_Sealed)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise TableError("malformed", f"not a sealed table: {error}") from None


def _loaded(encoded: bytes, engine: str, left_out: LeftOut, pause: Pause) -> DecisionTable:
    """A table from its body; compiled whole, unless this engine has checked it. Raises TableError."""
    _check_size(encoded)
    body, kept = _body_of(encoded), bytes(encoded)
    pause()
    try:
        written = msgspec.msgpack.decode(body.rules, type=_Written)
        pause()
        if engine != UNCHECKED and body.engine == engine:
            return _checked(body, written, kept, left_out, pause)
        return compiled(
            written.whole(), version=body.version, created_at=body.created_at, engine=body.engine, encoded=kept
        )
    except RulesError as error:
        raise TableError("invalid_rules", str(error)) from None
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise TableError("malformed", str(error)) from None


def _checked(body: _Body, written: _Written, encoded: bytes, left_out: LeftOut, pause: Pause) -> DecisionTable:
    """A table whose rows are compiled at their first use. Raises RulesError, msgspec.MsgspecError and ValueError."""
    if sorted(body.order) != [*range(len(written.mutations))]:
        raise ValueError("the order does not name each mutation once")
    entries: list[Entry] = []
    versions: dict[str, int] = {}
    reading_visits: set[int] = set()
    """Places of the mutations that may read what is remembered of visits; nearly always none."""
    for place, one in enumerate(written.mutations):
        _now_and_then(place, pause)
        entries.append(entry := entry_of(one))
        versions[entry.id] = entry.version
        if mentions_visits(bytes(one)):
            reading_visits.add(place)
    company = company_of(written.others())
    return DecisionTable(
        stamp=Stamp(body.version, body.created_at, body.engine),
        rules=written,
        company=company,
        rows=WrittenRows(written.mutations, body.order, company, left_out),
        addresses=_addresses(entries, body.order, pause),
        of_visits=[rank for rank, place in enumerate(body.order) if place in reading_visits],
        encoded=encoded,
        digest=sha256(body.rules).hexdigest(),
        versions=versions,
    )


def _addresses(entries: Sequence[Entry], order: Sequence[int], pause: Pause) -> Iterator[tuple[str, str]]:
    for rank, place in enumerate(order):
        _now_and_then(rank, pause)
        yield entries[place].site, entries[place].page_slug


def _now_and_then(number: int, pause: Pause) -> None:
    if number % PAUSE_EVERY == 0:
        pause()


def _check_size(data: bytes) -> None:
    if len(data) > limits.TABLE_BYTES_MAX:
        raise TableError("too_large", f"{len(data):,} bytes; at most {limits.TABLE_BYTES_MAX:,}")


def _body_of(encoded: bytes) -> _Body:
    try:
        body = msgspec.msgpack.decode(encoded, type=_Body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        _check_format(encoded)
        raise TableError("malformed", str(error)) from None
    if body.format not in _FORMATS:
        raise _unknown(body.format)
    return body


def _check_format(encoded: bytes) -> None:
    """What can't be read may be of a later format: that is the better word for it. Raises TableError then, or nothing."""
    try:
        found = msgspec.msgpack.decode(encoded, type=dict[str, Raw]).get("format")
        number = FORMAT if found is None else msgspec.msgpack.decode(found)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return
    if number not in _FORMATS:
        raise _unknown(number)


def _unknown(number: object) -> TableError:
    known = " and ".join(map(str, _FORMATS))
    return TableError("unknown_format", f"format {number!r}; this version reads {known}")

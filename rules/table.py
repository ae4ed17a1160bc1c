"""DecisionTable: immutable, content-addressed, signed. Bytes <-> table.

The body is msgpack: format, version, time, who has checked it, and the rules themselves as authors wrote them; nothing
compiled is sent. `seal` puts a signature round the body, `unseal` checks it before a byte is decoded. A table is compiled
whole when it is loaded, with every check there is, unless a trusted signer says that this very engine has done that: then
each row is compiled at its first use (`rules.written`).
Never: a key, a file or a socket; signing and verifying are functions handed in, and so is the engine's name.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from hashlib import sha256, sha512
from typing import Protocol

import msgspec
from msgspec import Raw

from rules import limits, pieces
from rules.decision import Outcome
from rules.errors import RulesError, TableError
from rules.model import RulesFile
from rules.page_index import PageIndex
from rules.pieces import Pieces
from rules.rows import Company, Row, company_of, compile_rows
from rules.written import LeftOut, Look, Pause, Written, WrittenRows, read

FORMAT = 4
"""What is written. Read are also 1 (without engine and order), 2 (without attributes, saved groups and toggles) and 3 (without
lengths: such a table is walked over in one go)."""
UNCHECKED = ""
"""The name of no engine: loading compiles whole."""
_FORMATS = (1, 2, 3, FORMAT)
_DOMAIN = b"layout-mutation decision table\x00"
"""Goes before what was signed up to format 3, so that a signature made for something else is never valid here."""
_HASHED_DOMAIN = b"layout-mutation decision table by its SHA-512\x00"
"""The same where the body's digest is signed in its place."""
_HASHED_BYTES = 256 * 1024
"""Of a body, hashed in one go: less than a millisecond's work."""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    version: int
    created_at: datetime
    rules: Raw
    """From format 4 on a string of bytes, which is skipped without a look at it; before that the file itself."""
    engine: str = UNCHECKED
    """Whose checks the rules have passed."""
    order: list[int] = []
    """Places of the mutations in the rules, highest precedence first."""
    lengths: list[int] = []
    """In bytes: of what goes before the mutations in the rules, and of each of them (`rules.pieces`)."""


class _Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key_id: str
    signature: bytes
    hashed: bool = False
    """Whether the body's SHA-512 is signed, which can be found bit by bit, and not the body itself."""
    body: memoryview
    """A part of the sealed bytes, which are large: nobody copies them in one go."""


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


def _ranks_of(order: Sequence[int]) -> list[int]:
    ranks = [0] * len(order)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks


class DecisionTable:
    """Rules of one version, ready to decide; never changed once made. `compiled`, `from_bytes` and `unseal` make one."""

    def __init__(  # noqa: PLR0913 - each is a part that only a loader makes
        self,
        *,
        stamp: Stamp,
        rules: RulesFile | Pieces,
        company: Company,
        rows: Sequence[Row] | WrittenRows,
        order: Sequence[int],
        index: PageIndex,
        of_visits: Iterable[int],
        encoded: bytes | memoryview | None = None,
        digest: str | None = None,
        written: Written | None = None,
    ) -> None:
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
        self._encoded = encoded
        self._digest = digest
        self.written = written
        """What the next table may take over."""
        self._versions = None if written is None else written.roster.versions

    @property
    def size(self) -> int:
        """How many mutations it has, usable or not."""
        return len(self._order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecisionTable) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<DecisionTable version={self.version} digest={self.digest[:12]} mutations={self.size}>"

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
        """SHA-256 of the rules, 64 hexadecimal digits: equal for equal rules, whatever version, time and engine say."""
        if self._digest is None:
            self._digest = sha256(msgspec.msgpack.encode(self.rules)).hexdigest()
        return self._digest

    def to_bytes(self) -> bytes:
        """The body, unsigned."""
        if self._encoded is None:
            self._encoded = self._body()
        return bytes(self._encoded)

    def _body(self) -> bytes:
        rules = self.rules
        places = {mutation.id: place for place, mutation in enumerate(rules.mutations)}
        encoded, lengths = pieces.written(rules)
        body = _Body(
            format=FORMAT,
            version=self.version,
            created_at=self.created_at,
            rules=Raw(msgspec.msgpack.encode(encoded)),
            engine=self.engine,
            order=[places[row.mutation.id] for row in self.rows],
            lengths=lengths,
        )
        return msgspec.msgpack.encode(body)

    @staticmethod
    def from_bytes(body: bytes) -> "DecisionTable":
        """A table from its body, compiled whole: nobody has signed it. Raises TableError, and nothing else."""
        return _loaded(memoryview(body), _Load(UNCHECKED, _nobody, _at_once))


def compiled(
    rules: RulesFile, *, version: int, created_at: datetime, engine: str, encoded: memoryview | None = None
) -> DecisionTable:
    """A table of these rules, with every check there is; raises RulesError. `encoded` is its body, if it came from one."""
    company = company_of(rules)
    rows = compile_rows(rules, company)
    return DecisionTable(
        stamp=Stamp(version, created_at, engine),
        rules=rules,
        company=company,
        rows=rows,
        order=range(len(rows)),
        index=PageIndex((row.mutation.site, row.mutation.page_slug) for row in rows),
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
    unsigned = _Sealed(key_id=key_id, signature=b"", hashed=True, body=memoryview(table.to_bytes()))
    return msgspec.msgpack.encode(msgspec.structs.replace(unsigned, signature=sign(_signed(unsigned, _at_once))))


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...

    def digest(self) -> bytes: ...

    def hexdigest(self) -> str: ...


def _nobody(_: Outcome) -> None:
    """Nobody listens."""


def _at_once() -> None:
    """Nobody else waits."""


class _Load(msgspec.Struct, frozen=True):
    """How a table is loaded."""

    engine: str
    left_out: LeftOut
    pause: Pause
    look: Look | None = None
    before: DecisionTable | None = None


def unseal(
    sealed: bytes,
    *,
    verify: Callable[[str, bytes, bytes], bool],
    engine: str = UNCHECKED,
    left_out: LeftOut = _nobody,
    pause: Pause = _at_once,
    look: Look | None = None,
    before: DecisionTable | None = None,
) -> DecisionTable:
    """The table in a sealed one; `verify(key_id, signature, message)`. Raises TableError, and nothing else.

    `engine` names who is asking: a table that has passed this engine's checks is compiled row by row, as visits need
    them, and `left_out` hears of a row that then can't be used. Without a name the table is compiled whole. `pause` is
    called again and again while the first kind is loaded. `before` is a table that was loaded earlier: what is the same
    bytes in both is taken over from it, and it is neither changed nor kept. `look` is shown the rules, in pieces, but for what
    `before` has too.
    """
    envelope = _envelope_of(sealed)
    if not verify(envelope.key_id, envelope.signature, _signed(envelope, pause)):
        raise TableError("bad_signature", f"no trusted key signed this table (it names key {envelope.key_id[:16]!r})")
    pause()
    return _loaded(envelope.body, _Load(engine, left_out, pause, look, before))


def engine_of(sealed: bytes) -> str:
    """Whose checks a sealed table says it has passed, whoever signed it; raises TableError."""
    return _body_of(_envelope_of(sealed).body).engine


def _signed(envelope: _Sealed, pause: Pause) -> bytes:
    key_id, body = envelope.key_id.encode("utf-8", "surrogatepass"), envelope.body
    if not envelope.hashed:
        return b"".join((_DOMAIN, key_id, b"\x00", body))
    return b"".join((_HASHED_DOMAIN, key_id, b"\x00", _hashed(sha512(), body, pause).digest()))


def _hashed(found: _Hash, data: memoryview, pause: Pause) -> _Hash:
    for start in range(0, len(data), _HASHED_BYTES):
        pause()
        found.update(data[start : start + _HASHED_BYTES])
    return found


def _envelope_of(sealed: bytes) -> _Sealed:
    _check_size(sealed)
    try:
        return msgspec.msgpack.decode(sealed, type=_Sealed)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise TableError("malformed", f"not a sealed table: {error}") from None


def _loaded(encoded: memoryview, load: _Load) -> DecisionTable:
    """A table from its body; compiled whole, unless this engine has checked it. Raises TableError."""
    _check_size(encoded)
    body = _body_of(encoded)
    load.pause()
    try:
        rules, found = _rules_of(body)
        load.pause()
        if load.engine != UNCHECKED and body.engine == load.engine:
            return _checked(body, rules, found, encoded, load)
        if load.look is not None:
            load.look(bytes(rules))
        whole = found.whole()
        return compiled(whole, version=body.version, created_at=body.created_at, engine=body.engine, encoded=encoded)
    except RulesError as error:
        raise TableError("invalid_rules", str(error)) from None
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise TableError("malformed", str(error)) from None


def _rules_of(body: _Body) -> tuple[memoryview, Pieces]:
    """The rules of a body as a file in MessagePack, and in pieces. Raises msgspec.MsgspecError and ValueError."""
    if body.format < FORMAT:
        return memoryview(body.rules), pieces.walked(body.rules)
    rules = msgspec.msgpack.decode(body.rules, type=memoryview)
    return rules, pieces.taken_apart(rules, body.lengths)


def _checked(body: _Body, rules: memoryview, found: Pieces, encoded: memoryview, load: _Load) -> DecisionTable:
    """A table whose rows are compiled at their first use. Raises RulesError, msgspec.MsgspecError and ValueError."""
    if sorted(body.order) != [*range(len(found))]:
        raise ValueError("the order does not name each mutation once")
    before = load.before if load.before is not None and load.before.engine == body.engine else None
    digest = _hashed(sha256(), rules, load.pause).hexdigest()
    load.pause()
    written = read(
        found, load.left_out, pause=load.pause, look=load.look, before=None if before is None else before.written
    )
    load.pause()
    return DecisionTable(
        stamp=Stamp(body.version, body.created_at, body.engine),
        rules=found,
        company=written.company,
        rows=written.rows,
        order=body.order,
        index=written.index,
        of_visits=written.roster.reading_visits,
        encoded=encoded,
        digest=digest,
        written=written,
    )


def _check_size(data: bytes | memoryview) -> None:
    if len(data) > limits.TABLE_BYTES_MAX:
        raise TableError("too_large", f"{len(data):,} bytes; at most {limits.TABLE_BYTES_MAX:,}")


def _body_of(encoded: memoryview) -> _Body:
    try:
        body = msgspec.msgpack.decode(encoded, type=_Body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        _check_format(encoded)
        raise TableError("malformed", str(error)) from None
    if body.format not in _FORMATS:
        raise _unknown(body.format)
    return body


def _check_format(encoded: memoryview) -> None:
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

"""DecisionTable: immutable, content-addressed, signed. Bytes <-> table.

The body is msgpack: format, version, time and the rules themselves; loading compiles them again, so that an edge never
trusts another program's checks. `seal` puts a signature round the body, `unseal` checks it before a byte is decoded.
Never: a key, a file or a socket; signing and verifying are functions handed in.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from hashlib import sha256

import msgspec

from rules import limits
from rules.errors import RulesError, TableError
from rules.model import RulesFile
from rules.pages import first_segment
from rules.rows import Row, compile_rows

FORMAT = 1
_DOMAIN = b"layout-mutation decision table\x00"
"""Goes before what is signed, so that a signature made for something else is never valid here."""


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    version: int
    created_at: datetime
    rules: RulesFile


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: str
    signature: bytes
    body: bytes


class DecisionTable:
    """Compiled rules of one version; never changed once made. Raises RulesError where the rules don't compile."""

    def __init__(self, *, version: int, created_at: datetime, rules: RulesFile) -> None:
        self.version = version
        self.created_at = created_at
        self.rules = rules
        self.rows = compile_rows(rules)
        """All mutations, highest precedence first."""
        self._by_segment, self._elsewhere = _index(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DecisionTable) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<DecisionTable version={self.version} digest={self.digest[:12]} mutations={len(self.rows)}>"

    @cached_property
    def _bytes(self) -> bytes:
        return msgspec.msgpack.encode(_Body(FORMAT, self.version, self.created_at, self.rules))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the rules, 64 hexadecimal digits: equal for equal rules, whatever version and time say."""
        return sha256(msgspec.msgpack.encode(self.rules)).hexdigest()

    def to_bytes(self) -> bytes:
        """The body, unsigned."""
        return self._bytes

    @classmethod
    def from_bytes(cls, body: bytes) -> "DecisionTable":
        """A table from its body; raises TableError, and nothing else, whatever the bytes are."""
        if len(body) > limits.TABLE_BYTES_MAX:
            raise TableError("too_large", f"{len(body):,} bytes; at most {limits.TABLE_BYTES_MAX:,}")
        decoded = _decoded_body(body)
        try:
            table = cls(version=decoded.version, created_at=decoded.created_at, rules=decoded.rules)
        except RulesError as error:
            raise TableError("invalid_rules", str(error)) from None
        table.__dict__["_bytes"] = bytes(body)
        return table

    def candidates(self, path: str) -> tuple[Row, ...]:
        """The rows whose page pattern can match `path`, highest precedence first."""
        segment = path[1:].split("/", 1)[0]
        return self._by_segment.get(segment, self._elsewhere)


def key_id(public_key: bytes) -> str:
    """Which key signed: the first 16 hexadecimal digits of SHA-256 of the raw 32-byte Ed25519 public key."""
    return sha256(public_key).hexdigest()[:16]


def seal(table: DecisionTable, *, key_id: str, sign: Callable[[bytes], bytes]) -> bytes:
    """What is published and kept on disk: the body, the id of the key and the signature over both."""
    body = table.to_bytes()
    return msgspec.msgpack.encode(_Sealed(key_id, sign(_signed(key_id, body)), body))


def unseal(sealed: bytes, *, verify: Callable[[str, bytes, bytes], bool]) -> DecisionTable:
    """The table in a sealed one; `verify(key_id, signature, message)`. Raises TableError, and nothing else."""
    if len(sealed) > limits.TABLE_BYTES_MAX:
        raise TableError("too_large", f"{len(sealed):,} bytes; at most {limits.TABLE_BYTES_MAX:,}")
    try:
        envelope = msgspec.msgpack.decode(sealed, type=_Sealed)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise TableError("malformed", f"not a sealed table: {error}") from None
    if not verify(envelope.key_id, envelope.signature, _signed(envelope.key_id, envelope.body)):
        raise TableError("bad_signature", f"no trusted key signed this table (it names key {envelope.key_id[:16]!r})")
    return DecisionTable.from_bytes(envelope.body)


def _signed(key_id: str, body: bytes) -> bytes:
    return _DOMAIN + key_id.encode("utf-8", "surrogatepass") + b"\x00" + body


def _decoded_body(body: bytes) -> _Body:
    try:
        found = msgspec.msgpack.decode(body, type=dict[str, msgspec.Raw]).get("format")
        if found is not None and (number := msgspec.msgpack.decode(found)) != FORMAT:
            raise TableError("unknown_format", f"format {number!r}; this version reads {FORMAT}")
        return msgspec.msgpack.decode(body, type=_Body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError("malformed", str(error)) from None


def _index(rows: tuple[Row, ...]) -> tuple[Mapping[str, tuple[Row, ...]], tuple[Row, ...]]:
    """Rows by the literal first segment of their page; those without one are in every list, in precedence order."""
    segments = {first_segment(row.mutation.page_slug) for row in rows} - {None}
    elsewhere = tuple(row for row in rows if first_segment(row.mutation.page_slug) is None)
    lists: dict[str, list[tuple[int, Row]]] = {segment: [] for segment in segments if segment is not None}
    shared: list[tuple[int, Row]] = []
    for position, row in enumerate(rows):
        segment = first_segment(row.mutation.page_slug)
        (shared if segment is None else lists[segment]).append((position, row))
    merged = {
        segment: tuple(row for _, row in sorted([*own, *shared], key=lambda pair: pair[0]))
        for segment, own in lists.items()
    }
    return merged, elsewhere

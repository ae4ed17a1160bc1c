"""Sealed tables: bytes <-> DecisionTable, signed by who compiled it.

A sealed table has a *head* and the rules in MessagePack as authors wrote them; nothing compiled is sent. The head says which
table it is, who has checked it, how long each mutation is, and the SHA-256 of each stretch of the rules (`rules.pieces`). The
signature is over the head. So whoever has the table before need not digest again what is the same bytes in both.
Counterparts: `rules.envelope` reads the outside and `rules.sealed_before` the format before this one, `control_plane.signing`
signs, `sidecar.tables` verifies.
Never: a key, a file or a socket; signing and verifying are functions handed in, and so is the engine's name. A byte that is
decoded before it was checked against signature or digest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from rules import envelope, limits, pieces, sealed_before
from rules.errors import RulesError, TableError
from rules.pieces import Pause, Pieces
from rules.sealed_before import Verify
from rules.table import UNCHECKED, DecisionTable, Head, Load, compiled, compiled_late
from rules.written import LeftOut, Look

FORMAT = 5
"""What is written. Read is also the one before, so that sidecars can be upgraded first."""
_DOMAIN = b"layout-mutation decision table by its head\x00"
"""Goes before what is signed, so that a signature made for something else is never valid here."""


class _Head(Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    digests: Annotated[list[bytes], Meta(min_length=1)]
    """`Pieces.digests` of the rules."""


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What is written; `rules.envelope` reads it."""

    format: int = FORMAT
    key_id: str
    signature: bytes
    head: memoryview
    rules: memoryview


def key_id(public_key: bytes) -> str:
    """Which key signed: the first 16 hexadecimal digits of SHA-256 of the raw 32-byte Ed25519 public key."""
    return sha256(public_key).hexdigest()[:16]


def seal(table: DecisionTable, *, key_id: str, sign: Callable[[bytes], bytes]) -> bytes:
    """What is published and kept on disk: the id of the key, the signature over it and the head, the head and the rules.

    For tables that this program has compiled: who signs vouches for the engine that the table names.
    """
    rules, lengths = pieces.written(table.rules)
    head = _Head(
        version=table.version,
        created_at=table.created_at,
        engine=table.engine,
        order=table.order,
        lengths=lengths,
        digests=[*pieces.taken_apart(memoryview(rules), lengths).digests()],
    )
    written = memoryview(msgspec.msgpack.encode(head))
    signature = sign(_message(key_id, written))
    return msgspec.msgpack.encode(_Envelope(key_id=key_id, signature=signature, head=written, rules=memoryview(rules)))


def unseal(
    sealed: bytes | bytearray,
    *,
    verify: Verify,
    engine: str = UNCHECKED,
    left_out: LeftOut = lambda _: None,
    pause: Pause = lambda: None,
    look: Look | None = None,
    before: DecisionTable | None = None,
) -> DecisionTable:
    """The table in a sealed one. Raises TableError, and nothing else. The bytes are kept, and must not change.

    `engine` names who is asking: a table that has passed this engine's checks is compiled row by row, as visits need
    them, and `left_out` hears of a row that then can't be used. Without a name the table is compiled whole. `pause` is
    called again and again while the first kind is loaded. `before` is a table that was loaded earlier: what is the same
    bytes in both is taken over from it, and it is neither changed nor kept. `look` is shown the rules, in pieces, but for what
    `before` has too.
    """
    load = Load(engine, left_out, pause, look, before)
    with _refusing():
        head, rules = _opened(sealed, verify, load)
        pause()
        if engine != UNCHECKED and head.engine == engine:
            return compiled_late(rules, head, load)
        if look is not None:
            look(rules.others)
            look(rules.bytes_of(range(len(rules))))
        return compiled(rules.whole(), head.stamp)


def engine_of(sealed: bytes) -> str:
    """Whose checks a sealed table says it has passed, whoever signed it; raises TableError."""
    with _refusing():
        return _opened(sealed, lambda *_: True, Load())[0].engine


@contextmanager
def _refusing() -> Iterator[None]:
    """Whatever is wrong with bytes in the block is a TableError."""
    try:
        yield
    except TableError:
        raise
    except RulesError as error:
        raise TableError("invalid_rules", str(error)) from None
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise TableError("malformed", str(error)) from None


def _opened(sealed: bytes | bytearray, verify: Verify, load: Load) -> tuple[Head, Pieces]:
    """What is in a table that a trusted key has signed. Raises TableError, msgspec.MsgspecError and ValueError."""
    if len(sealed) > limits.TABLE_BYTES_MAX:
        raise TableError("too_large", f"{len(sealed):,} bytes; at most {limits.TABLE_BYTES_MAX:,}")
    number = envelope.format_of(sealed, sealed_before.FORMAT)
    if number == sealed_before.FORMAT:
        return sealed_before.opened(sealed, verify, load.pause)
    if number != FORMAT:
        known = f"{sealed_before.FORMAT} and {FORMAT}"
        raise TableError("unknown_format", f"format {number}; this version reads {known}")
    fields = envelope.Fields(sealed, 5)
    fields.number("format")
    name, signature = fields.text("key_id"), fields.short("signature")
    signed, written = fields.long("head"), fields.long("rules")
    fields.end()
    if len(signed) > limits.TABLE_HEAD_BYTES_MAX:
        raise TableError("too_large", f"{len(signed):,} bytes of a head; at most {limits.TABLE_HEAD_BYTES_MAX:,}")
    if not verify(name, signature, _message(name, signed)):
        raise sealed_before.not_signed(name)
    load.pause()
    head = msgspec.msgpack.decode(signed, type=_Head)
    rules = pieces.taken_apart(written, head.lengths)
    if head.digests != [*rules.digests(load.pause, None if load.before is None else load.before.pieces)]:
        raise TableError("bad_signature", "its rules are not those whose digests were signed")
    return head, rules


def _message(key_id: str, head: memoryview) -> bytes:
    """What is signed."""
    return b"".join((_DOMAIN, key_id.encode(), b"\x00", head))

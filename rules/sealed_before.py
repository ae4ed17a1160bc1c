"""Sealed tables of format 4, as control planes sign them that were not upgraded yet, and as they stand on disks.

The body's SHA-512 was signed, so that all of it is digested for each table.
Counterpart: `rules.sealing`, which writes the present format. Gone with the next format, which has the present one before it.
Never: written.
"""

from collections.abc import Callable
from hashlib import sha512
from typing import Literal

import msgspec

from rules import pieces
from rules.envelope import Fields
from rules.errors import TableError
from rules.pieces import Pause, Pieces
from rules.table import Head

Verify = Callable[[str, bytes, bytes], bool]
"""`verify(key_id, signature, message)`: whether a trusted key of that name made the signature."""

FORMAT = 4
_DOMAIN = b"layout-mutation decision table by its SHA-512\x00"
_HASHED_BYTES = 256 * 1024
"""Of a body, hashed in one go: less than a millisecond's work."""


class _Body(Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal[4]
    rules: memoryview


def opened(sealed: bytes | bytearray, verify: Verify, pause: Pause) -> tuple[Head, Pieces]:
    """What is in a table that a trusted key has signed. Raises TableError, msgspec.MsgspecError and ValueError."""
    fields = Fields(sealed, 4)
    name, signature = fields.text("key_id"), fields.short("signature")
    fields.true("hashed")
    signed = fields.long("body")
    fields.end()
    hashed = sha512()
    for start in range(0, len(signed), _HASHED_BYTES):
        pause()
        hashed.update(signed[start : start + _HASHED_BYTES])
    if not verify(name, signature, b"".join((_DOMAIN, name.encode(), b"\x00", hashed.digest()))):
        raise not_signed(name)
    pause()
    body = msgspec.msgpack.decode(signed, type=_Body)
    return body, pieces.taken_apart(body.rules, body.lengths)


def not_signed(key_id: str) -> TableError:
    """The refusal of a table whose signature nobody here trusts."""
    return TableError("bad_signature", f"no trusted key signed this table (it names key {key_id[:16]!r})")

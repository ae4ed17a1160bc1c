"""Preview links: what one person is shown of rules that are not in force, signed, and small enough for an address.

A token is base64url of a signed, compressed record: until when it holds, variations that are forced, and perhaps a rules
file with one mutation and what it refers to. Who has the public keys of tables can check it without asking anybody.
Counterparts: `control_plane.preview_links` makes tokens, `sidecar.previews` shows what they say; `rules.table` signs alike.
Never: a byte decoded before its signature holds, or more decompressed than the bound.
"""

import base64
import binascii
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from msgspec import Struct, structs

from rules import limits
from rules.compiler import compile_table
from rules.errors import RulesError
from rules.model import LayoutMutation, RedirectMutation, RulesFile, decode_rules
from rules.rows import Row
from rules.table import DecisionTable

PARAMETER = "layout-mutation-preview"
PREFIX = "preview:"
"""Begins the id of a draft while it is shown, so that nothing that comes of it is laid to the mutation in force."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_DOMAIN = b"layout-mutation preview\x00"


class Refusal(StrEnum):
    """Why a token shows nothing."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    INVALID_RULES = "invalid_rules"


class Preview(Struct, frozen=True, forbid_unknown_fields=True):
    """What is shown to whoever has the token."""

    expires_at: int
    """Seconds since 1970."""
    forced: dict[str, str] = {}
    """Experiment id -> variation key."""
    rules: bytes = b""
    """A rules file in JSON: the draft, and what it refers to. Empty: the rules in force."""


class _Sealed(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    key_id: str
    signature: bytes
    body: bytes


def seal(preview: Preview, *, key_id: str, sign: Callable[[bytes], bytes]) -> str:
    """The token; ValueError where it would be too long for an address."""
    written = msgspec.msgpack.encode(preview)
    if len(written) > limits.PREVIEW_BYTES_MAX:
        raise ValueError(f"it has {len(written):,} bytes, at most {limits.PREVIEW_BYTES_MAX:,} can be shown by a link")
    body = zlib.compress(written, 9)
    sealed = msgspec.msgpack.encode(_Sealed(key_id, sign(_signed(key_id, body)), body))
    token = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
    if len(token) > limits.PREVIEW_TOKEN_CHARACTERS_MAX:
        most = limits.PREVIEW_TOKEN_CHARACTERS_MAX
        raise ValueError(f"the link would have {len(token):,} characters, of which addresses may have {most:,}")
    return token


def opened(token: str, *, verify: Callable[[str, bytes, bytes], bool], now_s: float) -> Preview | Refusal:
    """What a token says, or why it does not count; `verify(key_id, signature, message)`."""
    if len(token) > limits.PREVIEW_TOKEN_CHARACTERS_MAX:
        return Refusal.MALFORMED
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        sealed = msgspec.msgpack.decode(raw, type=_Sealed)
    except (binascii.Error, ValueError, RecursionError):
        return Refusal.MALFORMED
    if not verify(sealed.key_id, sealed.signature, _signed(sealed.key_id, sealed.body)):
        return Refusal.BAD_SIGNATURE
    try:
        written = zlib.decompressobj().decompress(sealed.body, limits.PREVIEW_BYTES_MAX)
        preview = msgspec.msgpack.decode(written, type=Preview)
    except (zlib.error, ValueError, RecursionError):
        return Refusal.MALFORMED
    return preview if now_s < preview.expires_at else Refusal.EXPIRED


def taken(target: str) -> tuple[str, str | None]:
    """An address without our parameter, and its first value; None where it has none. The rest stays byte for byte."""
    if PARAMETER not in target:
        return target, None
    path, _, query = target.partition("?")
    parts = query.split("&")
    values = [part.partition("=")[2] for part in parts if part.partition("=")[0] == PARAMETER]
    if not values:
        return target, None
    kept = "&".join(part for part in parts if part.partition("=")[0] != PARAMETER)
    return f"{path}?{kept}" if kept else path, values[0]


def with_draft(table: DecisionTable | None, draft: bytes, site: str, path: str) -> DecisionTable:
    """The rules of one page with a draft among them, in place of the mutation with its id; all checked anew.

    `draft` is what a `Preview` has as `rules`: what it refers to counts before what the table has under the same id.
    Raises RulesError. Cost: decoding and compiling the page's rules and all that rules may refer to.
    """
    given = decode_rules(draft)
    if len(given.mutations) != 1:
        raise RulesError("a preview shows one mutation", "$.mutations")
    [shown] = given.mutations
    if isinstance(shown, RedirectMutation):
        raise RulesError("a link shows no redirect: whoever makes one could send people anywhere", "$.mutations[0]")
    others = RulesFile() if table is None else table.others
    rows = () if table is None else table.candidates(site, path)
    present = [row.mutation for row in rows if isinstance(row, Row) and row.mutation.id != shown.id]
    rules = structs.replace(_beside(given, others), mutations=[_named(shown), *present])
    version, made = (0, _NEVER) if table is None else (table.version, table.created_at)
    return compile_table(rules, version=version, now=made)


def _named(draft: LayoutMutation) -> LayoutMutation:
    return structs.replace(draft, id=PREFIX + draft.id[: 64 - len(PREFIX)])


def _beside(given: RulesFile, others: RulesFile) -> RulesFile:
    merged: dict[str, object] = {}
    for name in RulesFile.__struct_fields__:
        if isinstance(mine := getattr(given, name), list):
            ids = {one.id for one in mine}
            merged[name] = [*mine, *(one for one in getattr(others, name) if one.id not in ids)]
    return structs.replace(given, **merged)


def _signed(key_id: str, body: bytes) -> bytes:
    return _DOMAIN + key_id.encode("utf-8", "surrogatepass") + b"\x00" + body

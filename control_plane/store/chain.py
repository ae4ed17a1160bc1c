"""The audit as a chain: each entry is sealed together with the one before it, so that no entry can change unnoticed.

Seal of an entry: HMAC-SHA256 (RFC 2104) under a key of the installation over all of its fields and the seal before it,
each field preceded by its length, so that no two entries read the same. Counterpart: stores append through `sealed`, and whoever
checks the chain asks `is_sound`. Never: the key in an error or a `repr`.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from control_plane.store.records import StoredAudit

KEY_BYTES = 32
LENGTH_BYTES = 8
ABSENT = (1 << 64) - 1  # the length of a field that is null, which no text can have
SEALED = (
    *("number", "at", "actor", "role", "action", "kind", "subject", "reason", "version_before", "version_after"),
    *("table_version", "origin", "digest", "changeset", "key_id", "previous_hash"),
)
"""The fields of an entry, in the order in which they are sealed. Another order makes every older entry unsound."""
PURPOSE = b"layout-mutation audit chain"


class Chain:
    """The keys of one installation: the first seals, all are good to check with."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: of 32 bytes each, newest first; ValueError where there is none."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"an audit chain needs keys of {KEY_BYTES} bytes")
        self._keys: Mapping[str, bytes] = {key_id(key): key for key in keys}
        self._present = key_id(keys[0])

    def sealed(self, entry: StoredAudit, previous_hash: bytes) -> StoredAudit:
        """The numbered entry with its place in the chain, after an entry with that hash; empty before the first."""
        placed = msgspec.structs.replace(entry, key_id=self._present, previous_hash=previous_hash)
        return msgspec.structs.replace(placed, hash=_seal(self._keys[self._present], placed))

    def is_sound(self, entry: StoredAudit) -> bool | None:
        """Whether the entry is what was sealed; None where its key is not known here."""
        key = self._keys.get(entry.key_id or "")
        if key is None:
            return None
        return hmac.compare_digest(entry.hash or b"", _seal(key, entry))


def derived_key(secret: bytes) -> bytes:
    """A key for the chain out of another secret of the installation: HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=PURPOSE).derive(secret)


def key_id(key: bytes) -> str:
    """What a key is called in entries: 16 hexadecimal digits that say nothing about it."""
    return hmac.digest(key, b"layout-mutation audit key id", sha256).hex()[:16]


def _seal(key: bytes, entry: StoredAudit) -> bytes:
    message = b"".join(_field(getattr(entry, name)) for name in SEALED)
    return hmac.digest(key, message, sha256)


def _field(value: object) -> bytes:
    if value is None:
        return ABSENT.to_bytes(LENGTH_BYTES, "big")
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat(timespec="microseconds")
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8")
    return len(raw).to_bytes(LENGTH_BYTES, "big") + raw

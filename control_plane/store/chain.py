"""The audit as a chain: each entry is sealed together with the one before it, so that no entry can change unnoticed.

Seal of an entry: HMAC-SHA256 (RFC 2104) under a key of the installation over all of its fields and the seal before it,
each field preceded by its length, so that no two entries read the same. The first sealed entry has a digest of all entries
from before the chain in place of a seal before it (`Unchained`). Counterpart: stores append through `sealed`, and
`control_plane.auditing` follows the chain. Never: the key in an error or a `repr`.
"""

import base64
import hmac
from collections.abc import Collection, Mapping, Sequence
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
LOST = "lost:"
"""In CONTROL_PLANE_AUDIT_KEYS before the id of a key that nobody has any more; its entries are passed over."""


class Chain:
    """The keys of one installation: the first seals, all are good to check with."""

    def __init__(self, keys: Sequence[bytes], *, lost: Collection[str] = ()) -> None:
        """`keys`: of 32 bytes each, newest first; ValueError where there is none. `lost`: ids of keys that nobody has any more."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"an audit chain needs keys of {KEY_BYTES} bytes")
        self._keys: Mapping[str, bytes] = {key_id(key): key for key in keys}
        self._present = key_id(keys[0])
        self.lost = frozenset(lost) - self._keys.keys()

    def knows(self, key: str | None) -> bool:
        """Whether a key's id is of a key that is here, or of one that was given up as lost. An entry without a key is fine."""
        return key is None or key in self._keys or key in self.lost

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


class Unchained:
    """A digest of the entries from before the chain: SHA-256 over their fields, each preceded by its length."""

    def __init__(self) -> None:
        self._digest = sha256()
        self.count = 0

    def add(self, entry: StoredAudit) -> None:
        """The next entry; they come by ascending number."""
        self._digest.update(_message(entry))
        self.count += 1

    @property
    def digest(self) -> bytes:
        """What the first sealed entry has as the hash before it; empty where there are no entries before it."""
        return self._digest.digest() if self.count else b""


def configured(audit_keys: str, signing_key: str) -> Chain:
    """The chain of settings that were checked: keys in base64, separated by commas, and `lost:` before ids of lost ones.

    Without any, the key is derived from the signing key (base64 too). That one is always good to check with.
    """
    words = [word.strip() for word in audit_keys.split(",") if word.strip()]
    own = [base64.b64decode(word) for word in words if not word.startswith(LOST)]
    lost = [word.removeprefix(LOST) for word in words if word.startswith(LOST)]
    return Chain([*own, derived_key(base64.b64decode(signing_key))], lost=lost)


def derived_key(secret: bytes) -> bytes:
    """A key for the chain out of another secret of the installation: HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=PURPOSE).derive(secret)


def key_id(key: bytes) -> str:
    """What a key is called in entries: 16 hexadecimal digits that say nothing about it."""
    return hmac.digest(key, b"layout-mutation audit key id", sha256).hex()[:16]


def _seal(key: bytes, entry: StoredAudit) -> bytes:
    return hmac.digest(key, _message(entry), sha256)


def _message(entry: StoredAudit) -> bytes:
    return b"".join(_field(getattr(entry, name)) for name in SEALED)


def _field(value: object) -> bytes:
    if value is None:
        return ABSENT.to_bytes(LENGTH_BYTES, "big")
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat(timespec="microseconds")
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8")
    return len(raw).to_bytes(LENGTH_BYTES, "big") + raw

"""The private key that makes a decision table ours.

Counterpart: a sidecar holds only the public half (`SIDECAR_TABLE_PUBLIC_KEYS`), so whoever owns Redis can't change a
site. Never: the private key in a log line, an error or a `repr`.
"""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rules import previews
from rules.previews import Preview
from rules.sealing import key_id, seal, unseal
from rules.table import DecisionTable


class Signer:
    """Seals tables with one Ed25519 key (RFC 8032)."""

    def __init__(self, signing_key: str) -> None:
        """`signing_key`: base64 of the 32 raw private bytes."""
        self._private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(signing_key, validate=True))
        self._public = self._private.public_key()
        self.key_id = key_id(self._public.public_bytes_raw())

    def seal(self, table: DecisionTable) -> bytes:
        """The bytes that are stored and published."""
        return seal(table, key_id=self.key_id, sign=self._private.sign)

    def seal_preview(self, preview: Preview) -> str:
        """The token of a preview link; ValueError where it would be too long."""
        return previews.seal(preview, key_id=self.key_id, sign=self._private.sign)

    def unseal(self, sealed: bytes) -> DecisionTable:
        """A table that this key has sealed; raises `rules.errors.TableError`."""
        return unseal(sealed, verify=self._verify)

    def _verify(self, named: str, signature: bytes, message: bytes) -> bool:
        if named != self.key_id:
            return False
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True

"""Names that stand for units where units must not go: equal for equal units, and good for nothing else.

HMAC-SHA-256 (RFC 2104), cut to 128 bits, over the attribute's name and the unit. Every sidecar of an installation has the
same key and nobody else has it, so that who reads the events can neither look a visitor up nor try out known user ids.
Never: a unit kept, or a pseudonym that could be turned round.
"""

import base64
import hmac

BYTES = 16
"""128 bits: two of a billion units have one name with a chance of 10^-21."""
_DOMAIN = b"layout-mutation unit\x00"
"""Goes before what is hashed, so that the key means nothing here that it means elsewhere."""


class Pseudonyms:
    """Makes them with one key; without a key there are none."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    @property
    def enabled(self) -> bool:
        """Whether there is a key."""
        return bool(self._key)

    def of(self, attribute: str, unit: str) -> str:
        """22 characters of base64url (RFC 4648 section 5). There must be a key."""
        text = f"{attribute}\x00{unit}".encode("utf-8", "surrogatepass")
        digest = hmac.digest(self._key, _DOMAIN + text, "sha256")[:BYTES]
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

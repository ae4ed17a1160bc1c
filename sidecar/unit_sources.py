"""What `SIDECAR_UNITS` and `SIDECAR_UNIT_JWT_KEYS` say, checked when the sidecar starts.

Counterpart: `context.units` reads them off a request. Never: a request, or a key in an error message.
"""

import base64
import binascii
import re
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct

from rules.context import ATTRIBUTES

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
Key = str | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

SECRET_CHARACTERS_MIN = 32
"""As many bytes as the hash has (RFC 7518 3.2)."""
RSA_BITS_MIN = 2048
"""RFC 7518 3.3."""

_DECLARED = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})="
    r"(?:(?P<plain>header|cookie):(?P<field>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"|jwt:(?P<cookie>cookie:)?(?P<carrier>[!#$%&'*+.^_`|~0-9A-Za-z-]+):(?P<claim>[A-Za-z0-9_.:/-]+))"
)
EXPECTED = (
    "name=header:FIELD, name=cookie:NAME, name=jwt:FIELD:CLAIM or name=jwt:cookie:NAME:CLAIM, separated by commas, "
    "for example account=header:X-User-Id, user=jwt:Authorization:sub"
)


class Source(Struct, frozen=True):
    """Where the value of one unit attribute comes from."""

    name: str
    """The attribute."""
    field: str
    """Name of the header field or cookie."""
    cookie: bool
    claim: str | None
    """Which claim of the token it is; None where the value is no token."""


def sources_of(declared: str) -> tuple[Source, ...]:
    """The sources of SIDECAR_UNITS; ValueError says what is expected."""
    found: list[Source] = []
    taken = {attribute.name for attribute in ATTRIBUTES}
    for text in filter(None, map(str.strip, declared.split(","))):
        match = _DECLARED.fullmatch(text)
        if match is None:
            raise ValueError(f"SIDECAR_UNITS must hold {EXPECTED} (got {text[:80]!r})")
        if match["name"] in taken:
            raise ValueError(f"SIDECAR_UNITS: there is an attribute {match['name']} already; choose another name")
        taken.add(match["name"])
        if match["plain"] is not None:
            found.append(Source(match["name"], match["field"], match["plain"] == "cookie", None))
        else:
            found.append(Source(match["name"], match["carrier"], match["cookie"] is not None, match["claim"]))
    return tuple(found)


def keys_of(algorithm: Algorithm, declared: str) -> tuple[Key, ...]:
    """The keys of SIDECAR_UNIT_JWT_KEYS, for this algorithm and no other; ValueError says what is expected."""
    return tuple(_key(algorithm, text.strip()) for text in declared.split(",") if text.strip())


def _key(algorithm: Algorithm, text: str) -> Key:
    if algorithm == "HS256":
        if len(text) < SECRET_CHARACTERS_MIN:
            raise ValueError(f"SIDECAR_UNIT_JWT_KEYS: an HS256 secret has at least {SECRET_CHARACTERS_MIN} characters")
        return text
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        key = None
    if algorithm == "RS256" and isinstance(key, RSAPublicKey) and key.key_size >= RSA_BITS_MIN:
        return key
    if algorithm == "ES256" and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    if algorithm == "EdDSA" and isinstance(key, Ed25519PublicKey):
        return key
    raise ValueError(
        f"SIDECAR_UNIT_JWT_KEYS must hold {_KINDS[algorithm]} public keys: the lines of their PEM files between the marks, "
        "joined, separated by commas"
    )


_KINDS = {"RS256": f"RSA (at least {RSA_BITS_MIN} bits)", "ES256": "P-256", "EdDSA": "Ed25519"}

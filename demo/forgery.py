"""Whether a form was sent from one of our own pages: a double-submit cookie, with nothing kept on the server.

The cookie holds a random secret; every form holds that secret under a fresh mask, so that the token differs in every
response and a compressed page gives nothing away about it (the BREACH attack). A form is ours if its token unmasks to
the cookie. Counterpart: `rendering` issues tokens, `checkout` asks `is_ours`. Never logs either value.
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

SECRET_BYTES = 24
"""Divisible by three, so that base64 needs no padding in the cookie or in a form."""


def new_secret() -> str:
    """A secret for one visitor's cookie, base64url."""
    return secrets.token_urlsafe(SECRET_BYTES)


def is_secret(text: str) -> bool:
    """Whether a cookie's value is one that `new_secret` could have made."""
    return _decoded(text, SECRET_BYTES) is not None


def mask(secret: str) -> str:
    """A token for one response: a random mask, then the secret XOR the mask, base64url."""
    plain = urlsafe_b64decode(secret)
    pad = secrets.token_bytes(SECRET_BYTES)
    return urlsafe_b64encode(pad + _xor(plain, pad)).decode("ascii")


def is_ours(token: str, secret: str) -> bool:
    """Whether the form's token belongs to the cookie's secret. False for anything malformed."""
    masked = _decoded(token, 2 * SECRET_BYTES)
    plain = _decoded(secret, SECRET_BYTES)
    if masked is None or plain is None:
        return False
    return hmac.compare_digest(_xor(masked[:SECRET_BYTES], masked[SECRET_BYTES:]), plain)


def _decoded(text: str, length: int) -> bytes | None:
    try:
        plain = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        return None
    return plain if len(plain) == length else None


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))

"""The cookie `lm_state`: what is remembered of a visitor, signed, in the visitor's own browser.

Its value is base64url (RFC 4648 section 5, no padding) of a version, 16 bytes of HMAC-SHA-256 (RFC 2104) over domain, version
and state, and the state. Half of the hash is enough: what a forger could guess is 2^-128 a try, online, and the other half
would take room from what is remembered (RFC 2104 section 5 allows it).
Counterparts: `rules.state` has the fields, `sidecar.remembering` asks when to read and when to write.
Never: encryption, since nothing in it is a secret from the visitor; a value in a log line; an exception for any bytes.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from multidict import MultiMapping

from rules import limits
from rules.state import State, decoded, encoded, is_over

STATE_COOKIE = "lm_state"
VERSION = 1
"""Goes up with a layout of the state that older sidecars would misread; they then begin anew."""
SIGNATURE_BYTES = 16
CHARACTERS_MAX = (4 * (1 + SIGNATURE_BYTES + limits.STATE_BYTES_MAX) + 2) // 3
CANDIDATES_MAX = 4
"""Cookies of that name that are looked at: browsers send one for each path and parent domain that a site set it for."""
_DOMAIN = b"layout-mutation visitor state\x00"
"""Goes before what is signed, so that a signature made with the same key for something else is never valid here."""
_GIVEN = re.compile(r"(?:^|;)[ \t]*lm_state=([^;]*)")


class Refusal(StrEnum):
    """Why a cookie is no state."""

    TOO_LONG = "too_long"
    """More characters than any of ours has."""
    MALFORMED = "malformed"
    """No base64url, too short, or no state."""
    VERSION = "version"
    """Of another version: an older or a newer sidecar wrote it."""
    FORGED = "forged"
    """No key of ours signed it: somebody tried, or the key is no longer among ours."""
    EXPIRED = "expired"
    """Too long without a page, or too long since the first one."""


class StateCookies:
    """Reads and writes the cookie. The first key signs, all verify; without a key there is no state."""

    def __init__(self, keys: Sequence[str], *, days: int) -> None:
        self._keys = tuple(key.encode() for key in keys)
        self._days = days

    @property
    def enabled(self) -> bool:
        """Whether anything is remembered at all."""
        return bool(self._keys)

    def read(self, headers: MultiMapping[str], now: datetime) -> State | Refusal | None:
        """The state that a request brings; why its cookie is none; None without a cookie."""
        refusal: Refusal | None = None
        for value in given(headers):
            found = self._read(value, now)
            if isinstance(found, State):
                return found
            refusal = found
        return refusal

    def _read(self, value: str, now: datetime) -> State | Refusal:
        if len(value) > CHARACTERS_MAX:
            return Refusal.TOO_LONG
        try:
            raw = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return Refusal.MALFORMED
        if len(raw) <= 1 + SIGNATURE_BYTES:
            return Refusal.MALFORMED
        if raw[0] != VERSION:
            return Refusal.VERSION
        signature, body = raw[1 : 1 + SIGNATURE_BYTES], raw[1 + SIGNATURE_BYTES :]
        if not any(hmac.compare_digest(signature, _signature(key, body)) for key in self._keys):
            return Refusal.FORGED
        state = decoded(body)
        if state is None:
            return Refusal.MALFORMED
        return Refusal.EXPIRED if is_over(state, now, days=self._days) else state

    def written(self, state: State, *, secure: bool) -> bytes:
        """The Set-Cookie value of a state (RFC 6265 section 4.1). There must be a key."""
        body = encoded(state)
        raw = bytes([VERSION]) + _signature(self._keys[0], body) + body
        value = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return _cookie(value, self._days * 24 * 3600, secure=secure)


def given(headers: MultiMapping[str]) -> list[str]:
    """The values of our cookie that a request brings, the first few."""
    fields = (field for field in headers.getall("Cookie", ()) if STATE_COOKIE in field)
    return [value.strip().strip('"') for field in fields for value in _GIVEN.findall(field)][:CANDIDATES_MAX]


def removed(*, secure: bool) -> bytes:
    """The Set-Cookie value that makes a browser forget."""
    return _cookie("", 0, secure=secure)


def _cookie(value: str, age_s: int, *, secure: bool) -> bytes:
    text = f"{STATE_COOKIE}={value}; Max-Age={age_s}; Path=/; HttpOnly; SameSite=Lax"
    return (text + "; Secure" if secure else text).encode()


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _DOMAIN + bytes([VERSION]) + body, "sha256")[:SIGNATURE_BYTES]

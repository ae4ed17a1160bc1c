"""Whose visit it is, where the site knows: units of experiments out of a header, a cookie or a verified token.

One user on two devices has one value here, and so one variation. Tokens are JWT (RFC 7519, RFC 8725): the algorithm is
pinned by the settings, and a token that does not verify is no unit.
Counterparts: `unit_sources` says where to look; `contexts` makes attributes of what is found, all of them the visitor's.
Never: a token or a unit in a log line; a guess where a field is there twice.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import jwt
from msgspec import Struct
from multidict import MultiMapping

from sidecar.context import fields
from sidecar.unit_sources import Algorithm, Key, Source

UNIT_CHARACTERS_MAX = 200
"""A longer value is no id."""
TOKEN_CHARACTERS_MAX = 8_192
"""A longer token does not fit into a header of most servers."""
REMEMBERED_MAX = 1_024
"""Verified tokens that are not verified again: a signature costs as much as the rest of a decision."""
LEEWAY_S = 5
"""Clocks of two machines."""


class _Verified(Struct, frozen=True):
    """The claims of a token whose signature is right."""

    claims: dict[str, Any]
    since: float
    until: float


class Tokens:
    """Verifies tokens and remembers those that it verified. Empty `issuer` and `audience` are not asked for."""

    def __init__(self, algorithm: Algorithm, keys: Sequence[Key], *, issuer: str = "", audience: str = "") -> None:
        self._algorithm = algorithm
        self._keys = keys
        self._issuer = issuer or None
        self._audience = audience or None
        self._verified: dict[bytes, _Verified] = {}

    def claims(self, token: str, now: datetime) -> dict[str, Any] | None:
        """The claims of a token that is right and in time; None otherwise."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = self._verified.get(digest)
        if found is None:
            found = self._verify(token)
            if found is None:
                return None
            if len(self._verified) >= REMEMBERED_MAX:
                del self._verified[next(iter(self._verified))]
            self._verified[digest] = found
        moment = now.timestamp()
        return found.claims if found.since - LEEWAY_S <= moment < found.until + LEEWAY_S else None

    def _verify(self, token: str) -> _Verified | None:
        for key in self._keys:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key,
                    algorithms=[self._algorithm],
                    issuer=self._issuer,
                    audience=self._audience,
                    # Times are compared with the clock that is handed in.
                    options={
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                        "verify_sub": False,  # some ids are numbers
                        "verify_aud": self._audience is not None,
                    },
                )
            # A visitor writes the token: a head nested a thousand deep or half a character is no token either.
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                continue
            since, until = claims.get("nbf", float("-inf")), claims.get("exp", float("inf"))
            if _is_time(since) and _is_time(until):
                return _Verified(claims, since, until)
        return None


class Units:
    """Reads the declared units off requests. `refused` is told the name of a unit whose token does not verify."""

    def __init__(self, sources: Sequence[Source], tokens: Tokens, *, refused: Callable[[str], None]) -> None:
        self._sources = sources
        self._tokens = tokens
        self._refused = refused

    def of(self, headers: MultiMapping[str], now: datetime, reads: frozenset[str]) -> dict[str, str]:
        """Attribute -> unit, for those that are read and that the request has."""
        found: dict[str, str] = {}
        for source in self._sources:
            if source.name not in reads:
                continue
            value = fields.cookie(headers, source.field) if source.cookie else fields.only(headers, source.field)
            if value and source.claim is not None:
                value = self._claimed(source, value, now)
            if value and len(value) <= UNIT_CHARACTERS_MAX:
                found[source.name] = value
        return found

    def _claimed(self, source: Source, value: str, now: datetime) -> str:
        scheme, space, rest = value.partition(" ")
        if space and not source.cookie:
            if scheme.lower() != "bearer":
                return ""  # credentials of another kind, which may well be in order
            value = rest.strip()
        claims = self._tokens.claims(value, now)
        if claims is None:
            self._refused(source.name)
            return ""
        claim = claims.get(source.claim or "")
        if isinstance(claim, str):
            return claim
        return str(claim) if isinstance(claim, int) and not isinstance(claim, bool) else ""


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

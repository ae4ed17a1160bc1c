"""Bearer tokens, one-time sign-in links and the admin's sessions: all JWT, signed with one secret, for separate audiences.

RFC 7519 and RFC 8725: the algorithm is pinned to HS256; `iss`, `aud` and `exp` are required; a token made for one purpose
is refused for every other, because each purpose has an audience of its own.
Counterpart: `api/routes.py` says which roles may do what; `sign_ins.py` uses links up; `admin/` carries the session in a cookie.
Never: a token in a log line or an error message.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import jwt
from msgspec import Struct

ALGORITHM = "HS256"
ISSUER = "layout-mutation"
AUDIENCE = "layout-mutation-control-plane"
TTL_SECONDS = 3_600
TTL_SECONDS_MAX = 366 * 24 * 3_600  # a forgotten token must end some day
SIGN_IN_TTL_SECONDS = 900
SESSION_TTL_SECONDS = 12 * 3_600
TOKEN_CHARACTERS_MAX = 4_096
SUBJECT_CHARACTERS_MAX = 200  # it becomes `createdBy`
LEEWAY_SECONDS = 5  # clocks of two machines
SIGN_IN_PATH = "/admin/layout-mutations/sign-in"


class Role(StrEnum):
    """Who a token stands for."""

    VIEWER = "viewer"
    EDITOR = "editor"
    PUBLISHER = "publisher"
    ADMIN = "admin"
    SIDECAR = "sidecar"
    PEER = "peer"


class Permission(StrEnum):
    """What people may do; each role of people includes those below it."""

    READ = "read"
    WRITE = "write"
    PUBLISH = "publish"
    ADMINISTER = "administer"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.EDITOR: frozenset({Permission.READ, Permission.WRITE}),
    Role.PUBLISHER: frozenset({Permission.READ, Permission.WRITE, Permission.PUBLISH}),
    Role.ADMIN: frozenset(Permission),
    Role.SIDECAR: frozenset(),
    Role.PEER: frozenset(),
}


class Actor(Struct, frozen=True):
    """Somebody who is allowed in."""

    subject: str
    role: Role

    def may(self, permission: Permission) -> bool:
        """Whether the role includes the permission."""
        return permission in PERMISSIONS[self.role]


class SignInLink(Struct, frozen=True):
    """What a link says. Whether it was used before, `sign_ins.py` finds out."""

    actor: Actor
    id: str
    expires_at: datetime


class Session(Struct, frozen=True):
    """A person signed in at the admin pages."""

    actor: Actor
    id: str
    expires_at: datetime
    link_role: Role | None = None
    """The role of the link, where the session may look alone, because its instance could only read."""


class TokenReason(StrEnum):
    """Why a token is refused."""

    MISSING = "missing"
    INVALID = "invalid"
    EXPIRED = "expired"
    USED = "used"


class TokenError(Exception):
    """A token is refused. `detail` says what to do and nothing about the token."""

    def __init__(self, reason: TokenReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def issue(
    jwt_secret: str,
    role: Role | str,
    subject: str,
    *,
    ttl_seconds: int = TTL_SECONDS,
    issuer: str = ISSUER,
    audience: str = AUDIENCE,
) -> str:
    """A bearer token for the API; raises ValueError where role, subject or lifetime can't be used."""
    return Tokens(jwt_secret, issuer=issuer, audience=audience).issue(Role(role), subject, ttl_seconds=ttl_seconds)


def sign_in_link(
    jwt_secret: str,
    public_url: str,
    *,
    subject: str = "admin",
    role: Role | str = Role.ADMIN,
    ttl_seconds: int = SIGN_IN_TTL_SECONDS,
    issuer: str = ISSUER,
    audience: str = AUDIENCE,
) -> str:
    """A link that signs one person in, once, within `ttl_seconds`."""
    tokens = Tokens(jwt_secret, issuer=issuer, audience=audience)
    return tokens.sign_in_link(public_url, subject=subject, role=Role(role), ttl_seconds=ttl_seconds)


class Tokens:
    """Makes and checks tokens."""

    def __init__(
        self,
        jwt_secret: str,
        *,
        issuer: str = ISSUER,
        audience: str = AUDIENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret = jwt_secret
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    def issue(self, role: Role, subject: str, *, ttl_seconds: int = TTL_SECONDS) -> str:
        """A bearer token for the API."""
        return self._encode(self._audience, Actor(subject, role), ttl_seconds)

    def verify(self, token: str) -> Actor:
        """Who a bearer token of the API stands for; raises TokenError."""
        return _actor(self._decode(self._audience, token))

    def sign_in_link(self, public_url: str, *, subject: str, role: Role, ttl_seconds: int = SIGN_IN_TTL_SECONDS) -> str:
        """A link that signs one person in, once."""
        token = self._encode(f"{self._audience}/sign-in", Actor(subject, role), ttl_seconds)
        return f"{public_url.rstrip('/')}{SIGN_IN_PATH}?{urlencode({'token': token})}"

    def read_sign_in(self, token: str) -> SignInLink:
        """Who a sign-in link is for; raises TokenError. Reading uses nothing up."""
        claims = self._decode(f"{self._audience}/sign-in", token)
        return SignInLink(_actor(claims), claims["jti"], datetime.fromtimestamp(claims["exp"], UTC))

    def issue_session(
        self, actor: Actor, *, ttl_seconds: int = SESSION_TTL_SECONDS, link_role: Role | None = None
    ) -> str:
        """The value of the admin's session cookie."""
        more = {} if link_role is None else {"link_role": link_role.value}
        return self._encode(f"{self._audience}/session", actor, ttl_seconds, more)

    def verify_session(self, token: str) -> Session:
        """The session of a cookie; raises TokenError."""
        claims = self._decode(f"{self._audience}/session", token)
        link_role = Role(claims["link_role"]) if claims.get("link_role") in set(Role) else None
        return Session(_actor(claims), claims["jti"], datetime.fromtimestamp(claims["exp"], UTC), link_role)

    def csrf(self, session: Session) -> str:
        """The word that a form of this session must carry."""
        return hmac.new(self._secret.encode(), f"csrf {session.id}".encode(), hashlib.sha256).hexdigest()

    def csrf_matches(self, session: Session, given: str) -> bool:
        """Whether a form carried the word of its session."""
        return hmac.compare_digest(self.csrf(session).encode(), given.encode("utf-8", "replace"))

    def _encode(
        self, audience: str, actor: Actor, ttl_seconds: int, more: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        if not 0 < ttl_seconds <= TTL_SECONDS_MAX:
            raise ValueError(f"a token lives between 1 and {TTL_SECONDS_MAX} seconds (got {ttl_seconds})")
        if not 0 < len(actor.subject) <= SUBJECT_CHARACTERS_MAX:
            raise ValueError(f"a token's subject has 1 to {SUBJECT_CHARACTERS_MAX} characters")
        now = int(self._clock())
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "sub": actor.subject,
            "role": actor.role.value,
            "iat": now,
            "exp": now + ttl_seconds,
            "jti": secrets.token_urlsafe(16),
            **more,
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def _decode(self, audience: str, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise TokenError(TokenReason.INVALID, "the token is longer than any that this service makes")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub", "jti"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            # Which check failed helps only whoever is guessing.
            raise TokenError(TokenReason.INVALID, "the token is not one for this service") from None
        return self._in_time(claims)

    def _in_time(self, claims: dict[str, Any]) -> dict[str, Any]:
        """`exp` against the clock handed in, which PyJWT doesn't take."""
        expires = claims["exp"]
        if not isinstance(expires, (int, float)) or isinstance(expires, bool):
            raise TokenError(TokenReason.INVALID, "the token is not one for this service")
        if expires + LEEWAY_SECONDS <= self._clock():
            raise TokenError(TokenReason.EXPIRED, "the token has expired; make a new one with `layout-mutation token`")
        return claims


def _actor(claims: dict[str, Any]) -> Actor:
    subject, role = claims["sub"], claims.get("role")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
        raise TokenError(TokenReason.INVALID, "the token has no usable subject")
    if not isinstance(role, str) or role not in set(Role):
        raise TokenError(TokenReason.INVALID, "the token has no role of this service")
    return Actor(subject, Role(role))

"""Tokens: made and refused."""

import base64
import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from control_plane import tokens
from control_plane.tokens import Actor, Permission, Role, TokenError, TokenReason, Tokens

SECRET = "s" * 40


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def maker(clock: Clock) -> Tokens:
    return Tokens(SECRET, clock=clock)


@pytest.mark.parametrize("role", list(Role))
def test_a_token_says_who_it_is_for(maker: Tokens, role: Role) -> None:
    assert maker.verify(maker.issue(role, "Ada")) == Actor("Ada", role)


def test_the_functions_of_the_command_line_make_tokens_for_the_service() -> None:
    assert Tokens(SECRET).verify(tokens.issue(SECRET, "editor", "Ada", ttl_seconds=60)).role is Role.EDITOR
    link = tokens.sign_in_link(SECRET, "https://admin.example/")
    assert link.startswith("https://admin.example/admin/layout-mutations/sign-in?token=")


def test_a_token_ends_when_its_time_is_over(maker: Tokens, clock: Clock) -> None:
    token = maker.issue(Role.VIEWER, "Ada", ttl_seconds=60)
    clock.now += 64
    assert maker.verify(token).subject == "Ada"
    clock.now += 1
    with pytest.raises(TokenError) as caught:
        maker.verify(token)
    assert caught.value.reason is TokenReason.EXPIRED
    assert token not in str(caught.value)


def claims(clock: Clock, **more: Any) -> dict[str, Any]:
    usual = {
        "iss": tokens.ISSUER,
        "aud": tokens.AUDIENCE,
        "sub": "Ada",
        "role": "admin",
        "jti": "1",
        "exp": int(clock.now) + 60,
    }
    return {name: value for name, value in {**usual, **more}.items() if value is not None}


@pytest.mark.parametrize(
    "more",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": None},
        {"aud": f"{tokens.AUDIENCE}/session"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
        {"jti": None},
        {"role": None},
        {"role": "root"},
        {"role": ["admin"]},
    ],
)
def test_a_token_with_a_wrong_or_missing_claim_is_refused(maker: Tokens, clock: Clock, more: dict[str, Any]) -> None:
    assert maker.verify(jwt.encode(claims(clock), SECRET, algorithm="HS256")).subject == "Ada"
    with pytest.raises(TokenError):
        maker.verify(jwt.encode(claims(clock, **more), SECRET, algorithm="HS256"))


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256", "EdDSA"])
def test_another_algorithm_is_refused(maker: Tokens, clock: Clock, algorithm: str) -> None:
    for signature in ("", "AAAA"):
        forged = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims(clock))}.{signature}"
        with pytest.raises(TokenError) as caught:
            maker.verify(forged)
        assert caught.value.reason is TokenReason.INVALID
    if algorithm == "HS512":
        with pytest.raises(TokenError):
            maker.verify(jwt.encode(claims(clock), SECRET * 2, algorithm=algorithm))


def test_a_tampered_or_foreign_token_is_refused(maker: Tokens, clock: Clock) -> None:
    head, body, signature = maker.issue(Role.VIEWER, "Ada").split(".")
    promoted = part({**json.loads(base64.urlsafe_b64decode(body + "==")), "role": "admin"})
    foreign = jwt.encode(claims(clock), "t" * 40, algorithm="HS256")
    for wrong in (f"{head}.{promoted}.{signature}", f"{head}.{body}.", foreign, "", "a.b.c", "é", "x" * 10_000):
        with pytest.raises(TokenError):
            maker.verify(wrong)


def test_a_lifetime_or_subject_beyond_reason_is_refused(maker: Tokens) -> None:
    for ttl in (0, -5, 10**12):
        with pytest.raises(ValueError, match="between 1 and"):
            maker.issue(Role.VIEWER, "Ada", ttl_seconds=ttl)
    with pytest.raises(ValueError, match="subject"):
        maker.issue(Role.VIEWER, "")


def test_a_sign_in_link_says_who_it_is_for_and_is_no_other_token(maker: Tokens, clock: Clock) -> None:
    link = maker.sign_in_link("http://127.0.0.1:8081", subject="Ada", role=Role.PUBLISHER)
    token = parse_qs(urlsplit(link).query)["token"][0]
    with pytest.raises(TokenError):
        maker.verify(token)
    read = maker.read_sign_in(token)
    assert read.actor == Actor("Ada", Role.PUBLISHER)
    assert read.expires_at == datetime.fromtimestamp(clock.now + tokens.SIGN_IN_TTL_SECONDS, UTC)
    assert read.id
    clock.now += 3600
    with pytest.raises(TokenError) as caught:
        maker.read_sign_in(token)
    assert caught.value.reason is TokenReason.EXPIRED


def test_a_session_has_its_own_word_for_forms(maker: Tokens, clock: Clock) -> None:
    actor = Actor("Ada", Role.ADMIN)
    one, two = (maker.verify_session(maker.issue_session(actor)) for _ in range(2))
    assert one.actor == actor
    assert one.expires_at == datetime.fromtimestamp(clock.now + tokens.SESSION_TTL_SECONDS, UTC)
    assert maker.csrf_matches(one, maker.csrf(one))
    assert not maker.csrf_matches(one, maker.csrf(two))
    assert not maker.csrf_matches(one, "\ud800")
    with pytest.raises(TokenError):
        maker.verify_session(maker.issue(Role.ADMIN, "Ada"))
    looking = maker.verify_session(maker.issue_session(Actor("Ada", Role.VIEWER), link_role=Role.ADMIN))
    assert (one.link_role, looking.actor.role, looking.link_role) == (None, Role.VIEWER, Role.ADMIN)


def test_roles_of_people_include_those_below_them() -> None:
    people = [Role.VIEWER, Role.EDITOR, Role.PUBLISHER, Role.ADMIN]
    may = [{permission for permission in Permission if Actor("x", role).may(permission)} for role in people]
    assert all(less < more for less, more in pairwise(may))
    assert not any(Actor("x", role).may(permission) for role in (Role.SIDECAR, Role.PEER) for permission in Permission)

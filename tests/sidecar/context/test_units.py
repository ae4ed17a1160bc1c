"""Units of the site's own: what a request says, and only if it is certain."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from sidecar.context import units as module
from sidecar.context.units import Tokens, Units
from sidecar.unit_sources import sources_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET, OTHER = "s" * 32, "o" * 32
DECLARED = "account=header:X-User-Id, member=cookie:member_id, user=jwt:Authorization:sub, seat=jwt:cookie:session:seat"
NAMES = frozenset({"account", "member", "user", "seat"})


class Reading:
    """Units with a list of what was refused."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.refused: list[str] = []
        self._units = Units(sources_of(DECLARED), tokens or Tokens("HS256", [SECRET]), refused=self.refused.append)

    def of(self, *fields: tuple[str, str], now: datetime = NOW) -> dict[str, str]:
        return self._units.of(CIMultiDict(fields), now, NAMES)


def test_what_no_rule_reads_is_not_looked_at() -> None:
    refused: list[str] = []
    units = Units(sources_of(DECLARED), Tokens("HS256", [SECRET]), refused=refused.append)
    fields = CIMultiDict([("X-User-Id", "42"), ("Authorization", "Bearer a.b.c")])
    assert units.of(fields, NOW, frozenset({"account", "country"})) == {"account": "42"}
    assert refused == []


def token(key: Any = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "ada", **claims}, key, algorithm=algorithm)


def bearer(text: str) -> tuple[str, str]:
    return "authorization", f"Bearer {text}"


def test_each_source_gives_its_attribute() -> None:
    found = Reading().of(
        ("x-user-id", " 42 "), ("Cookie", f'a=b; member_id="m-7"; session={token(seat=12)}'), bearer(token())
    )
    assert found == {"account": "42", "member": "m-7", "user": "ada", "seat": "12"}


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (("X-User-Id", ""),),
        (("X-User-Id", "1"), ("X-User-Id", "2")),
        (("X-User-Id", "u" * 201),),
        (("Cookie", "member_id=a; member_id=b"),),
        (("Cookie", "member_id"),),
        (("Cookie", "xmember_id=a"),),
        (("Authorization", "Basic YTpi"),),
        (bearer(token(sub=["x"])),),
        (bearer(token(sub=True)),),
    ],
)
def test_what_is_missing_or_unclear_is_no_unit(fields: tuple[tuple[str, str], ...]) -> None:
    reading = Reading()
    assert reading.of(*fields) == {}
    assert reading.refused == []


@pytest.mark.parametrize(
    "text",
    [
        token(OTHER),
        token(algorithm="HS512", key="s" * 64),
        jwt.encode({"sub": "ada"}, "", algorithm="none"),
        token()[:-2],
        "a.b.c",
        "x" * 9_000,
        ".".join([base64.urlsafe_b64encode(b"[" * 3_000).decode().rstrip("="), "e30", "AAAA"]),
        token(exp="soon"),
        token(nbf=True),
        token(exp=(NOW - timedelta(minutes=1)).timestamp()),
        token(nbf=(NOW + timedelta(minutes=1)).timestamp()),
    ],
)
def test_a_token_that_does_not_verify_is_no_unit_and_is_counted(text: str) -> None:
    reading = Reading()
    assert reading.of(bearer(text)) == {}
    assert reading.refused == ["user"]


def test_a_remembered_token_expires_all_the_same() -> None:
    reading = Reading()
    given = bearer(token(exp=(NOW + timedelta(minutes=1)).timestamp()))
    assert reading.of(given) == {"user": "ada"}
    assert reading.of(given, now=NOW + timedelta(seconds=63)) == {"user": "ada"}
    assert reading.of(given, now=NOW + timedelta(minutes=2)) == {}


def test_keys_rotate_and_a_public_key_is_no_secret() -> None:
    old, new = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    reading = Reading(Tokens("EdDSA", [new.public_key(), old.public_key()]))
    for key in (old, new):
        assert reading.of(bearer(token(key, "EdDSA"))) == {"user": "ada"}
    assert reading.of(bearer(token())) == {}


def test_issuer_and_audience_count_where_they_are_set() -> None:
    reading = Reading(Tokens("HS256", [SECRET], issuer="site", audience="shop"))
    assert reading.of(bearer(token(iss="site", aud="shop"))) == {"user": "ada"}
    for claims in ({}, {"iss": "site"}, {"iss": "site", "aud": "other"}, {"iss": "x", "aud": "shop"}):
        assert reading.of(bearer(token(**claims))) == {}
    assert Reading().of(bearer(token(iss="any", aud="any"))) == {"user": "ada"}


def test_only_so_many_tokens_are_remembered() -> None:
    tokens = Tokens("HS256", [SECRET])
    for number in range(module.REMEMBERED_MAX + 10):
        assert tokens.claims(token(sub=str(number)), NOW) == {"sub": str(number)}
        assert tokens.claims("no token", NOW) is None
    assert len(tokens._verified) == module.REMEMBERED_MAX


@given(st.text(max_size=60), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_text_is_a_token_or_an_exception(text: str, head: Any) -> None:
    forged = base64.urlsafe_b64encode(json.dumps(head).encode()).decode().rstrip("=")
    for value in (text, f"{forged}.{forged}.{forged}", f"{forged}.{text}"):
        assert Reading().of(("Cookie", f"session={value.replace(';', '')}"), bearer(value)) == {}

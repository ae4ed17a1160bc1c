"""SIDECAR_UNITS and its keys: read right, or refused with what is expected."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sidecar.unit_sources import Algorithm, Source, keys_of, sources_of


def der(key: PublicKeyTypes) -> str:
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


KEYS: dict[str, str] = {
    "RS256": der(rsa.generate_private_key(65537, 2048).public_key()),
    "ES256": der(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "EdDSA": der(ed25519.Ed25519PrivateKey.generate().public_key()),
}


def test_each_kind_of_source() -> None:
    declared = "account=header:X-User-Id, member=cookie:member_id,user=jwt:Authorization:sub, seat = x"
    with pytest.raises(ValueError, match="'seat = x'"):
        sources_of(declared)
    assert sources_of(declared.removesuffix(", seat = x") + ", seat=jwt:cookie:session:https://x.example/seat") == (
        Source("account", "X-User-Id", False, None),
        Source("member", "member_id", True, None),
        Source("user", "Authorization", False, "sub"),
        Source("seat", "session", True, "https://x.example/seat"),
    )
    assert sources_of("") == sources_of(" , ") == ()


@pytest.mark.parametrize(
    ("declared", "part"),
    [
        ("account", "name=header:FIELD"),
        ("a.b=header:X", "name=header:FIELD"),
        ("a=query:x", "name=header:FIELD"),
        ("a=jwt:Authorization", "name=jwt:FIELD:CLAIM"),
        ("a=header:X Y", "name=header:FIELD"),
        ("lm_uid=header:X", "there is an attribute lm_uid already"),
        ("a=header:X,a=cookie:y", "there is an attribute a already"),
    ],
)
def test_what_is_refused(declared: str, part: str) -> None:
    with pytest.raises(ValueError, match="SIDECAR_UNITS") as refused:
        sources_of(declared)
    assert part in str(refused.value)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_is_for_its_algorithm_only(algorithm: Algorithm) -> None:
    both = f"{KEYS[algorithm]}, {KEYS[algorithm]}"
    assert len(keys_of(algorithm, both)) == 2
    for other in {*KEYS} - {algorithm}:
        with pytest.raises(ValueError, match="SIDECAR_UNIT_JWT_KEYS"):
            keys_of(algorithm, KEYS[other])
    for broken in ("AAAA", "no base64", KEYS[algorithm][:-8], "s" * 40):
        with pytest.raises(ValueError, match="between the marks") as refused:
            keys_of(algorithm, broken)
        assert broken not in str(refused.value)


def test_short_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        keys_of("HS256", "short")
    assert keys_of("HS256", f"{'a' * 32}, {'b' * 32}") == ("a" * 32, "b" * 32)
    with pytest.raises(ValueError, match="2048 bits"):
        keys_of("RS256", der(rsa.generate_private_key(65537, 1024).public_key()))

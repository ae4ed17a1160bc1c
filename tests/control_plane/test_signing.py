"""Tables are ours if our key signed them."""

import base64
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.signing import Signer
from rules.compiler import compile_table
from rules.errors import TableError
from rules.model import RulesFile

KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
TABLE = compile_table(RulesFile(), version=3, now=datetime(2030, 1, 1, tzinfo=UTC))


def test_what_is_sealed_can_be_unsealed_with_the_same_key_only() -> None:
    sealed = Signer(KEY).seal(TABLE)
    assert Signer(KEY).unseal(sealed) == TABLE
    for wrong, signer in ((sealed, Signer(OTHER)), (sealed[:-1] + b"x", Signer(KEY))):
        with pytest.raises(TableError):
            signer.unseal(wrong)


def test_a_signature_under_another_keys_name_is_refused() -> None:
    signer = Signer(KEY)
    from rules.sealing import seal

    forged = seal(TABLE, key_id=signer.key_id, sign=Ed25519PrivateKey.generate().sign)
    with pytest.raises(TableError) as caught:
        signer.unseal(forged)
    assert caught.value.reason == "bad_signature"


def test_the_key_is_named_by_its_public_half_and_never_shown() -> None:
    public = Ed25519PrivateKey.from_private_bytes(b"\1" * 32).public_key().public_bytes_raw()
    assert Signer(KEY).key_id == sha256(public).hexdigest()[:16]
    assert KEY not in repr(Signer(KEY))

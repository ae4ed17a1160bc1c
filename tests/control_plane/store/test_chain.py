"""The audit's chain: nothing in an entry can change, and no entry can move, without showing."""

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from control_plane.store import Chain, StoredAudit
from control_plane.store.chain import SEALED, configured, derived_key, key_id

OLD, NEW = b"o" * 32, b"n" * 32
ENTRY = StoredAudit(
    number=7,
    at=datetime(2030, 1, 1, tzinfo=UTC),
    actor="me",
    role="admin",
    action="created",
    kind="segment",
    subject="a",
    digest="0" * 64,
    changeset="0193f0a0-0000-7000-8000-000000000001",
)
OTHERS = {"number": 8, "at": ENTRY.at + timedelta(microseconds=1), "version_before": 0, "table_version": 1}


@pytest.mark.parametrize("name", SEALED)
def test_every_field_is_sealed(name: str) -> None:
    sealed = Chain([NEW]).sealed(ENTRY, b"before")
    assert Chain([NEW]).is_sound(sealed)
    other = b"other" if name == "previous_hash" else OTHERS.get(name, "other")
    changed = msgspec.structs.replace(sealed, **{name: other})
    assert Chain([NEW]).is_sound(changed) is (None if name == "key_id" else False)


def test_all_fields_but_the_hash_are_sealed() -> None:
    assert set(SEALED) == set(StoredAudit.__struct_fields__) - {"hash"}


def test_nothing_and_an_empty_text_are_not_the_same() -> None:
    chain = Chain([NEW])
    nothing = chain.sealed(msgspec.structs.replace(ENTRY, digest=None), b"")
    assert chain.sealed(msgspec.structs.replace(ENTRY, digest=""), b"").hash != nothing.hash
    moved = msgspec.structs.replace(ENTRY, action="created" + "segment", kind="")
    assert chain.sealed(moved, b"").hash != chain.sealed(ENTRY, b"").hash


def test_an_older_key_is_good_to_check_with_and_an_unknown_one_says_nothing() -> None:
    sealed = Chain([OLD]).sealed(ENTRY, b"")
    assert Chain([NEW, OLD]).is_sound(sealed) is True
    assert Chain([NEW]).is_sound(sealed) is None
    assert Chain([NEW, OLD]).sealed(ENTRY, b"").key_id == key_id(NEW)


def test_keys_are_of_one_length_and_derived_from_a_secret() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Chain([b"short"])
    with pytest.raises(ValueError, match="needs keys"):
        Chain([])
    assert len(derived_key(b"secret")) == 32
    assert derived_key(b"secret") != derived_key(b"another")
    assert b"secret".hex() not in key_id(derived_key(b"secret"))


def test_keys_of_the_settings_come_before_the_derived_one_and_lost_ones_are_named() -> None:
    text = base64.b64encode
    signing_key = text(b"s" * 32).decode()
    alone = configured("", signing_key).sealed(ENTRY, b"")
    assert alone.key_id == key_id(derived_key(b"s" * 32))
    both = configured(f"{text(NEW).decode()}, {text(OLD).decode()},lost:0123456789abcdef", signing_key)
    assert both.sealed(ENTRY, b"").key_id == key_id(NEW)
    assert both.is_sound(alone)
    known = [key_id(OLD), "0123456789abcdef", None]
    assert [both.knows(one) for one in [*known, "fedcba9876543210"]] == [True, True, True, False]

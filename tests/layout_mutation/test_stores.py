"""Stores as commands are given them."""

import base64
import secrets

import pytest

from control_plane.store import Chain
from control_plane.store.chain import derived_key
from layout_mutation.inputs import UnusableError
from layout_mutation.stores import chain_of, default_store, named_store
from tests.control_plane.store.test_chain import ENTRY

URL = "postgresql://anna:hunter2@db/shop"


def test_an_address_or_a_variable() -> None:
    assert named_store("--to", URL, {}) == named_store("--to", "env:OLD", {"OLD": URL}) == URL
    with pytest.raises(UnusableError, match="--to: the variable OLD is not set"):
        named_store("--to", "env:OLD", {})
    with pytest.raises(UnusableError, match="--to: the address must be postgresql://"):
        named_store("--to", "mysql://a/b", {})


def test_left_out_it_is_the_one_that_the_environment_has() -> None:
    assert default_store("--to", None, {"DATABASE_URL": URL}) == URL
    assert default_store("--to", URL, {}) == URL
    local = {"CONTROL_PLANE_STORE": "local", "DATABASE_URL": URL}
    assert default_store("--to", None, local) == "local:.layout-mutation/control-plane/store.sqlite3"
    assert default_store("--to", None, local | {"CONTROL_PLANE_DATA_DIR": "/srv"}) == "local:/srv/store.sqlite3"


def test_the_audit_is_sealed_with_the_installations_key_where_there_is_one() -> None:
    key = secrets.token_bytes(32)
    sealed = Chain([derived_key(key)]).sealed(ENTRY, b"")
    given = {"CONTROL_PLANE_SIGNING_KEY": base64.b64encode(key).decode()}
    assert chain_of(given).is_sound(sealed) is True
    assert chain_of({}).is_sound(sealed) is None
    assert chain_of({"CONTROL_PLANE_SIGNING_KEY": "no base64!"}).is_sound(sealed) is None

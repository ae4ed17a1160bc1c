"""Keys are made once, completed when something is missing, and never readable by others."""

import base64
import stat
from pathlib import Path

import pytest

from control_plane.store.chain import derived_key
from layout_mutation import keyring
from layout_mutation.processes import RunError
from service.settings import read_dotenv
from sidecar.settings import EVENTS_KEY_CHARACTERS_MIN, STATE_KEY_CHARACTERS_MIN

KEYS = {
    "LAYOUT_MUTATION_ENVIRONMENT",
    "DATABASE_URL",
    "REDIS_URL",
    "CONTROL_PLANE_SIGNING_KEY",
    "SIDECAR_TABLE_PUBLIC_KEYS",
    "CONTROL_PLANE_AUDIT_KEYS",
    "CONTROL_PLANE_JWT_SECRET",
    "SIDECAR_OPS_TOKEN",
    "SIDECAR_STATE_KEYS",
    "SIDECAR_EVENTS_KEY",
}


def test_every_key_has_its_form(tmp_path: Path) -> None:
    keys = keyring.load(tmp_path / ".env", {})
    assert set(keys) == KEYS
    assert len(base64.b64decode(keys["CONTROL_PLANE_SIGNING_KEY"])) == 32
    assert len(base64.b64decode(keys["SIDECAR_TABLE_PUBLIC_KEYS"])) == 32
    assert len(base64.urlsafe_b64decode(keys["CONTROL_PLANE_JWT_SECRET"])) >= 32
    assert len(keys["SIDECAR_STATE_KEYS"]) >= STATE_KEY_CHARACTERS_MIN
    assert "," not in keys["SIDECAR_STATE_KEYS"]
    assert len(keys["SIDECAR_EVENTS_KEY"]) >= EVENTS_KEY_CHARACTERS_MIN
    assert read_dotenv(tmp_path / ".env") == keys
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_two_installations_share_no_secret(tmp_path: Path) -> None:
    one, two = keyring.load(tmp_path / "one", {}), keyring.load(tmp_path / "two", {})
    assert {name for name in KEYS if one[name] == two[name]} == {"LAYOUT_MUTATION_ENVIRONMENT"}


def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    before = keyring.load(dotenv, {})
    dotenv.chmod(0o644)
    assert keyring.load(dotenv, {}) == before
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    before = keyring.load(dotenv, {})
    dotenv.write_text("".join(f"{name}={before[name]}\n" for name in KEYS - {"SIDECAR_OPS_TOKEN"}))
    after = keyring.load(dotenv, {})
    assert {name for name in KEYS if before[name] != after[name]} == {"SIDECAR_OPS_TOKEN"}


def test_an_installation_from_before_goes_on_with_the_key_that_its_audit_is_sealed_with(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    before = keyring.load(dotenv, {})
    assert len(base64.b64decode(before["CONTROL_PLANE_AUDIT_KEYS"])) == 32
    dotenv.write_text("".join(f"{name}={before[name]}\n" for name in KEYS - {"CONTROL_PLANE_AUDIT_KEYS"}))
    after = keyring.load(dotenv, {})
    signing_key = base64.b64decode(before["CONTROL_PLANE_SIGNING_KEY"])
    assert base64.b64decode(after["CONTROL_PLANE_AUDIT_KEYS"]) == derived_key(signing_key)


def test_the_real_environment_wins_and_is_not_written_down(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    keys = keyring.load(dotenv, {"SIDECAR_OPS_TOKEN": "mine", "REDIS_URL": "redis://cache/0", "HOME": "/"})
    assert (keys["SIDECAR_OPS_TOKEN"], keys["REDIS_URL"]) == ("mine", "redis://cache/0")
    assert "HOME" not in keys
    assert "mine" not in dotenv.read_text()


def test_a_signing_key_of_ones_own_brings_its_public_key(tmp_path: Path) -> None:
    own = keyring.load(tmp_path / "other", {})
    keys = keyring.load(tmp_path / ".env", {"CONTROL_PLANE_SIGNING_KEY": own["CONTROL_PLANE_SIGNING_KEY"]})
    first, second = keys["SIDECAR_TABLE_PUBLIC_KEYS"].split(",")
    assert first == own["SIDECAR_TABLE_PUBLIC_KEYS"]
    assert second == read_dotenv(tmp_path / ".env")["SIDECAR_TABLE_PUBLIC_KEYS"]


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", "not base64!"])
def test_an_unusable_signing_key_is_named_but_not_shown(key: str) -> None:
    with pytest.raises(RunError, match="CONTROL_PLANE_SIGNING_KEY is not usable") as caught:
        keyring.with_public_key("", key)
    assert not key or key not in str(caught.value)


def test_a_line_that_is_no_assignment_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("nonsense\n")
    with pytest.raises(RunError, match=r"\.env:1: expected NAME=value"):
        keyring.load(tmp_path / ".env", {})


def test_a_server_elsewhere_keeps_its_port() -> None:
    assert keyring.with_free_port("redis://cache.test:1/0") == "redis://cache.test:1/0"
    assert not keyring.is_embedded("redis://cache.test:1/0")


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    before = keyring.load(dotenv, {})
    (tmp_path / ".env.draft").symlink_to("/dev/full")  # a leftover of a killed run: never followed
    keyring.write(dotenv, before)
    assert read_dotenv(dotenv) == before
    assert not (tmp_path / ".env.draft").exists()

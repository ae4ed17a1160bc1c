"""The `.env` for Docker Compose."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.compose_env import fresh, main
from service.settings import read_dotenv


def test_keys_fit_each_other_and_are_new_every_time() -> None:
    keys = fresh()
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(keys["CONTROL_PLANE_SIGNING_KEY"]))
    assert base64.b64decode(keys["SIDECAR_TABLE_PUBLIC_KEYS"]) == private.public_key().public_bytes_raw()
    assert not set(keys.values()) & set(fresh().values())


def test_the_file_is_closed_to_others_and_readable_as_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / ".env"
    assert main([str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    written = read_dotenv(path)
    assert set(written) == set(fresh())
    said = capsys.readouterr().out
    assert not [value for value in written.values() if value in said]


def test_a_file_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ".env"
    path.write_text("POSTGRES_PASSWORD=kept\n")
    assert main([str(path)]) == 1
    assert path.read_text() == "POSTGRES_PASSWORD=kept\n"
    assert "left as it is" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none" / ".env")]) == 3
    assert capsys.readouterr().err.count("\n") == 1

"""A folder and a server that speaks S3 keep files the same way."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.backups.lines import BackupError
from control_plane.backups.places import Bucket, Folder, Found, Place, name_of, named
from tests.control_plane.backups.test_files import header

NAME = "layout-mutation-20300101T000000Z-7b0c6d0e-7.backup"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server that speaks S3, with the bucket `backups`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | CREDENTIALS
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        make_bucket(endpoint, process)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def make_bucket(endpoint: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(f"{endpoint}/backups", method="PUT")
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.URLError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "kept")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return Bucket(f"s3://backups/{tmp_path.name}", request.getfixturevalue("s3_server"))


async def test_what_is_put_is_found_fetched_and_removed(place: Place, tmp_path: Path) -> None:
    assert await place.found() == []
    older, newer = tmp_path / NAME, tmp_path / NAME.replace("2030", "2031")
    older.write_bytes(b"older")
    newer.write_bytes(os.urandom(12 * 1024 * 1024))
    for file in (older, newer):
        await place.put(file)
        await place.put(file)
    assert [(one.name, one.size) for one in await place.found()] == [(newer.name, 12 * 1024 * 1024), (older.name, 5)]
    (tmp_path / "here").mkdir()
    fetched = await place.fetch(newer.name, tmp_path / "here")
    assert fetched.read_bytes() == newer.read_bytes()
    assert fetched.stat().st_mode & 0o777 == 0o600
    await place.remove(newer.name)
    await place.remove(newer.name)
    assert [one.name for one in await place.found()] == [older.name]


async def test_other_files_are_not_ours(tmp_path: Path) -> None:
    for name in ("notes.txt", NAME + ".draft", "layout-mutation-20301399T000000Z-7b0c6d0e-7.backup"):
        (tmp_path / name).touch()
    assert await Folder(tmp_path).found() == []


async def test_a_bucket_that_is_away_or_missing_is_one_error(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BackupError, match=r"s3://nobody/a"):
        await Bucket("s3://nobody/a", s3_server).found()
    with pytest.raises(BackupError, match="no such backup"):
        await Bucket("s3://backups/a", s3_server).fetch(NAME, Path("/tmp"))


def test_an_address_that_is_none_is_refused_by_name() -> None:
    for bad in ("https://a/b", "s3://", "s3://key:secret@bucket"):
        with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_URL") as caught:
            Bucket(bad)
        assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_ENDPOINT"):
        Bucket("s3://a", "127.0.0.1:9000")


def test_a_name_says_when_whose_and_how_far() -> None:
    found = named(name_of(header(), encrypted=True), 3)
    assert found is not None
    assert found.name == NAME.replace("-7.", "-7-1-0000000000000000-by-hand.") + ".age"
    assert found.occasion == "by_hand"
    assert (found.made_at, found.installation, found.change) == (datetime(2030, 1, 1, tzinfo=UTC), "7b0c6d0e", 7)
    assert (found.audit_number, found.audit_hash) == (1, bytes(8))
    assert named(NAME, 3) == Found(NAME, 3, found.made_at, "7b0c6d0e", 7), "what is provisional names no entry"
    assert name_of(header(occasion="scheduled"), encrypted=False, provisional=True) == NAME
    by_hand = name_of(header(), encrypted=False, provisional=True)
    assert by_hand == NAME.replace("-7.", "-7-by-hand.")
    assert named(by_hand, 3) == Found(by_hand, 3, found.made_at, "7b0c6d0e", 7, occasion="by_hand")
    assert "unknown" in name_of(header(installation=None), encrypted=False)

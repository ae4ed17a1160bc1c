"""What `Tables` takes and what it refuses, offered by hand; as Redis and the disk bring it: `test_tables.py`."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from rules.sealing import key_id
from sidecar.tables.snapshot import FILE
from sidecar.tables.tables import verifier
from sidecar.tables.unhurried import at_once
from tests.sidecar.publisher import Follow, Publisher, version


@pytest.mark.parametrize("source", ["redis", "snapshot"])
async def test_what_is_offered_is_taken_if_it_is_newer_or_the_word_of_redis_on_what_was_on_disk(
    follow: Follow, publisher: Publisher, source: str
) -> None:
    tables = follow(redis_url=None)
    assert await tables.offer(publisher.sealed(5), "5")
    if source == "snapshot":
        tables = follow(redis_url=None)
        await tables.start()
    other = publisher.sealed(5, mutations=2)
    for lower, announced in (
        (publisher.sealed(4), "9"),
        (b"noise", "9"),
        *([(other, "9")] if source == "redis" else []),
    ):
        assert not await tables.offer(lower, announced)
        assert (version(tables), tables.status()["source"], tables.status()["state"]) == (5, source, "NACK")
    if source == "snapshot":
        assert await tables.offer(other, "5")
        assert (version(tables), tables.status()["source"], tables.status()["state"]) == (5, "redis", "ACK")
    assert await tables.offer(publisher.sealed(6), "6")
    assert version(tables) == 6


async def test_what_takes_time_is_done_in_the_thread_that_loads(follow: Follow, publisher: Publisher) -> None:
    loaded = follow(redis_url=None)._open(publisher.sealed(1), at_once)
    assert loaded._digest is not None
    assert loaded._versions is not None


@pytest.mark.parametrize(
    ("put_there", "problem"), [(Path.mkdir, "Is a directory"), (os.mkfifo, "it is no file")], ids=["folder", "pipe"]
)
async def test_a_snapshot_that_can_not_be_read_is_said_to_be_that(
    follow: Follow, tmp_path: Path, put_there: Callable[[Path], None], problem: str
) -> None:
    folder = tmp_path / "snapshot"
    folder.mkdir()
    put_there(folder / FILE)
    tables = follow(redis_url=None)
    with capture_logs() as lines:
        await tables.start()
    status = tables.status()
    assert (status["snapshot"], status["state"], status["reason"]) == ("unreadable", "NACK", "unreadable")
    assert status["detail"] == f"snapshot: {problem}"
    assert [(line["event"], line["folder"]) for line in lines] == [("snapshot_refused", str(folder))]


async def test_a_disk_in_trouble_is_one_line_until_it_is_well_again(
    follow: Follow, publisher: Publisher, tmp_path: Path
) -> None:
    tables, folder = follow(redis_url=None), tmp_path / "snapshot"
    for number, well, told in ((1, False, 1), (2, False, 0), (3, True, 0), (4, False, 1)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.unlink(missing_ok=True)
        if not well:
            folder.touch()
        with capture_logs() as lines:
            assert await tables.offer(publisher.sealed(number), str(number)), "it is in force all the same"
        assert tables.status()["snapshot"] == ("written" if well else "write_failed")
        problems = [line["problem"] for line in lines if line["event"] == "snapshot_not_written"]
        assert problems == ["File exists"] * told


async def test_without_a_folder_a_table_is_taken_and_not_kept(follow: Follow, publisher: Publisher) -> None:
    tables = follow(redis_url=None, snapshot_dir=None)
    assert await tables.offer(publisher.sealed(1), "1")
    assert (version(tables), tables.status()["snapshot"]) == (1, "off")


async def test_offences_are_told_once_and_not_remembered_without_end(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.tables.tables.OFFENCES_MAX", 3)
    tables = follow(redis_url=None)
    with capture_logs() as lines:
        for announced in "112312341":
            tables.refuse("malformed", "noise", announced)
            assert len(tables._offences) <= 3
    assert [line["announced"] for line in lines] == ["1", "2", "3", "1", "2", "3", "4", "1"]


def test_only_whole_keys_are_trusted(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        verifier([b"short"])
    assert not verifier([publisher.public_key])("unknown", b"", b"")
    assert not verifier([])("any", b"", b"")


def test_a_key_that_is_trusted_must_have_signed_just_that() -> None:
    signing = Ed25519PrivateKey.generate()
    raw = signing.public_key().public_bytes_raw()
    verify, name, signature = verifier([raw]), key_id(raw), signing.sign(b"message")
    assert verify(name, signature, b"message")
    forged = ((signature, b"massage"), (bytes(64), b"message"), (b"", b"message"), (signature[:-1], b"message"))
    assert [verify(name, *one) for one in forged] == [False] * 4

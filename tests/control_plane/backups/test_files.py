"""A backup comes back as it was written, and one that was harmed is refused whole."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyrage
import pytest
import zstandard

from control_plane.backups import files
from control_plane.backups.encryption import Keys, keys
from control_plane.backups.lines import FORMAT, BackupError, Header, Trailer
from control_plane.store import DocumentRecord, Installation, KeptRecord, Kind, Position, Record, Shelf, StoredVersion
from tests.control_plane.store.test_records import RECORDS

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WHOSE = Installation("7b0c6d0e-0000-4000-8000-000000000001", 3, NOW)
PLAIN = Keys()
IDENTITY = pyrage.x25519.Identity.generate()
SEALED = keys(str(IDENTITY.to_public()), str(IDENTITY))


def header(**more: object) -> Header:
    given = {"format": FORMAT, "program": "0.1.0", "schema": 11, "made_at": NOW, "occasion": "by_hand"}
    position = Position(WHOSE, 7, 1, bytes(32), 4)
    return Header(**{**given, "installation": WHOSE, "position": position, **more})  # type: ignore[arg-type]


async def stream(records: Iterable[Record]) -> AsyncIterator[Record]:
    for record in records:
        yield record


async def read(path: Path, with_keys: Keys = PLAIN) -> list[Record]:
    return [record async for record in files.records(path, with_keys)]


def many(count: int) -> list[Record]:
    """Documents whose bytes don't compress away, some of which JSON on one line can't hold as they are."""
    found: list[Record] = list(RECORDS)
    for number in range(count):
        space = b"\n " if number % 7 == 0 else b" "
        content = b'{"id":%s"m%d","text":"%s"}' % (space, number, str(hash((number, "x")) ** 9).encode())
        version = StoredVersion(version=1, content=content, action="created", actor="me", reason="ü", at=NOW)
        found.append(DocumentRecord(kind=Kind.MUTATION, id=f"m{number}", version=version, change=number + 10))
    found.append(KeptRecord(shelf=Shelf.SETTING, id="s", content=b'{"a" : 1}', change=9, at=NOW))
    return found


@pytest.mark.parametrize("with_keys", [PLAIN, SEALED], ids=["plain", "encrypted"])
async def test_what_is_written_comes_back_byte_for_byte(tmp_path: Path, with_keys: Keys) -> None:
    file, written = tmp_path / "folder" / "a.backup", many(5_000)
    trailer = await files.write(file, header(), stream(written), with_keys)
    assert await read(file, with_keys) == written
    assert files.header(file, with_keys) == header()
    assert await files.check(file, with_keys) == (header(), trailer)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]
    assert (trailer.change, trailer.audit_number, trailer.table_version) == (5_009, 1, 4)
    assert trailer.kinds["document/mutation"].count == 5_000


async def test_an_empty_store_has_a_backup_too(tmp_path: Path) -> None:
    await files.write(tmp_path / "a", header(), stream([]), PLAIN)
    assert await read(tmp_path / "a") == []


async def test_a_backup_is_text_that_other_programs_read(tmp_path: Path) -> None:
    await files.write(tmp_path / "a", header(), stream(many(3)), PLAIN)
    text = zstandard.ZstdDecompressor().decompressobj().decompress((tmp_path / "a").read_bytes())
    lines = [msgspec.json.decode(line) for line in text.splitlines()]
    assert (lines[0]["record"], lines[0]["installation"]["id"], lines[-1]["record"]) == ("header", WHOSE.id, "trailer")
    assert [line["content"]["id"] for line in lines if line.get("id") == "m1"] == ["m1"]


@pytest.mark.parametrize("with_keys", [PLAIN, SEALED], ids=["plain", "encrypted"])
async def test_a_torn_file_is_refused_wherever_it_ends(tmp_path: Path, with_keys: Keys) -> None:
    file = tmp_path / "whole"
    await files.write(file, header(), stream(many(2_000)), with_keys)
    whole = file.read_bytes()
    for length in [0, 1, 10, *range(100, len(whole), len(whole) // 25), len(whole) - 5, len(whole) - 1]:
        torn = tmp_path / "torn"
        torn.write_bytes(whole[:length])
        with pytest.raises(BackupError, match="torn"):
            await read(torn, with_keys)


@pytest.mark.parametrize("with_keys", [PLAIN, SEALED], ids=["plain", "encrypted"])
async def test_a_changed_byte_is_found_wherever_it_is(tmp_path: Path, with_keys: Keys) -> None:
    file = tmp_path / "whole"
    await files.write(file, header(), stream(many(500)), with_keys)
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        file.write_bytes(changed)
        with pytest.raises(BackupError, match=r"^whole"):
            await read(file, with_keys)


def relined(file: Path, change: int, by: tuple[bytes, bytes]) -> None:
    """Change a line as somebody would who can compress again."""
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(file.read_bytes()).splitlines(keepends=True)
    lines[change] = lines[change].replace(*by)
    file.write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines)))


async def test_a_record_that_was_changed_left_out_or_added_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a"
    for line, by in [(20, (b"created", b"removed")), (20, (b"{", b"")), (0, (b"by_hand", b"at_noon"))]:
        await files.write(file, header(), stream(many(30)), PLAIN)
        relined(file, line, by)
        with pytest.raises(BackupError):
            await read(file)
    await files.write(file, header(), stream(many(30)), PLAIN)
    file.write_bytes(
        file.read_bytes() + zstandard.ZstdCompressor().compress(b'{"record":"counter","table_version":9}\n')
    )
    with pytest.raises(BackupError, match="after its end"):
        await read(file)


async def test_the_wrong_identity_and_none_are_told_apart(tmp_path: Path) -> None:
    await files.write(tmp_path / "a", header(), stream(RECORDS), SEALED)
    assert b"created" not in (tmp_path / "a").read_bytes()
    with pytest.raises(BackupError, match="set CONTROL_PLANE_BACKUP_IDENTITY"):
        await read(tmp_path / "a")
    other = keys("", str(pyrage.x25519.Identity.generate()))
    with pytest.raises(BackupError, match="none of those") as caught:
        await read(tmp_path / "a", other)
    assert "AGE-SECRET" not in str(caught.value)


async def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="No such file"):
        await read(tmp_path / "missing")
    (tmp_path / "a").write_bytes(b"-- PostgreSQL database dump")
    with pytest.raises(BackupError, match="no backup"):
        await read(tmp_path / "a")


async def test_a_newer_format_is_refused_with_the_program_that_reads_it(tmp_path: Path) -> None:
    await files.write(tmp_path / "a", header(format=FORMAT + 1, program="9.9"), stream([]), PLAIN)
    with pytest.raises(BackupError, match=r"run the program that made it \(9\.9\)"):
        await read(tmp_path / "a")


@pytest.mark.parametrize("with_keys", [PLAIN, SEALED], ids=["plain", "encrypted"])
async def test_a_store_that_goes_away_leaves_nothing_behind(tmp_path: Path, with_keys: Keys) -> None:
    async def broken() -> AsyncIterator[Record]:
        for record in many(3_000):
            yield record
        raise ConnectionError

    before = tmp_path / "a"
    await files.write(before, header(), stream(RECORDS), with_keys)
    with pytest.raises(ConnectionError):
        await files.write(before, header(), broken(), with_keys)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert await read(before, with_keys) == list(RECORDS)


async def test_whoever_stops_reading_lets_go_of_the_file(tmp_path: Path) -> None:
    await files.write(tmp_path / "a", header(), stream(many(5_000)), SEALED)
    async with asyncio.timeout(60):
        reading = files.records(tmp_path / "a", SEALED)
        assert await anext(reading) == RECORDS[0]
        await reading.aclose()


def test_settings_that_are_no_keys_are_refused_by_name_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_RECIPIENTS"):
        keys("age1nonsense", "")
    with pytest.raises(ValueError, match="CONTROL_PLANE_BACKUP_IDENTITY") as caught:
        keys("", "AGE-SECRET-KEY-1SECRET")
    assert "1SECRET" not in str(caught.value)
    assert "AGE" not in repr(SEALED)


def test_a_trailer_is_no_record() -> None:
    assert Trailer not in Record.__args__

"""The table on disk: whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.tables import snapshot


def test_what_was_written_is_read(tmp_path: Path) -> None:
    snapshot.write(tmp_path / "new" / "folder", b"sealed")
    assert snapshot.read(tmp_path / "new" / "folder", 100) == b"sealed"


def test_nothing_is_read_where_nothing_is(tmp_path: Path) -> None:
    assert snapshot.read(tmp_path, 100) is None
    assert snapshot.read(tmp_path / "missing", 100) is None


def test_reading_is_bounded(tmp_path: Path) -> None:
    snapshot.write(tmp_path, bytes(1000))
    assert snapshot.read(tmp_path, 100) == bytes(101)


def test_the_same_table_is_not_written_twice(tmp_path: Path) -> None:
    snapshot.write(tmp_path, b"sealed")
    first = (tmp_path / snapshot.FILE).stat().st_ino
    snapshot.write(tmp_path, b"sealed")
    assert (tmp_path / snapshot.FILE).stat().st_ino == first
    snapshot.write(tmp_path, b"others")
    assert snapshot.read(tmp_path, 100) == b"others"


def test_a_large_table_is_written_and_compared_in_pieces(tmp_path: Path) -> None:
    pauses: list[None] = []
    large = bytes(range(256)) * 2_500  # 2.4 pieces
    snapshot.write(tmp_path, large, lambda: pauses.append(None))
    assert (len(pauses), snapshot.read(tmp_path, len(large))) == (3, large)
    snapshot.write(tmp_path, large, lambda: pauses.append(None))
    assert len(pauses) == 6
    snapshot.write(tmp_path, large[:-1] + b"x")
    assert snapshot.read(tmp_path, len(large)) == large[:-1] + b"x"


def test_drafts_of_the_dead_are_swept(tmp_path: Path) -> None:
    old, young = tmp_path / ".table.1.aa", tmp_path / ".table.2.bb"
    for draft in (old, young):
        draft.write_bytes(b"half")
    os.utime(old, (0, 0))
    snapshot.write(tmp_path, b"sealed")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".table.2.bb", "table"]


def test_a_draft_that_can_not_be_swept_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / ".table.1.aa").mkdir()
    os.utime(tmp_path / ".table.1.aa", (0, 0))
    snapshot.write(tmp_path, b"sealed")
    assert snapshot.read(tmp_path, 100) == b"sealed"


def test_a_power_cut_finds_the_old_table_or_the_whole_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes are on the disk before the name is, and the name is before anybody hears that it was written."""
    snapshot.write(tmp_path, b"old")
    synced: list[tuple[str, bytes | None]] = []

    def noting(descriptor: int) -> None:
        status = os.fstat(descriptor)
        what = "folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes"
        synced.append((what, snapshot.read(tmp_path, 100)))

    monkeypatch.setattr(os, "fsync", noting)
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    snapshot.write(tmp_path, b"sealed")
    assert synced == [("6 bytes", b"old"), ("folder", b"sealed")]
    assert len(list(descriptors.iterdir())) == before, "nothing stays open"


def test_a_full_disk_leaves_the_old_table_and_no_draft(tmp_path: Path) -> None:
    snapshot.write(tmp_path, b"old")
    program = (
        "import resource, signal, sys; from pathlib import Path; from sidecar.tables import snapshot\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: snapshot.write(Path(sys.argv[1]), bytes(100_000))\n"
        "except OSError as error: sys.exit(f'refused: {error.errno}')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert "refused: 27" in answer.stderr
    assert snapshot.read(tmp_path, 100) == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [snapshot.FILE]


def test_a_folder_that_goes_meanwhile_is_told_as_that(tmp_path: Path) -> None:
    """And not as the draft, which nobody can remove then."""
    folder = tmp_path / "snapshot"

    def gone() -> None:
        if folder.is_dir():
            folder.rename(tmp_path / "elsewhere")
            folder.touch()

    with pytest.raises(NotADirectoryError) as caught:
        snapshot.write(folder, b"sealed", gone)
    assert caught.value.filename2 == str(folder / snapshot.FILE)


def test_what_is_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / snapshot.FILE).mkdir()
    with pytest.raises(OSError, match="directory"):
        snapshot.read(tmp_path, 100)
    with pytest.raises(OSError, match="directory"):
        snapshot.write(tmp_path, b"sealed")


def test_what_is_no_file_is_an_error_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Whoever owns the disk may put a pipe there, which has no end before somebody writes."""
    os.mkfifo(tmp_path / snapshot.FILE)
    with pytest.raises(OSError, match="no file"):
        snapshot.read(tmp_path, 100)
    snapshot.write(tmp_path, b"sealed")
    assert snapshot.read(tmp_path, 100) == b"sealed"

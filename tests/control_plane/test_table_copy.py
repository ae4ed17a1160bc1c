"""The copy of the last table on disk."""

from pathlib import Path

import pytest

from control_plane.table_copy import TableCopy


def test_it_is_written_whole_into_a_folder_of_its_own(tmp_path: Path) -> None:
    copy = TableCopy(tmp_path / "a" / "b")
    assert copy.read() == b""
    copy.write(b"one")
    copy.write(b"two")
    assert copy.read() == b"two"
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["table"]


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        TableCopy(tmp_path / "file" / "b").write(b"one")

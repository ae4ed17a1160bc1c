"""Logs are followed line by line and stay within their bound."""

from pathlib import Path

from layout_mutation.log_files import SIZE_BYTES_MAX, LogFile


def test_whole_lines_only_and_only_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    log = LogFile(path)
    assert log.new_lines() == []
    with path.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert log.new_lines() == ["one"]
        file.write("o\n")
    assert log.new_lines() == ["two"]


def test_a_log_is_cut_under_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(path)
    with path.open("ab", buffering=0) as writer:
        writer.write(b"x" * SIZE_BYTES_MAX + b"y\n")
        log.trim()
        assert path.stat().st_size == 0
        writer.write(b"next\n")
    assert log.new_lines() == ["next"]
    assert (tmp_path / "log.1").stat().st_size == SIZE_BYTES_MAX + 2


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    log.trim()
    assert log.new_lines() == []
    (tmp_path / "log").write_text("first\n")
    assert log.new_lines() == ["first"]

"""What a person sees of a start: plain lines, or a live display on a terminal."""

import io
import re

import pytest
from rich.console import Console

from layout_mutation.progress import NOTES, StartProgress, show_addresses, show_trouble


def paper(*, terminal: bool = False, width: int = 40) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=width, _environ={}), file


def test_elsewhere_than_on_a_terminal_each_part_is_a_line() -> None:
    console, file = paper()
    with StartProgress(console) as progress:
        progress.preparing("Valkey")
        assert file.getvalue() == ""
        progress.ready("Valkey")
    assert re.fullmatch(r"Valkey is ready \(\d+\.\d s\)\n", file.getvalue())


def test_on_a_terminal_each_part_is_shown_while_it_starts_and_stays() -> None:
    console, file = paper(terminal=True, width=100)
    with StartProgress(console) as progress:
        for part in NOTES:
            progress.preparing(part)
            progress.ready(part)
        progress.finish()
        progress.finish()
        progress.note("beside it")
    for part, note in NOTES.items():
        assert part in file.getvalue()
        assert re.search(rf"{re.escape(note)} · \d+\.\d s", file.getvalue())
    assert file.getvalue().rstrip().endswith("beside it")


def test_a_line_is_never_broken_and_never_read_as_markup() -> None:
    console, file = paper(width=20)
    progress = StartProgress(console)
    progress.log_line("sidecar", "[bold]a path in brackets[/bold] " + "x" * 50)
    assert file.getvalue() == "sidecar | [bold]a path in brackets[/bold] " + "x" * 50 + "\n"


def test_a_fall_comes_with_the_last_three_words() -> None:
    console, file = paper()
    progress = StartProgress(console)
    progress.fell("sidecar", "killed by signal 9", ["one", "two", "three", "four"])
    progress.came_back("sidecar")
    first, *words, last = file.getvalue().splitlines()
    assert first == "sidecar ended killed by signal 9; starting it again. Its last words:"
    assert words == ["    two", "    three", "    four"]
    assert last == "sidecar is back"


def test_addresses_stand_one_below_the_other_and_whole() -> None:
    console, file = paper(width=30)
    link = "http://127.0.0.1:8081/admin/layout-mutations/sign-in?token=" + "t" * 100
    show_addresses(console, [("Site", "http://127.0.0.1:8080/"), ("Sign in, once", link)])
    lines = file.getvalue().splitlines()
    assert "  Site            http://127.0.0.1:8080/" in lines
    assert f"  Sign in, once   {link}" in lines
    assert "  Ctrl-C stops everything." in lines


def test_trouble_is_a_line_and_what_the_log_says(capsys: pytest.CaptureFixture[str]) -> None:
    show_trouble("the disk is full", ["FATAL: no space"])
    assert capsys.readouterr() == ("", "layout-mutation up: the disk is full\n    FATAL: no space\n")

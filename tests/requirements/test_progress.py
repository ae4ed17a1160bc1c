"""The display of set-up."""

import io
import os

from requirements.progress import Progress

PIP = b"""\
Looking in indexes: somewhere
Ignoring colorama: markers do not match
Collecting aiohttp==3.14.5 (from -r run.lock (line 9))
  Downloading aiohttp-3.14.5-cp311.whl
Processing /wheels/uuid_utils-1.2.0-cp311.whl (from -r run.lock (line 9))
Requirement already satisfied: pip-audit in there
Installing collected packages: aiohttp"""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def followed(progress: Progress, said: bytes) -> list[str]:
    """What `follow` yields when a tool says this and ends."""
    reading, writing = os.pipe()
    os.write(writing, said)
    os.close(writing)
    try:
        return list(progress.follow(reading))
    finally:
        os.close(reading)


def test_every_line_is_handed_on_the_last_without_its_end_too() -> None:
    progress = Progress("Setting up", io.StringIO())
    assert followed(progress, PIP) == PIP.decode().splitlines()
    assert followed(progress, b"caf\xff\n\nend") == ["caf\N{REPLACEMENT CHARACTER}", "", "end"]
    assert followed(progress, b"") == []


def test_a_terminal_shows_how_far_it_is_and_is_left_clean() -> None:
    out = Terminal()
    with Progress("Setting up", out) as progress:
        progress.show("packages", total=4)
        followed(progress, PIP)
        progress.show("scripts")
    shown = out.getvalue()
    assert "4/4 packages: unpacking" in shown
    assert shown.endswith("\r\x1b[2KSetting up: done in 0 s\n")


def test_names_of_packages_are_found_in_every_kind_of_line() -> None:
    out = Terminal()
    progress = Progress("Setting up", out)
    for line, name in zip(PIP.splitlines()[1:6], ["colorama", "aiohttp", None, "uuid_utils", "pip-audit"], strict=True):
        progress.show("packages", total=9)
        followed(progress, line)
        last = out.getvalue().rsplit("\r", 1)[-1]
        assert last.endswith(f"1/9 packages: {name}" if name else "0/9 packages")


def test_a_log_has_one_line_a_step() -> None:
    out = io.StringIO()
    with Progress("Setting up", out) as progress:
        progress.show("packages", total=7)
        followed(progress, PIP)
    assert out.getvalue() == "Setting up: packages (7) ...\nSetting up: done in 0 s\n"

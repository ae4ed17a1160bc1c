"""The dispatch: one command, its help, and ends that are no traceback."""

import io
import os
import subprocess
import sys

import pytest

from layout_mutation.__main__ import COMMANDS, main
from tests.layout_mutation.running_up import ROOT
from tests.layout_mutation.typed import CommandLine

RULES = str(ROOT / "examples" / "rules.json")
RUN_S_MAX = 60


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_of_the_command_and_its_exit_codes(run: CommandLine, command: str) -> None:
    ran = run(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"layout-mutation {command}" in ran.text.partition("examples:")[2]
    assert "exit code" in ran.text


def test_without_a_command_or_with_a_wrong_one_it_is_wrong_usage(run: CommandLine) -> None:
    for words in ((), ("rewright",), ("lint", "--nonsense"), ("sidecar", "now")):
        ran = run(*words)
        assert (ran.code, ran.out) == (2, b"")
        assert "usage: layout-mutation" in ran.err


def test_an_unusable_input_is_one_line_and_exit_code_2(run: CommandLine) -> None:
    ran = run("lint", "nowhere.json")
    assert ran.is_one_error(2)
    assert ran.err == "error: nowhere.json: No such file or directory\n"


def test_a_reader_who_leaves_early_causes_no_complaint() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "layout_mutation", "lint", RULES]
    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, timeout=RUN_S_MAX, check=False, text=True
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (3, "")


class Keyboard(io.BytesIO):
    """Somebody who presses Ctrl-C instead of typing a file."""

    def read(self, _: int | None = -1) -> bytes:
        raise KeyboardInterrupt


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Keyboard()))
    assert main(["lint", "-"]) == 3
    assert capsys.readouterr() == ("", "")

"""A part that falls comes back; one that keeps falling ends the run; the order of the end is fixed."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from layout_mutation.processes import ChildProcess, Interruption, Program, RunError
from layout_mutation.supervisor import RESTARTS_MAX, STOP_ORDER, Supervisor, how_it_ended


class OnePart:
    """A part that runs a line of Python and notes its end."""

    def __init__(self, name: str, folder: Path, code: str, ended: list[str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        command = (sys.executable, "-c", code)
        self.child = ChildProcess(Program(name, command, folder / name, self.log, dict(os.environ), folder))
        self._ended = ended

    def prepare(self) -> None:
        pass

    def spawn(self) -> None:
        self.child.spawn()

    def is_ready(self) -> bool:
        return self.child.exit_code() is None

    def stop(self) -> None:
        self._ended.append(self.name)
        self.child.stop()


class Notes:
    """A viewer that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def preparing(self, part: str) -> None:
        self.lines.append(f"preparing {part}")

    def ready(self, part: str) -> None:
        self.lines.append(f"ready {part}")

    def fell(self, part: str, how: str, last_lines: Sequence[str]) -> None:
        self.lines.append(f"fell {part} {how} {list(last_lines)}")

    def came_back(self, part: str) -> None:
        self.lines.append(f"back {part}")

    def log_line(self, part: str, line: str) -> None:
        self.lines.append(f"{part} | {line}")


def test_parts_end_before_those_that_they_need(tmp_path: Path) -> None:
    ended: list[str] = []
    supervisor = Supervisor(Notes(), Interruption())
    for name in sorted(STOP_ORDER):
        supervisor.launch(OnePart(name, tmp_path, "import signal; signal.pause()", ended))
    supervisor.stop()
    assert ended == list(STOP_ORDER)


def test_a_part_that_keeps_falling_ends_the_run(tmp_path: Path) -> None:
    notes, ended = Notes(), list[str]()
    supervisor = Supervisor(notes, Interruption(), restart_delay_s=0.001)
    supervisor.launch(OnePart("sidecar", tmp_path, "raise SystemExit('tired')", ended))
    with pytest.raises(RunError, match=f"sidecar ended {RESTARTS_MAX + 1} times in a row, with exit code 1") as caught:
        supervisor.watch(verbose=False)
    assert caught.value.details == ("tired",)
    assert notes.lines.count("fell sidecar with exit code 1 ['tired']") == RESTARTS_MAX
    supervisor.stop()


def test_an_end_in_words() -> None:
    assert how_it_ended(-9) == "killed by signal 9"
    assert how_it_ended(3) == "with exit code 3"

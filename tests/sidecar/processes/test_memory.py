"""What a process holds with its children: a child that takes memory shows in its parent's sum."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.processes import memory
from sidecar.processes.memory import held_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: /proc tells it")

TAKES = "import os, signal, sys; taken = bytearray(b'x' * int(sys.argv[1])); os.write(1, b'taken\\n'); signal.pause()"
SHELL = f'{sys.executable} -c "$0" "$1" & {sys.executable} -c "$0" "$1"; wait'


def test_what_children_hold_counts_for_their_parent() -> None:
    size = 30_000_000
    command = [*("/bin/sh", "-c", SHELL, TAKES), str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout is not None
        try:
            for _ in range(2):
                assert parent.stdout.readline() == b"taken\n"
            held = held_bytes(parent.pid)
        finally:
            os.killpg(parent.pid, 9)
    assert 2 * size <= held < 2 * size + 100_000_000


def test_who_has_ended_holds_nothing() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
        assert held_bytes(process.pid) == 0


def test_files_and_what_is_not_told_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker (1), whose second thread has started a child (2) with libraries, and one (3) that ends just now."""
    monkeypatch.setattr(memory, "_PROCESSES", tmp_path)
    for process, statm, threads in (
        (1, "900 50 20 1 0 40 0", {1: "", 11: "2 3 "}),
        (2, "90 9 8 1 0 4 0", {2: ""}),
        (3, "", {}),
    ):
        for thread, children in threads.items():
            (tmp_path / f"{process}/task/{thread}").mkdir(parents=True)
            (tmp_path / f"{process}/task/{thread}/children").write_text(children)
        (tmp_path / f"{process}").mkdir(exist_ok=True)
        (tmp_path / f"{process}/statm").write_text(statm)
    assert held_bytes(1) == (30 + 1) * os.sysconf("SC_PAGE_SIZE")

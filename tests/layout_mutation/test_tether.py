"""Who a process is, whether its group lives, and the program that a tether becomes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from layout_mutation import tether

TETHER = (sys.executable, "-I", "-S", tether.__file__)
RUN_S_MAX = 30


def tethered(record: Path, *command: str, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    """A program run through the tether, by this process or by one that is gone."""
    words = [*TETHER, str(record), str(parent or os.getpid()), "15", "-", "-", *command]
    return subprocess.run(words, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)


def test_an_identity_is_of_one_life() -> None:
    own = tether.identity(os.getpid())
    assert own is not None
    assert tether.identity(os.getpid()) == own
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        other = tether.identity(child.pid)
        assert other not in (None, own)
        child.communicate(b"\n")
    assert tether.identity(child.pid) is None


def test_a_zombie_has_no_identity_and_its_group_does_not_live() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert tether.identity(child.pid) is None
        assert not tether.group_lives(child.pid)
    assert tether.group_lives(os.getpgrp())


def test_the_program_has_the_record_the_mark_and_a_private_umask(tmp_path: Path) -> None:
    record = tmp_path / "record"
    show = f"import os; print(os.getpid(), os.environ[{tether.MARK!r}], oct(os.umask(0)))"
    ran = tethered(record, sys.executable, "-c", show)
    pid, mark, umask = ran.stdout.split()
    assert (ran.returncode, ran.stderr, mark, umask) == (0, "", str(record), "0o77")
    assert record.read_text().startswith(f"{pid} ")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


@pytest.mark.skipif(not tether.PROC.exists(), reason="only /proc shows the environment of another process")
def test_a_child_carries_its_record_and_no_other(tmp_path: Path) -> None:
    words = [*TETHER, str(tmp_path / "record"), str(os.getpid()), "15", "-", "-", sys.executable, "-c"]
    with subprocess.Popen([*words, "print(flush=True); input()"], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert tether.carries(child.pid, tmp_path / "record")
        assert not tether.carries(child.pid, tmp_path / "another")
        assert child.pid in tether.group_members(os.getpgid(child.pid))
        child.communicate(b"\n")
    assert not tether.carries(child.pid, tmp_path / "record")


def test_a_program_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ran = tethered(tmp_path / "record", "/no/such/program")
    assert (ran.returncode, ran.stderr) == (1, "/no/such/program cannot be run: No such file or directory\n")


def test_a_parent_that_is_gone_leaves_no_program(tmp_path: Path) -> None:
    ran = tethered(tmp_path / "record", sys.executable, "-c", "print('alone')", parent=1)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "the parent ended before its child began\n"

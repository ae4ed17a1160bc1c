"""Children are known by pid and start time, end when asked, and take their own children along."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layout_mutation import tether
from layout_mutation.processes import (
    ChildProcess,
    Interrupted,
    Interruption,
    Program,
    RunError,
    last_lines,
    stop_leftover,
    wait_until,
)
from tests.layout_mutation.running_up import alive, family, wait_for

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); input()"
WORKER = "import os, signal; os.fork() or signal.pause(); print('two', flush=True); signal.pause()"


def program(folder: Path, *arguments: str, grace_s: float = 10.0) -> Program:
    return Program(
        name="child",
        command=(sys.executable, "-c", *arguments),
        record=folder / "record",
        log=folder / "log",
        environment=dict(os.environ),
        folder=folder,
        grace_s=grace_s,
    )


def started(folder: Path, *arguments: str, grace_s: float = 10.0) -> ChildProcess:
    child = ChildProcess(program(folder, *arguments, grace_s=grace_s))
    child.spawn()
    return child


def test_a_child_is_on_record_while_it_runs(tmp_path: Path) -> None:
    child = started(tmp_path, "print('ready', flush=True); import signal; signal.pause()")
    wait_until(lambda: child.last_lines() != [], child, within_s=10)
    assert child.pid is not None
    assert (tmp_path / "record").read_text() == f"{child.pid} {tether.identity(child.pid)}\n"
    child.stop()
    stopped: int | None = child.pid
    assert stopped is None
    assert not (tmp_path / "record").exists()
    child.stop()


def test_standard_input_is_handed_over(tmp_path: Path) -> None:
    child = ChildProcess(program(tmp_path, "print(input())"))
    child.spawn(stdin=b"hello\n")
    wait_until(lambda: child.exit_code() == 0, child, within_s=10)
    assert child.last_lines() == ["hello"]
    child.stop()


def test_workers_go_with_their_leader(tmp_path: Path) -> None:
    child = started(tmp_path, WORKER)
    wait_until(lambda: "two" in child.last_lines(), child, within_s=10)
    assert child.pid is not None
    members = family(child.pid)
    assert len(members) == 2
    child.stop()
    assert not any(alive(pid) for pid in members)


def test_who_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    child = ChildProcess(program(tmp_path, DEAF.replace("input()", "signal.pause()"), grace_s=0.2))
    child.spawn()
    wait_until(lambda: "deaf" in child.last_lines(), child, within_s=10)
    began = time.monotonic()
    child.stop()
    assert 0.2 <= time.monotonic() - began < 5


def test_who_insists_waits_for_no_grace(tmp_path: Path) -> None:
    child = started(tmp_path, DEAF.replace("input()", "signal.pause()"), grace_s=60)
    wait_until(lambda: "deaf" in child.last_lines(), child, within_s=10)
    interruption = Interruption()
    interruption.ask()
    interruption.ask()
    began = time.monotonic()
    child.stop(interruption)
    assert time.monotonic() - began < 5


def test_a_stop_is_heard_in_whatever_step_of_a_pause_it_comes() -> None:
    script = Path(__file__).with_name("stopped_at_every_step.py")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 10, "steps in which a stop came"


def test_an_end_before_it_is_ready_is_told_with_the_last_lines_of_this_run(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("an old story\n")
    child = started(tmp_path, "raise SystemExit('no luck')")
    with pytest.raises(RunError, match="child ended while it was starting") as caught:
        wait_until(lambda: False, child, within_s=10)
    assert caught.value.details == ("no luck",)
    child.stop()


def test_waiting_has_an_end(tmp_path: Path) -> None:
    child = started(tmp_path, "import signal; signal.pause()")
    with pytest.raises(RunError, match="was not ready within 0 s"):
        wait_until(lambda: False, child, within_s=0.05)
    interruption = Interruption()
    interruption.ask()
    with pytest.raises(Interrupted):
        wait_until(lambda: False, child, within_s=10, interruption=interruption)
    child.stop()


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    missing = Program("child", ("/no/such/program",), tmp_path / "record", tmp_path / "log", {}, tmp_path)
    child = ChildProcess(missing)
    child.spawn()
    wait_for(lambda: child.exit_code() is not None)
    assert child.last_lines() == ["/no/such/program cannot be run: No such file or directory"]
    child.stop()


def test_a_leftover_is_stopped_and_a_stranger_is_not(tmp_path: Path) -> None:
    child = started(tmp_path, "print('ready', flush=True); import signal; signal.pause()")
    wait_until(lambda: child.last_lines() != [], child, within_s=10)
    assert child.pid is not None
    (tmp_path / "other").write_text(f"{child.pid} another-boot/1\n")
    assert not stop_leftover(tmp_path / "other", signal.SIGTERM, 5)
    assert child.exit_code() is None
    assert stop_leftover(tmp_path / "record", signal.SIGTERM, 5)
    wait_for(lambda: child.exit_code() is not None)
    child.stop()


@pytest.mark.skipif(not tether.PROC.exists(), reason="only /proc shows whose children outlived their parent")
def test_workers_of_a_leader_that_is_gone_are_leftovers_too(tmp_path: Path) -> None:
    child = started(tmp_path, WORKER)
    wait_until(lambda: "two" in child.last_lines(), child, within_s=10)
    assert child.pid is not None
    members = family(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: child.exit_code() is not None)
    assert len(family(child.pid)) == 1
    shutil.copy(tmp_path / "record", tmp_path / "copy")
    assert not stop_leftover(tmp_path / "copy", signal.SIGTERM, 5)  # a record elsewhere: not the one they carry
    assert stop_leftover(tmp_path / "record", signal.SIGTERM, 5)
    assert not any(alive(pid) for pid in members)
    child.stop()


@pytest.mark.parametrize("record", ["", "nonsense", "12", "x y", "-1 b/1"])
def test_a_damaged_record_means_nobody(tmp_path: Path, record: str) -> None:
    (tmp_path / "record").write_text(record)
    assert not stop_leftover(tmp_path / "record", signal.SIGTERM, 5)
    assert not (tmp_path / "record").exists()


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log, 3) == []
    log.write_text("".join(f"{number}\n" for number in range(10_000)))
    assert last_lines(log, 2) == ["9998", "9999"]
    assert last_lines(log, 2, start=log.stat().st_size) == []
    assert last_lines(log, 1, start=10**9) == ["9999"]  # it was cut meanwhile

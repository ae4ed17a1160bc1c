"""Child processes that are known by name, end with their parent, and leave nothing behind.

Counterpart: `tether.py` is what a child runs first. Used by `up` for the two planes and the demo site, and by
`embedded/` for the servers. A child lives in a session of its own, so that Ctrl-C in the terminal reaches only `up`,
which then stops the children in order.

Never restarts a child, never reads what a child prints other than to show its last lines, and must be used from a
thread that lives as long as the children: the kernel ties a child to the *thread* that started it (prctl(2)).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from layout_mutation import tether

POLL_INTERVAL_S = 0.02  # how often a wait looks; a start of the whole takes seconds
LAST_LINES_BYTES_MAX = 16_384  # how much of a log's end is read to show its last lines
RECORD = "running"  # the file in a server's folder that tells a later run who the server was
SWEEP_S_MAX = 2.0
KILL_PATIENCE_S = 5.0  # SIGKILL takes effect at once, unless a disk hangs


class RunError(Exception):
    """Something that must run does not. The message is one line that says what to do; `details` are log lines."""

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class Interrupted(Exception):  # noqa: N818 - an answer to Ctrl-C, not an error
    """A person asked to stop while something was awaited."""


class Interruption:
    """How a person stops `up`: the first signal asks, the second insists.

    Signals only count here. An exception raised by a handler could land between starting a child and knowing it; and a
    handler runs between any two steps of the thread that it interrupts, so it must wait for no lock which that thread
    may hold: to put into a `SimpleQueue` is reentrant, to set an `Event` is not. Only one thread pauses and asks for the
    flags.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._signals: SimpleQueue[None] = SimpleQueue()

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._signals.qsize() > 0

    @property
    def insisted(self) -> bool:
        """Whether it was asked for a second time: stop waiting, kill."""
        return self._signals.qsize() > 1

    def ask(self) -> None:
        """Ask; ask again to insist."""
        self._signals.put(None)

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until a stop is asked for."""
        with suppress(Empty):
            self._signals.put(self._signals.get(timeout=seconds))

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in self.SIGNALS}
        if self._before[signal.SIGHUP] is signal.SIG_IGN:
            del self._before[signal.SIGHUP]  # nohup: the terminal may go
        for number in self._before:
            signal.signal(number, lambda *_: self.ask())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@dataclass(frozen=True, slots=True)
class Account:
    """The user that a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how.

    `record` is the file that tells a later run who the child was; `farewell` the signal that asks it to finish;
    `grace_s` how long it may take over that; `account` the user to become (only root may), None for the present one.
    """

    name: str
    command: tuple[str, ...]
    record: Path
    log: Path
    environment: Mapping[str, str]
    folder: Path
    account: Account | None = None
    farewell: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0


class ChildProcess:
    """One running program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id, None before `spawn` and after `stop`."""
        return None if self._process is None else self._process.pid

    def spawn(self, stdin: bytes = b"") -> None:
        """Start it and hand it `stdin`; returns at once. A leftover of a killed run is stopped first."""
        program = self.program
        stop_leftover(program.record, program.farewell, program.grace_s)
        program.record.parent.mkdir(parents=True, exist_ok=True)
        program.log.parent.mkdir(parents=True, exist_ok=True)
        account = ("-", "-") if program.account is None else (str(program.account.uid), str(program.account.gid))
        shim = (sys.executable, "-I", "-S", tether.__file__, str(program.record), str(os.getpid()))
        with program.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - programs of ours, named in full
                [*shim, str(int(program.farewell)), *account, *program.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                cwd=program.folder,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended before it read anything: `exit_code` and its log tell
            self._process.stdin.write(stdin)
            self._process.stdin.close()

    def exit_code(self) -> int | None:
        """None while it runs (or was never started), else how it ended; negative: the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def stop(self, interruption: Interruption | None = None) -> None:
        """Ask it to finish, wait, kill what is left of it and of its own children. Safe to call twice."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self.program.farewell)
            deadline = time.monotonic() + self.program.grace_s
            while self._process.poll() is None and time.monotonic() < deadline:
                if interruption is not None and interruption.insisted:
                    break
                _wait_for_exit(self._process, POLL_INTERVAL_S)
        self._process.kill()
        self._process.wait()
        _kill_session(self._process.pid)
        self._process = None
        self.program.record.unlink(missing_ok=True)

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of what it has written to its log since `spawn`."""
        return last_lines(self.program.log, count, self._log_start)


def wait_until(
    ready: Callable[[], bool], child: ChildProcess, *, within_s: float, interruption: Interruption | None = None
) -> None:
    """Wait until `ready()`.

    Raises:
        RunError: the child ended, or `within_s` passed; with the last lines of its log.
        Interrupted: a stop was asked for meanwhile.
    """
    interruption = interruption or Interruption()
    name, deadline = child.program.name, time.monotonic() + within_s
    while True:
        ended = child.exit_code() is not None  # before `ready()`, which may be true because it has just ended well
        if ready():
            return
        if interruption.asked:
            raise Interrupted
        if ended:
            raise RunError(f"{name} ended while it was starting; its log is {child.program.log}", child.last_lines())
        if time.monotonic() > deadline:
            message = f"{name} was not ready within {within_s:.0f} s; its log is {child.program.log}"
            raise RunError(message, child.last_lines())
        interruption.pause(POLL_INTERVAL_S)


def stop_leftover(record: Path, farewell: signal.Signals, grace_s: float) -> bool:
    """Stop what `record` names if it still runs, and remove the record. Whether there was anything to stop.

    A pid that belongs to somebody else by now is left alone. Workers that outlived their leader are known by the mark
    in their environment.
    """
    pid, known_as = _read_record(record)
    stopped = False
    if pid and tether.identity(pid) == known_as:
        end_process(pid, farewell, grace_s)
        stopped = True
    elif pid and any(tether.carries(member, record) for member in tether.group_members(pid)):
        _kill_session(pid)
        stopped = True
    record.unlink(missing_ok=True)
    return stopped


def _read_record(record: Path) -> tuple[int, str]:
    """Pid and identity; `(0, "")` where there is none."""
    try:
        number, _, known_as = record.read_text("ascii").strip().partition(" ")
    except (FileNotFoundError, UnicodeDecodeError):
        return 0, ""
    return (int(number), known_as) if number.isdecimal() and known_as else (0, "")


def end_process(pid: int, farewell: signal.Signals, grace_s: float) -> None:
    """End a process that is not our child, politely first, and all that is left of its session."""
    known_as = tether.identity(pid)
    for number, patience_s in ((farewell, grace_s), (signal.SIGKILL, KILL_PATIENCE_S)):
        deadline = time.monotonic() + patience_s
        if known_as is None or tether.identity(pid) != known_as:
            break
        os.kill(pid, number)
        while tether.identity(pid) == known_as and time.monotonic() < deadline:
            threading.Event().wait(POLL_INTERVAL_S)
    _kill_session(pid)


def last_lines(log: Path, count: int, start: int = 0) -> list[str]:
    """The last lines of a log file from the byte `start` on, none if there is no file."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start if start <= size else 0, size - LAST_LINES_BYTES_MAX))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def _wait_for_exit(process: subprocess.Popen[bytes], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _kill_session(leader: int) -> None:
    """Kill what remains of the process group that `leader` opened: workers that outlived it, with its sockets.

    The leader is reaped already. Others end up with init and take a moment to be gone.
    """
    deadline = time.monotonic() + SWEEP_S_MAX
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says EPERM when only zombies are
        os.killpg(leader, signal.SIGKILL)
        while tether.group_lives(leader) and time.monotonic() < deadline:
            threading.Event().wait(POLL_INTERVAL_S / 4)

"""Generations that come and go at the door; their processes are only said to be there, the wires and sockets are real.

Real ones are in tests/end_to_end/test_proxy_restarts.py.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from sidecar.processes import door, supervision
from sidecar.processes.door import BEAT, KILL, LEAVE, OFF, ON, STOP, VISITORS, Door
from sidecar.processes.heard import HEARD


class Launched:
    """A generation's process that is only said to be there; the test speaks for it, at the other end of the wire."""

    pid = 7

    def __init__(self, command: list[str], *, stdin: int, pass_fds: tuple[int, ...], env: dict[str, str]) -> None:
        assert (command[1:3], stdin) == (["-m", "sidecar.processes.supervision"], subprocess.DEVNULL)
        self.options = supervision._options(command[3:])
        self.given = json.loads(self.options.sockets)
        self.inherits = pass_fds
        self.environment = env
        self.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.wire = socket.socket(fileno=os.dup(self.options.door_fd))
        self.wire.setblocking(False)
        self.exit_code = 0
        self.killed = 0

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None and self.exit_code == -signal.SIGKILL and not self.killed:
            raise subprocess.TimeoutExpired("supervision", timeout)
        return self.exit_code

    def kill(self) -> None:
        self.killed += 1

    def told(self) -> list[bytes]:
        """What the door said since this was asked last."""
        try:
            return self.wire.recv(4096).splitlines(keepends=True)
        except BlockingIOError:
            return []

    def serves(self, port: socket.socket) -> None:
        """It says that it is up, after a beat that the door has not read yet."""
        self.wire.send(BEAT)
        socket.send_fds(self.wire, [json.dumps({VISITORS: "site:80"}).encode() + b"\n"], [port.fileno()])

    def ends(self, code: int) -> None:
        self.exit_code = code
        self.wire.close()


class Opened:
    """A door with such processes, after its first start."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.launched: list[Launched] = []
        self.door = Door(environ, launch=cast(door.Launch, self._launch))
        self.door._has_terminal = False
        self.port = socket.create_server(("127.0.0.1", 0))
        self.door._present = self.door._start(successor=False)

    def _launch(self, command: list[str], **given: Any) -> Launched:
        self.launched.append(Launched(command, **given))
        return self.launched[-1]

    def turn(self) -> None:
        """Hear who says something, as `run` does."""
        for key in self.door._wait():
            self.door._listen(key.data)
        self.door._look_at_the_clock()

    def up(self) -> Launched:
        """The newest one is up; it is given back."""
        self.launched[-1].serves(self.port)
        self.turn()
        return self.launched[-1]

    def end(self, process: Launched, code: int = 0) -> None:
        process.ends(code)
        self.turn()

    def close(self) -> None:
        for generation in self.door._all():
            generation.end.close()
        for process in self.launched:
            process.wire.close()
        self.door._close(self.door._kept)
        self.door._selector.close()
        self.port.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., Opened]]:
    made: list[Opened] = []

    def make(environ: dict[str, str] | None = None) -> Opened:
        made.append(Opened(environ or {}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_what_a_generation_is_given(opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd")
    monkeypatch.setenv("LISTEN_PID", "1")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    one = opened()
    first = one.up()
    assert (first.given, first.options.successor, first.options.switched_off) == ({}, False, False)
    one.door._obey(signal.SIGUSR1)
    one.door._lost_by["hung"] = 2
    one.door._obey(signal.SIGHUP)
    second = one.launched[1]
    [(address, descriptor)] = second.given.values()
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        assert (address, listening.getsockname()) == ("site:80", one.port.getsockname())
    assert second.inherits == (second.options.door_fd, descriptor)
    assert (second.options.successor, second.options.switched_off) == (True, True)
    assert json.loads(second.options.lost) == {"ended": 0, "hung": 2}
    assert not second.environment.keys() & {"NOTIFY_SOCKET", "LISTEN_PID"}
    assert second.environment["PATH"] == os.environ["PATH"]
    assert second.blocked >= set(HEARD), "what comes before it can hear waits"
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert not is_open(second.options.door_fd) or second.options.door_fd == second.wire.fileno()


def test_a_generation_is_up_when_it_says_so_and_gone_when_it_says_no_more(opened: Callable[..., Opened]) -> None:
    one = opened()
    [first], generation = one.launched, one.door._present
    assert generation is not None
    assert (generation.hear(), generation.ready, generation.is_hung) == (True, False, False), "nothing said yet"
    generation.heard, generation.is_hung = 0.0, True
    first.wire.send(BEAT)
    assert (generation.hear(), generation.ready, generation.is_hung, generation.kept) == (True, False, False, {})
    assert time.monotonic() - generation.heard < 60
    first.serves(one.port)
    assert (generation.hear(), generation.ready, list(generation.kept)) == (True, True, [VISITORS])
    one.door._serves(generation)
    generation.tell(STOP)
    assert first.told() == [STOP]
    generation.tell(LEAVE)
    first.wire.close()
    assert not generation.hear(), "its end is a reset, for it has not heard everything"
    assert not generation.hear()
    generation.tell(STOP)


def test_a_beat_of_one_that_is_up_moves_no_socket(opened: Callable[..., Opened]) -> None:
    one = opened()
    first = one.up()
    [(_, kept)] = one.door._kept.values()
    for _ in range(2):
        first.wire.send(BEAT)
        one.turn()
    assert (kept.fileno() >= 0, len(one.door._kept), len(one.launched)) == (True, 1, 1)


def test_what_closes_its_files_and_does_not_end_is_ended(opened: Callable[..., Opened]) -> None:
    one = opened()
    first = one.up()
    one.end(first, -signal.SIGKILL)
    assert (first.killed, one.door._start_at is not None) == (1, True)


def test_another_generation_takes_over_when_it_is_up_and_not_before(opened: Callable[..., Opened]) -> None:
    one = opened()
    first = one.up()
    [(_, kept)] = one.door._kept.values()
    one.door._obey(signal.SIGHUP)
    one.launched[1].wire.send(BEAT)
    one.turn()
    assert (first.told(), kept.fileno() >= 0) == ([], True)
    second = one.up()
    assert (first.told(), second.told(), kept.fileno(), len(one.door._kept)) == ([LEAVE], [], -1, 1)
    one.door._obey(signal.SIGUSR2)
    assert (first.told(), second.told()) == ([ON], [ON]), "who leaves still has visitors"
    one.end(first)
    one.door._obey(signal.SIGUSR1)
    assert (second.told(), one.door._code, len(one.launched)) == ([OFF], None, 2)


def test_who_asks_while_one_comes_up_gets_one_more_after_it(opened: Callable[..., Opened]) -> None:
    one = opened()
    one.door._obey(signal.SIGHUP)
    assert len(one.launched) == 1
    one.up()
    assert len(one.launched) == 2, "the first was not up when it was asked for"
    for _ in range(3):
        one.door._obey(signal.SIGHUP)
    assert len(one.launched) == 2
    one.up()
    assert len(one.launched) == 3
    one.up()
    assert len(one.launched) == 3


@pytest.mark.parametrize("asked", [False, True])
def test_one_that_does_not_come_up_changes_nothing(opened: Callable[..., Opened], asked: bool) -> None:
    one = opened()
    first = one.up()
    one.door._obey(signal.SIGHUP)
    if asked:
        one.door._obey(signal.SIGHUP)
    one.end(one.launched[1], 2)
    assert (first.told(), one.door._code, len(one.launched)) == ([], None, 3 if asked else 2)
    assert len(one.door._kept) == 1
    one.door._obey(signal.SIGHUP)
    assert len(one.launched) == 3


def test_one_that_takes_too_long_to_come_up_is_killed(opened: Callable[..., Opened]) -> None:
    one = opened()
    first = one.up()
    one.door._obey(signal.SIGHUP)
    coming = one.door._next
    assert coming is not None
    coming.heard -= door.SILENCE_S_MAX + 1
    one.door._look_at_the_clock()
    assert one.launched[1].killed == 0
    assert 0 < (one.door._patience_s() or 0) <= door.SILENCE_S_MAX
    coming.started -= door.SUCCESSION_S_MAX
    assert one.door._patience_s() == 0.0
    one.door._look_at_the_clock()
    assert (one.launched[1].killed, first.killed) == (1, 0)


def test_one_that_ends_by_itself_is_followed_by_another_later_and_later(opened: Callable[..., Opened]) -> None:
    one, waits = opened(), []
    one.up()
    for _ in range(9):
        one.end(one.launched[-1], -signal.SIGSEGV)
        waits.append(round(one.door._patience_s() or 0, 1))
        one.door._start_at = time.monotonic()
        one.door._look_at_the_clock()
        assert (one.door._start_at is None, len(one.door._all())) == (True, 1)
    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    last = one.up()
    assert (last.options.successor, list(last.given), json.loads(last.options.lost)["ended"]) == (False, [VISITORS], 9)
    assert one.door._present is not None
    one.door._present.started -= door.SETTLED_S + 1
    one.end(last, 3)
    assert round(one.door._patience_s() or 0, 1) == door.BACK_OFF_S_MIN, "that one had settled"
    assert one.door._code is None


def test_one_that_hangs_while_it_comes_up_is_followed_by_another_with_more_patience(
    opened: Callable[..., Opened], capsys: pytest.CaptureFixture[str]
) -> None:
    one, patience, waits = opened(), [], []
    one.end(one.up(), -signal.SIGKILL)
    for _ in range(4):
        one.door._start_at = time.monotonic()
        one.door._look_at_the_clock()
        hanging, coming = one.launched[-1], one.door._present
        assert coming is not None
        patience.append(round(one.door._patience_s() or 0))
        coming.heard -= patience[-1] + 1
        assert one.door._patience_s() == 0.0
        one.door._look_at_the_clock()
        assert hanging.killed == 1
        one.end(hanging, -signal.SIGKILL)
        waits.append(round(one.door._patience_s() or 0, 1))
    assert (patience, waits) == ([60, 120, 120, 120], [0.4, 0.8, 1.6, 3.2])
    assert (len(one.door._kept), one.door._code) == (1, None), "who connects waits meanwhile"
    assert one.door._lost_by == {"ended": 1, "hung": 4}
    assert capsys.readouterr().out.count("supervisor_hung") == 4
    one.door._start_at = time.monotonic()
    one.door._look_at_the_clock()
    assert (one.up().killed, len(one.door._all())) == (0, 1)


def test_one_that_comes_up_slowly_and_says_so_is_waited_for(opened: Callable[..., Opened]) -> None:
    """Some of its workers may serve already."""
    one = opened()
    one.end(one.up(), 3)
    one.door._start_at = time.monotonic()
    one.door._look_at_the_clock()
    assert one.door._present is not None
    one.door._present.started -= 1_000
    one.door._present.heard -= 50
    one.launched[-1].wire.send(BEAT)
    one.turn()
    assert one.launched[-1].killed == 0
    assert round(one.door._patience_s() or 0) == 60


def test_one_that_hangs_while_it_comes_up_does_not_hold_up_a_stop(opened: Callable[..., Opened]) -> None:
    one = opened()
    one.door._obey(signal.SIGTERM)
    assert one.door._present is not None
    one.door._present.heard -= door.SILENCE_S_MAX + 1
    one.door._look_at_the_clock()
    assert one.launched[0].killed == 1
    one.end(one.launched[0], -signal.SIGKILL)
    assert one.door._code == 0


@pytest.mark.parametrize(("code", "said"), [(1, 1), (2, 2), (3, 3), (0, 3), (-signal.SIGKILL, 3)])
def test_where_none_has_served_yet_its_end_is_the_end_of_all(
    opened: Callable[..., Opened], code: int, said: int
) -> None:
    one = opened()
    one.end(one.launched[0], code)
    assert (one.door._code, one.door._start_at) == (said, None)


def test_one_that_ends_while_another_comes_up_is_followed_by_that(opened: Callable[..., Opened]) -> None:
    one = opened()
    first = one.up()
    one.door._obey(signal.SIGHUP)
    one.end(first, -signal.SIGSEGV)
    assert (one.door._start_at, len(one.launched)) == (None, 2)
    second = one.up()
    assert (second.told(), len(one.door._all()), one.door._next) == ([], 1, None)


def test_all_are_told_to_stop_and_then_to_end_and_nothing_is_started(
    opened: Callable[..., Opened], capsys: pytest.CaptureFixture[str]
) -> None:
    one = opened()
    first = one.up()
    one.door._obey(signal.SIGHUP)
    second = one.up()
    one.door._obey(signal.SIGHUP)
    third = one.launched[2]
    first.told()
    one.door._obey(signal.SIGTERM)
    assert [process.told() for process in one.launched] == [[STOP]] * 3
    assert one.door._kept == {}, "a port at which nobody answers is closed"
    one.door._obey(signal.SIGHUP)
    one.door._obey(signal.SIGINT)
    assert [process.told() for process in one.launched] == [[KILL]] * 3
    third.serves(one.port)
    one.turn()
    assert (one.door._kept, [process.told() for process in one.launched]) == ({}, [[]] * 3)
    one.end(first)
    one.end(second, -signal.SIGKILL)
    assert (one.door._code, len(one.launched), one.door._start_at) == (None, 3, None)
    one.end(third, 3)
    assert (one.door._code, len(one.launched)) == (0, 3)
    assert "restart_failed" not in capsys.readouterr().out


def test_who_is_told_to_stop_may_end_as_it_likes(opened: Callable[..., Opened]) -> None:
    one = opened()
    first = one.up()
    one.door._obey(signal.SIGTERM)
    one.door._obey(signal.SIGHUP)
    one.end(first, -signal.SIGKILL)
    assert (one.door._code, len(one.launched), one.door._start_at) == (0, 1, None)


def test_who_is_stopped_before_it_served_ends_with_what_went_wrong(opened: Callable[..., Opened]) -> None:
    for code, said in ((2, 2), (-signal.SIGTERM, 0)):
        one = opened()
        one.door._obey(signal.SIGTERM)
        assert one.door._code is None
        one.end(one.launched[0], code)
        assert one.door._code == said


def test_a_start_that_was_due_is_none_after_a_stop(opened: Callable[..., Opened]) -> None:
    one = opened()
    one.end(one.up(), 3)
    one.door._obey(signal.SIGTERM)
    assert one.door._code == 0
    one.door._start_at = time.monotonic()
    one.door._look_at_the_clock()
    assert len(one.launched) == 1


@pytest.mark.parametrize(
    ("had", "has", "stops"), [(False, False, False), (True, True, False), (True, False, True)], ids=str
)
def test_a_terminal_that_was_closed_is_no_wish_for_another_generation(
    opened: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch, had: bool, has: bool, stops: bool
) -> None:
    one = opened()
    first = one.up()
    one.door._has_terminal = had
    monkeypatch.setattr(door, "_terminal_is_there", lambda: has)
    one.door._obey(signal.SIGHUP)
    assert (first.told(), len(one.launched)) == (([STOP], 1) if stops else ([], 2))
    one.door._obey(signal.SIGUSR1)
    assert first.told() == [OFF], "no other signal has to do with it"


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_is_told_where_it_asks(opened: Callable[..., Opened], tmp_path: Path, abstract: bool) -> None:
    name = f"{os.getpid()}-lm" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name if abstract else name)
        manager.setblocking(False)
        one = opened({"NOTIFY_SOCKET": "@" + name if abstract else name})
        one.up()
        assert manager.recv(4096) == b"READY=1"
        one.door._obey(signal.SIGHUP)
        reloading = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", manager.recv(4096))
        assert reloading is not None
        assert 0 <= time.monotonic() * 1e6 - int(reloading[1]) < 60e6
        one.end(one.launched[1], 2)
        assert manager.recv(4096).startswith(b"READY=1\nSTATUS=The restart failed")
        one.door._obey(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
        with pytest.raises(BlockingIOError):
            manager.recv(4096)


# ---- from its start to its end


@pytest.fixture
def signals() -> Iterator[None]:
    """What a door does with signals is undone afterwards."""
    handlers = {number: signal.getsignal(number) for number in HEARD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.mark.usefixtures("signals")
def test_it_runs_until_a_signal_has_ended_everything() -> None:
    """The first generation is up at once and asks for another one; that one is up too, when all are told to stop and end."""
    launched: list[Launched] = []

    with socket.create_server(("127.0.0.1", 0)) as port:

        def launch(command: list[str], **given: Any) -> Launched:
            launched.append(Launched(command, **given))
            launched[-1].serves(port)
            signal.raise_signal(signal.SIGHUP if len(launched) == 1 else signal.SIGTERM)
            if len(launched) == 2:
                for process in launched:
                    process.ends(0)
            return launched[-1]

        assert Door({}, launch=cast(door.Launch, launch)).run() == 0
    assert [process.options.successor for process in launched] == [False, True]
    assert signal.set_wakeup_fd(-1) == -1


def test_times_are_what_the_documents_say() -> None:
    """docs/adr/0053 and 0078."""
    assert [door.SUCCESSION_S_MAX, door.SILENCE_S_MAX, door.STARTING_S_MAX] == [120, 10, 30]

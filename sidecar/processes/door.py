"""The first process of a sidecar, whose id never changes: it keeps the listening sockets while generations come and go.

A generation is a supervisor with its workers, a process of its own. SIGHUP starts another one, from the program and the
settings as they are now; only when all its workers serve is the present one told to leave. One that does not come up
changes nothing. A supervisor that dies is followed by another, and whoever connects meanwhile waits in the kernel's queue. One
that stands still is replaced like one that is told to leave: its workers serve until another generation's do. One that hangs
while it comes up in the place of one that died is killed, and followed by another.
Counterpart: `supervision`, at the other end of the wire. Never: a setting, a visitor or an event loop; what it does not do
can't go wrong, and need not be upgraded.
"""

import contextlib
import json
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import structlog

from sidecar.processes.heard import HEARD

STOP, LEAVE, KILL, OFF, ON = b"stop\n", b"leave\n", b"kill\n", b"off\n", b"on\n"
"""What a generation is told: to stop, that another one serves already, to end at once; that everything is off, or not."""
BEAT = b"\n"
"""What a generation says again and again, so that its silence means something."""
VISITORS, OPERATORS = "visitors", "operators"
"""The two sockets, also as systemd's FileDescriptorName= may name them."""

SUCCESSION_S_MAX = 120.0
"""A generation that has not come up by then does not come up."""
SILENCE_S_MAX = 10.0
"""A generation that says nothing for so long stands still. Nobody waits for it: its workers serve meanwhile."""
STARTING_S_MAX = 30.0
"""One that comes up where nobody serves, and has said nothing for so long, hangs; each one after it gets twice as long, up to
SUCCESSION_S_MAX, as a machine may be slow."""
AWAY_S = 1.0
"""So much later than it wanted this process wakes up only where it stood still itself, which says nothing of others."""
SETTLED_S = 10.0
BACK_OFF_S_MIN = 0.1
BACK_OFF_S_MAX = 10.0
FIRST_ACTIVATED_FD = 3
"""Where systemd's sockets begin (sd_listen_fds(3))."""

Kept = dict[str, tuple[str, socket.socket]]
"""Name of a socket -> the address as the settings write it, empty where somebody else chose it, and the socket."""

Launch = Callable[..., "subprocess.Popen[bytes]"]
"""Starts a process; takes what `subprocess.Popen` takes."""


class Generation:
    """One supervisor, from its start to its end."""

    def __init__(self, kept: Kept, *, successor: bool, off: bool, lost: Mapping[str, int], launch: Launch) -> None:
        self.started = self.heard = time.monotonic()
        """When it was started, and when it said something last."""
        self.ready = False
        self.is_hung = False
        """It said nothing for too long, and nothing since."""
        self.kept: Kept = {}
        """The sockets it listens on, once it says so."""
        self.end, theirs = socket.socketpair()
        self.end.setblocking(False)
        given = json.dumps({name: (address, listening.fileno()) for name, (address, listening) in kept.items()})
        flags = [
            *(["--successor"] if successor else []),
            *(["--switched-off"] if off else []),
            "--lost",
            json.dumps(lost),
        ]
        command = [sys.executable, "-m", "sidecar.processes.supervision", "--door-fd", str(theirs.fileno())]
        # Signals that come before it can hear them wait, instead of ending it: the mask is inherited.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            self._process = launch(
                [*command, "--sockets", given, *flags],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *(listening.fileno() for _, listening in kept.values())),
                env=_without_activation(os.environ),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, word: bytes) -> None:
        """Say one word; one that is gone hears nothing."""
        with contextlib.suppress(OSError):
            self.end.send(word)

    def hear(self) -> bool:
        """Take what it says; False when it has ended."""
        try:
            said, descriptors, _, _ = socket.recv_fds(self.end, 65536, 8)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not said:
            return False
        self.heard, self.is_hung = time.monotonic(), False
        if not (named := said.strip(BEAT)):
            return True
        addresses = json.loads(named)
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        self.kept = {name: (address, one) for (name, address), one in zip(addresses.items(), sockets, strict=True)}
        self.ready = True
        return True

    def code(self) -> int:
        """Its exit code, once it has ended; what ended without closing its files is ended."""
        self.end.close()
        try:
            return self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def kill(self) -> None:
        """SIGKILL. Its workers see that it is gone, drain and end."""
        self._process.kill()


class Door:
    """Keeps one generation serving."""

    def __init__(self, environ: Mapping[str, str], *, launch: Launch = subprocess.Popen) -> None:
        self._launch = launch
        self._kept = activated(environ)
        self._present: Generation | None = None
        self._next: Generation | None = None
        self._leaving: list[Generation] = []
        self._again = False
        """Somebody asked for another generation while one was coming up."""
        self._served = False
        self._stopping = False
        self._code: int | None = None
        self._off = False
        self._lost_by = {"ended": 0, "hung": 0}
        """Generations that were replaced without anybody asking, by why."""
        self._failures = 0
        self._start_at: float | None = None
        self._notify = environ.get("NOTIFY_SOCKET", "")
        self._has_terminal = _terminal_is_there()
        self._selector = selectors.DefaultSelector()
        self._log = structlog.get_logger("sidecar.processes.door")

    def run(self) -> int:
        """Until everything has ended; the exit code."""
        heard, wakes = socket.socketpair()
        with heard, wakes, self._selector:
            for end in (heard, wakes):
                end.setblocking(False)
            signal.set_wakeup_fd(wakes.fileno())
            for heard_signal in HEARD:
                signal.signal(heard_signal, _is_heard_elsewhere)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
            self._selector.register(heard, selectors.EVENT_READ)
            self._present = self._start(successor=False)
            while self._code is None:
                for key in self._wait():
                    if isinstance(key.data, Generation):
                        self._listen(key.data)
                    else:
                        for number in heard.recv(4096):
                            self._obey(signal.Signals(number))
                self._look_at_the_clock()
            signal.set_wakeup_fd(-1)
            return self._code

    def _wait(self) -> list[selectors.SelectorKey]:
        """Until somebody says something, or something has to be done by itself; who says something."""
        patience_s, asleep = self._patience_s(), time.monotonic()
        ready = self._selector.select(patience_s)
        if patience_s is not None and time.monotonic() - asleep > patience_s + AWAY_S:
            self._was_away()
        return [key for key, _ in ready]

    # ---- signals

    def _obey(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP and self._has_terminal and not _terminal_is_there():
            number = signal.SIGTERM  # its terminal was closed
        if number in {signal.SIGUSR1, signal.SIGUSR2}:
            self._off = number is signal.SIGUSR1
            for generation in self._all():
                generation.tell(OFF if self._off else ON)
        elif number is signal.SIGHUP:
            self._renew()
        else:
            word = KILL if self._stopping else STOP
            self._stopping = True
            self._tell_manager("STOPPING=1")
            for generation in self._all():
                generation.tell(word)
                if generation.is_hung:
                    generation.kill()
            self._close(self._kept)
            self._end_where_nobody_is_left()

    def _renew(self) -> None:
        """Start another generation beside the present one; where one is coming up, another one after it."""
        if self._stopping:
            return
        if self._next is not None or self._present is None or not self._present.ready:
            self._again = True
            return
        self._again = False
        self._log.info("restarting", present=self._present.pid)
        self._tell_manager(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        self._next = self._start(successor=True)

    # ---- generations

    def _all(self) -> list[Generation]:
        return [generation for generation in (self._present, self._next, *self._leaving) if generation is not None]

    def _start(self, *, successor: bool) -> Generation:
        generation = Generation(self._kept, successor=successor, off=self._off, lost=self._lost_by, launch=self._launch)
        self._selector.register(generation.end, selectors.EVENT_READ, generation)
        return generation

    def _listen(self, generation: Generation) -> None:
        if not generation.hear():
            self._ended(generation)
        elif generation.ready and generation.kept:
            self._serves(generation)

    def _serves(self, generation: Generation) -> None:
        """A generation is up: keep its sockets, and let the one before it go."""
        kept, generation.kept = generation.kept, {}
        if self._stopping:
            self._close(kept)
            return
        self._close(self._kept)
        self._kept, self._served = kept, True
        if generation is self._next:
            before, self._present, self._next = self._present, generation, None
            if before is not None:
                before.tell(LEAVE)
                if before.is_hung:
                    before.kill()  # it would not hear that
                self._leaving.append(before)
            self._log.info("restarted", pid=generation.pid)
        self._tell_manager("READY=1")
        if self._again:
            self._renew()

    def _ended(self, generation: Generation) -> None:
        self._selector.unregister(generation.end)
        code = generation.code()
        if generation in self._leaving:
            self._leaving.remove(generation)
        elif generation is self._next:
            self._next = None
            if not self._stopping:
                self._log.error("restart_failed", code=code, fix="the present one goes on serving; see the line before")
                self._tell_manager("READY=1\nSTATUS=The restart failed; what was there goes on serving.")
                if self._again:
                    self._renew()
        else:
            self._present = None
            if not self._stopping:
                self._lost(generation, code)
        self._end_where_nobody_is_left(code)

    def _lost(self, generation: Generation, code: int) -> None:
        """The generation that should serve has ended by itself."""
        if not self._served:
            self._code = code if code > 0 else 3
            return
        if self._next is not None:
            self._present, self._next = self._next, None
            return
        settled = generation.ready and time.monotonic() - generation.started > SETTLED_S
        self._failures = 0 if settled else self._failures + 1
        delay_s = min(BACK_OFF_S_MAX, BACK_OFF_S_MIN * 2.0 ** min(self._failures, 16))
        self._log.error("supervisor_ended", code=code, restart_in_s=delay_s)
        if not generation.is_hung:  # else it counts already
            self._lost_by["ended"] += 1
        self._start_at = time.monotonic() + delay_s

    def _end_where_nobody_is_left(self, code: int = 0) -> None:
        if self._stopping and not self._all():
            self._code = 0 if self._served or code <= 0 else code

    # ---- time

    def _patience_s(self) -> float | None:
        """How long nothing has to be done by itself; None for ever."""
        times = [] if self._start_at is None else [self._start_at]
        if self._next is not None:
            times.append(self._next.started + SUCCESSION_S_MAX)
        times += [one.heard + self._silence_s_max(one) for one in self._all()]
        first = min(times, default=math.inf)
        return max(0.0, first - time.monotonic()) if first < math.inf else None

    def _silence_s_max(self, generation: Generation) -> float:
        """For how long this one may say nothing."""
        if generation.ready or self._stopping:
            return SILENCE_S_MAX
        if generation is self._present and self._served:
            return min(SUCCESSION_S_MAX, STARTING_S_MAX * 2.0 ** min(self._failures, 16))
        return math.inf  # a first start is for who started it to judge, and a successor has its own time

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            if not self._stopping:
                self._present = self._start(successor=False)
        if self._next is not None and now >= self._next.started + SUCCESSION_S_MAX:
            self._next.kill()
        for generation in self._all():
            if now >= generation.heard + self._silence_s_max(generation):
                self._is_silent(generation, now)

    def _is_silent(self, generation: Generation, now: float) -> None:
        """A generation stands still: another one takes its place, and if that does not come up, it is tried again as late.

        One that serves nobody need not be waited for: it is killed, and followed like one that ended by itself.
        """
        waited_s, generation.heard = round(now - generation.heard, 1), now
        if generation is not self._present or self._stopping or not generation.ready:
            self._lost_by["hung"] += generation is self._present and not self._stopping and not generation.is_hung
            generation.is_hung = True
            self._log.error("supervisor_hung", pid=generation.pid, silent_s=waited_s, fix="it is killed")
            generation.kill()
            return
        if not generation.is_hung:
            self._log.error("supervisor_hung", pid=generation.pid, silent_s=waited_s, fix="another one takes its place")
            self._lost_by["hung"] += 1
        generation.is_hung = True
        if self._next is None:
            self._renew()

    def _was_away(self) -> None:
        """This process stood still, or all of the machine: whoever was silent meanwhile may have had no chance to speak."""
        for generation in self._all():
            generation.heard = time.monotonic()

    def _close(self, kept: Kept) -> None:
        for _, listening in kept.values():
            listening.close()
        kept.clear()

    def _tell_manager(self, state: str) -> None:
        """Tell systemd, where it asks to be told (sd_notify(3))."""
        if self._notify:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.connect("\0" + self._notify[1:] if self._notify[0] == "@" else self._notify)
                manager.send(state.encode())


def activated(environ: Mapping[str, str]) -> Kept:
    """The sockets that systemd has opened for this process, by name (sd_listen_fds(3)); {} where it has not."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: Kept = {}
    for place in range(int(environ.get("LISTEN_FDS", "0"))):
        name = names[place] if place < len(names) and names[place] in {VISITORS, OPERATORS} else VISITORS
        if name not in found:
            found[name] = ("", socket.socket(fileno=FIRST_ACTIVATED_FD + place))
    return found


def main(environ: Mapping[str, str]) -> int:
    """Be the door until told to stop; the exit code."""
    return Door(environ).run()


def _without_activation(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a generation: what systemd says to the door is not said to it."""
    own = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"}
    return {name: value for name, value in environ.items() if name not in own}


def _is_heard_elsewhere(_number: int, _frame: object) -> None:
    """A signal only has to have a handler for its number to be written to where `Door.run` reads it."""


def _terminal_is_there() -> bool:
    """Whether this process has a terminal at this moment."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True

"""The door's small parts; generations that come and go are in test_generations.py, real ones in
tests/end_to_end/test_proxy_restarts.py."""

import os
import signal
import socket
import subprocess
import sys
import time
from typing import cast

import pytest

from sidecar.processes import door
from sidecar.processes.door import KILL, LEAVE, OPERATORS, STOP, VISITORS, Door, Generation, activated

ACTIVATED = """
import os, sys
from sidecar.processes.door import activated
kept = activated({**os.environ, "LISTEN_PID": str(os.getpid())})
print({name: (address, one.getsockname()[1]) for name, (address, one) in kept.items()})
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [("operators:visitors", [OPERATORS, VISITORS]), ("", [VISITORS]), ("lm.socket", [VISITORS])],
)
def test_sockets_of_systemd_are_taken_by_name_and_the_first_without_one_is_for_visitors(
    names: str, expected: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        given = (first, second)[: len(expected)]
        redirected = " ".join(f"{3 + place}<&{one.fileno()}" for place, one in enumerate(given))
        found = subprocess.run(
            ["/bin/bash", "-c", f'exec {redirected}; exec "$0" -c "$1"', sys.executable, ACTIVATED],
            env={**os.environ, "LISTEN_FDS": str(len(given)), "LISTEN_FDNAMES": names},
            pass_fds=[one.fileno() for one in given],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    assert found.stdout.strip() == str({name: ("", port) for name, port in zip(expected, ports, strict=False)})


def test_what_systemd_says_to_another_process_is_not_for_this_one() -> None:
    assert activated({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}
    assert activated({}) == {}


# ---- one that stands still


class Standing:
    """A generation that is only said to be there, and what it was told."""

    pid = 7

    def __init__(self, silent_s: float = 0.0, *, ready: bool = True) -> None:
        self.started = self.heard = time.monotonic() - silent_s
        self.ready, self.is_hung = ready, False
        self.kept: door.Kept = {}
        self.told: list[bytes] = []

    def tell(self, word: bytes) -> None:
        self.told.append(word)

    def kill(self) -> None:
        self.told.append(KILL)


class Watched(Door):
    """A door whose generations are such."""

    def __init__(self, present: Standing) -> None:
        super().__init__({})
        self._present = cast(Generation, present)
        self.begun: list[Standing] = []

    def _start(self, *, successor: bool) -> Generation:
        assert successor
        self.begun.append(Standing(ready=False))
        return cast(Generation, self.begun[-1])


SILENT_S = door.SILENCE_S_MAX + 1


def test_a_supervisor_that_stands_still_is_replaced_and_then_killed(capsys: pytest.CaptureFixture[str]) -> None:
    present = Standing(SILENT_S)
    watched = Watched(present)
    assert watched._patience_s() == 0.0
    for _ in range(2):
        watched._look_at_the_clock()
    assert (present.is_hung, present.told, len(watched.begun)) == (True, [], 1), "its workers serve meanwhile"
    [successor] = watched.begun
    successor.ready = True
    watched._serves(cast(Generation, successor))
    assert present.told == [LEAVE, KILL]
    assert (watched._lost_by, capsys.readouterr().out.count("supervisor_hung")) == ({"ended": 0, "hung": 1}, 1)


def test_one_that_speaks_again_before_that_leaves_in_peace() -> None:
    present = Standing(SILENT_S)
    watched = Watched(present)
    watched._look_at_the_clock()
    present.is_hung = False
    watched._serves(cast(Generation, watched.begun[0]))
    assert present.told == [LEAVE]


def test_where_its_successor_does_not_come_up_another_is_tried_as_late() -> None:
    present = Standing(SILENT_S)
    watched = Watched(present)
    watched._look_at_the_clock()
    watched._next = None
    watched._look_at_the_clock()
    assert len(watched.begun) == 1
    present.heard -= SILENT_S
    watched._look_at_the_clock()
    assert (len(watched.begun), present.told, watched._lost_by["hung"]) == (2, [], 1)


def test_one_that_should_leave_and_stands_still_is_killed() -> None:
    leaving, present = Standing(SILENT_S), Standing()
    watched = Watched(present)
    watched._leaving.append(cast(Generation, leaving))
    watched._look_at_the_clock()
    assert (leaving.told, present.told, watched.begun) == ([KILL], [], [])
    watched._obey(signal.SIGTERM)
    present.heard -= SILENT_S
    watched._look_at_the_clock()
    assert (present.told, watched.begun) == ([STOP, KILL], [])


def test_one_that_is_known_to_stand_still_is_killed_when_it_should_stop() -> None:
    present = Standing(SILENT_S)
    watched = Watched(present)
    watched._look_at_the_clock()
    watched._obey(signal.SIGTERM)
    assert present.told == [STOP, KILL]


def test_one_that_is_not_up_may_be_silent() -> None:
    present = Standing(SILENT_S, ready=False)
    watched = Watched(present)
    assert watched._patience_s() is None
    watched._look_at_the_clock()
    assert (watched.begun, present.is_hung, watched._again) == ([], False, False)


@pytest.mark.parametrize(("late_s", "begun"), [(-1.0, 0), (1000.0, 1)], ids=["away", "here"])
def test_a_door_that_stood_still_itself_waits_anew(monkeypatch: pytest.MonkeyPatch, late_s: float, begun: int) -> None:
    """It was to wake up at once; how much later is too late is what differs."""
    monkeypatch.setattr(door, "AWAY_S", late_s)
    watched = Watched(Standing(SILENT_S))
    assert watched._wait() == []
    watched._look_at_the_clock()
    assert len(watched.begun) == begun
    assert 0 < (watched._patience_s() or 0) <= door.SILENCE_S_MAX

"""Starts the parts, watches them, restarts one that fell, stops them in their order.

Counterpart: `parts.py` says what the parts are, `progress.py` what a person sees. One thread does everything: the
kernel ties a child to the thread that started it.

Never gives up on the site because one part is gone: pages stay mutated without Valkey, PostgreSQL or the control plane.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from layout_mutation.log_files import LogFile
from layout_mutation.parts import Part
from layout_mutation.processes import Interrupted, Interruption, RunError, wait_until

READY_S_MAX = 60.0
WATCH_INTERVAL_S = 0.25
RESTARTS_MAX = 5  # in a row, each without STEADY_S of quiet before it
RESTART_DELAY_S = 0.5
STEADY_S = 60.0
STOP_ORDER = ("demo site", "sidecar", "control plane", "Valkey", "PostgreSQL")


class Viewer(Protocol):
    """Who is told what happens."""

    def preparing(self, part: str) -> None: ...

    def ready(self, part: str) -> None: ...

    def fell(self, part: str, how: str, last_lines: Sequence[str]) -> None: ...

    def came_back(self, part: str) -> None: ...

    def log_line(self, part: str, line: str) -> None: ...


class Supervisor:
    """The parts of one `up`. `restart_delay_s` is the first wait before a restart; it doubles with each in a row."""

    def __init__(self, viewer: Viewer, interruption: Interruption, restart_delay_s: float = RESTART_DELAY_S) -> None:
        self._viewer = viewer
        self._interruption = interruption
        self._restart_delay_s = restart_delay_s
        self._watched: list[_Watched] = []

    def launch(self, part: Part) -> None:
        """Prepare and start it; do not wait until it is ready.

        Raises:
            RunError: it cannot be prepared.
            Interrupted: a stop was asked for.
        """
        if self._interruption.asked:
            raise Interrupted
        self._viewer.preparing(part.name)
        part.prepare()
        # Known before it runs, so that whatever happens in between, `stop` finds it.
        self._watched.append(_Watched(part))
        part.spawn()

    def await_ready(self, part: Part) -> None:
        """Wait until a launched part does its work. Raises RunError with its last log lines, or Interrupted."""
        wait_until(part.is_ready, part.child, within_s=READY_S_MAX, interruption=self._interruption)
        self._viewer.ready(part.name)

    def watch(self, *, verbose: bool) -> None:
        """Until a stop is asked for: restart what falls, keep the logs within bounds, mirror them if `verbose`.

        Raises:
            RunError: a part falls again and again.
        """
        while not self._interruption.asked:
            for watched in self._watched:
                self._look_after(watched)
                for line in watched.log.new_lines() if verbose else ():
                    self._viewer.log_line(watched.part.name, line)
                watched.log.trim()
            self._interruption.pause(WATCH_INTERVAL_S)

    def stop(self) -> None:
        """End all parts, each before those that it needs. A second Ctrl-C cuts every wait short."""
        for watched in sorted(self._watched, key=lambda watched: STOP_ORDER.index(watched.part.name)):
            watched.part.stop()
        self._watched.clear()

    def _look_after(self, watched: "_Watched") -> None:
        part, now = watched.part, time.monotonic()
        code = part.child.exit_code() if watched.runs else None
        if code is not None:
            lines = part.child.last_lines()
            part.stop()
            if not watched.fall(now, self._restart_delay_s):
                raise RunError(f"{part.name} ended {RESTARTS_MAX + 1} times in a row, {how_it_ended(code)}", lines)
            self._viewer.fell(part.name, how_it_ended(code), lines)
        elif not watched.runs and now >= watched.restart_at:
            part.prepare()
            part.spawn()
            watched.runs, watched.announced = True, False
        elif watched.runs and not watched.announced and part.is_ready():
            watched.announced = True
            self._viewer.came_back(part.name)


class _Watched:
    """A part, and how often it fell lately."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.log = LogFile(part.log)
        self.runs = True
        self.announced = True
        self.restart_at = 0.0
        self._falls = 0
        self._last_fall = -STEADY_S

    def fall(self, now: float, first_delay_s: float) -> bool:
        """Note that it fell and when to try again; false when there have been too many tries."""
        self._falls = 1 if now - self._last_fall > STEADY_S else self._falls + 1
        self._last_fall = now
        self.runs, self.restart_at = False, now + first_delay_s * 2.0 ** (self._falls - 1)
        return self._falls <= RESTARTS_MAX


def how_it_ended(code: int) -> str:
    """An exit code in words; negative is the signal that ended it."""
    return f"killed by signal {-code}" if code < 0 else f"with exit code {code}"

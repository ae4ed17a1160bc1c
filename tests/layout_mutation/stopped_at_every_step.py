"""A pause of `Interruption`, over and over, with Ctrl-C one step later each time; prints in how many steps it came.

Counterpart: `test_processes.py` runs it. A stop that is not heard hangs this process, which then ends itself and says
where it stood.
"""

import faulthandler
import itertools
import signal
import sys
from types import FrameType
from typing import Any

from layout_mutation.processes import Interruption

PAUSE_S = 600.0
HANGS_S = 30.0
WAITS_S = 0.03  # by then the pause does nothing but wait, if no stop came before


class AtStep:
    """Traces what runs, one opcode after another, and sends this process a signal in one of the steps."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, frame: FrameType, event: str, _: Any) -> "AtStep":
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
        return self


def stop_comes_at(step: int) -> bool:
    """Whether a pause has so many steps; an alarm ends one in which no stop comes before it waits."""
    with Interruption() as interruption:
        tracer = AtStep(step)
        signal.setitimer(signal.ITIMER_REAL, WAITS_S)
        sys.settrace(tracer)
        interruption.pause(PAUSE_S)
        sys.settrace(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert interruption.asked
        interruption.pause(PAUSE_S)
        return tracer.left <= 0


def main() -> None:
    """Every step, until there are no more."""
    faulthandler.dump_traceback_later(HANGS_S, exit=True)
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    steps = next(step for step in itertools.count(1) if not stop_comes_at(step)) - 1
    sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    main()

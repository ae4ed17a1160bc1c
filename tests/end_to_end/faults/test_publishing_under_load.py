"""A table a second, and the sidecar restarted again and again, while two hundred visitors browse: nobody notices.

Every page has its edition in several places, so a page that was made by two tables is seen. Ten seconds; two minutes with
`--soak`. Counterpart: `play` has the stage.
"""

import signal
import time
from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from tests.end_to_end.conftest import FAULT
from tests.end_to_end.faults.play import PEOPLE, UP_S_MAX, Stage, told
from tests.end_to_end.stack import Sidecar, alive, until

SECONDS, SECONDS_OF_SOAK = 10.0, 120.0
CHANGED_SHARE_MIN = 0.1
"""Of the pages: each table makes all of them anew, and on a machine that does much else some don't come in time."""


@pytest.mark.timeout(300)
def test_publishes_and_restarts_cost_nobody_a_page(
    stage: Stage, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    seconds = SECONDS if request.config.getoption("--soak") is None else SECONDS_OF_SOAK
    stage.settle()
    renewing = Renewing(stage.sidecar)
    stage.crowd.begin(stage.sidecar.port, people=PEOPLE)
    began, first = time.monotonic(), stage.edition
    try:
        while (published := stage.edition - first) < seconds:
            until(partial(is_past, began + published), 2 * seconds, what="the next second")
            stage.publish()
            renewing.go_on()
        until(renewing.is_done, UP_S_MAX, what="the last restart")
    finally:
        seen = stage.crowd.end()
        record_property(FAULT, msgspec.json.encode(told("publishes, restarts", seen)).decode())
    assert seen.failures == []
    assert seen.failed == 0
    assert renewing.count >= 1
    assert len(seen.editions) > 0.5 * published, seen.editions
    assert seen.outcomes["changed"] > CHANGED_SHARE_MIN * seen.requests, seen.passed


def is_past(moment: float) -> bool:
    return time.monotonic() >= moment


class Renewing:
    """Restarts the whole sidecar again and again, each time that all workers of the last restart serve."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.count = 0
        self._sidecar = sidecar
        self._before: set[int] = set()

    def go_on(self) -> None:
        """Restart it, if it is time."""
        if self.is_done():
            self._before = set(self._sidecar.pids())
            self._sidecar.signal(signal.SIGHUP)
            self.count += 1

    def is_done(self) -> bool:
        """Whether the workers that were there before the last restart have ended, and all of the others serve."""
        try:
            workers = self._sidecar.workers()
        except ConnectionError:  # who was asked has just ended
            return False
        renewed = self._before.isdisjoint(worker["pid"] for worker in workers)
        return renewed and not any(map(alive, self._before)) and all(worker["serves"] for worker in workers)

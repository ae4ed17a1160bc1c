"""A table a second while two hundred visitors browse: nobody notices, and no page is made by two tables.

Every page has its edition in several places, so a page that was made by two tables is seen. Ten seconds; two minutes with
`--soak`. Counterpart: `play` has the stage.
"""

import time
from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from tests.end_to_end.conftest import FAULT
from tests.end_to_end.faults.play import PEOPLE, Stage, told
from tests.end_to_end.stack import until

SECONDS, SECONDS_OF_SOAK = 10.0, 120.0
CHANGED_SHARE_MIN = 0.1
"""Of the pages: each table makes all of them anew, and on a machine that does much else some don't come in time."""


@pytest.mark.timeout(300)
def test_publishes_cost_nobody_a_page(
    stage: Stage, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    seconds = SECONDS if request.config.getoption("--soak") is None else SECONDS_OF_SOAK
    stage.settle()
    stage.crowd.begin(stage.sidecar.port, people=PEOPLE)
    began, first = time.monotonic(), stage.edition
    try:
        while (published := stage.edition - first) < seconds:
            until(partial(is_past, began + published), 2 * seconds, what="the next second")
            stage.publish()
    finally:
        seen = stage.crowd.end()
        record_property(FAULT, msgspec.json.encode(told("publishes", seen)).decode())
    assert seen.failures == []
    assert seen.failed == 0
    assert len(seen.editions) > 0.5 * published, seen.editions
    assert seen.outcomes["changed"] > CHANGED_SHARE_MIN * seen.requests, seen.passed


def is_past(moment: float) -> bool:
    return time.monotonic() >= moment

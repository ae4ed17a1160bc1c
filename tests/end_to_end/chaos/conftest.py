"""Fixtures of the catastrophes: the shop and its visitors for all, an installation and a play for each."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from tests.end_to_end.chaos.play import Play
from tests.end_to_end.chaos.stage import Stage
from tests.end_to_end.faults.stage import Crowd, Origin
from tests.servers import new_server_folder

HURRY_S = 1.0
"""How long outages last without `--soak`."""

Begin = Callable[..., Play]


@pytest.fixture(scope="session")
def people() -> Iterator[tuple[Crowd, Origin]]:
    """Visitors, and the shop that they look at."""
    with Crowd() as crowd, Origin(free_port()) as origin:
        yield crowd, origin


@pytest.fixture
def begin(
    people: tuple[Crowd, Origin], request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[Begin]:
    """`begin(name)`: an installation of the test's own, up and running, for one catastrophe; options are `Stage`'s."""
    folder, stages = new_server_folder(), list[Stage]()
    soak: float | None = request.config.getoption("--soak")

    def begun(name: str, *, stage: Callable[..., Stage] = Stage, **options: object) -> Play:
        stages.append(stage(folder, *people, **options))
        stages[-1].start()
        return Play(stages[-1], name, HURRY_S if soak is None else soak, record_property, hurry=soak is None)

    try:
        yield begun
    finally:
        for stage in stages:
            stage.stop()
        for log in sorted(folder.rglob("*.log")):
            request.node.add_report_section("teardown", log.name, tail(log))
        shutil.rmtree(folder, ignore_errors=True)


def tail(log: Path, characters: int = 6_000) -> str:
    """The end of a log."""
    return log.read_text("utf-8", "replace")[-characters:]

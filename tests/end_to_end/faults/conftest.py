"""Fixtures of the fault matrix, and the table that it prints."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layout_mutation.embedded.ports import free_port
from sidecar.fail_open import TABLE
from tests.end_to_end.faults import pages
from tests.end_to_end.faults.play import Play, Stage
from tests.end_to_end.faults.stage import Crowd, Origin, sidecar_settings
from tests.end_to_end.stack import Stack
from tests.servers import new_database, new_server_folder

LOADS = 1.0
"""In the short form, without `--soak`: a second, on a machine that does much else."""
LOADS_PER_S = 2.5


@pytest.fixture(scope="module")
def stage(postgres_server: str) -> Iterator[Stage]:
    """Everything, once for all rows of a file: each leaves it as it was."""
    folder, settings = new_server_folder(), sidecar_settings()
    with new_database(postgres_server) as database_url, Crowd() as crowd, Origin(free_port()) as origin:
        stack = Stack(folder, database_url=database_url, upstream=origin.url, workers=2, control_plane=None, **settings)
        try:
            stack.start()
            stack.publish(pages.rules(1))
            yield Stage(stack, crowd, origin)
        finally:
            stack.stop()
            shutil.rmtree(folder)


@pytest.fixture
def play(
    stage: Stage,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> Play:
    """The row that a test is named after, on a stage where all is well."""
    name = request.node.name.removeprefix("test_")
    [row] = [row for row in TABLE if row.key == name]
    soak: float | None = request.config.getoption("--soak")
    stage.settle()
    return Play(stage, row, tmp_path, loads=LOADS if soak is None else soak * LOADS_PER_S, tell=record_property)

"""An `up` with stand-ins for the services, on real PostgreSQL and Valkey; commands in this process; an origin for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.site import Site
from tests.layout_mutation.running_up import RunningUp
from tests.layout_mutation.typed import CommandLine


@pytest.fixture
def up(server_folder: Path) -> Iterator[RunningUp]:
    """An `up` in a folder that the servers can reach. Not started yet; ended afterwards."""
    running = RunningUp(server_folder)
    yield running
    running.dispose()


@pytest.fixture
def run(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> CommandLine:
    """`ran = run("lint", "rules.json")`, in an empty folder."""
    return CommandLine(tmp_path, capsysbinary)


@pytest.fixture
def site() -> Iterator[Site]:
    """An origin without pages."""
    with Site() as running:
        yield running

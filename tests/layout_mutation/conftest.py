"""An `up` with stand-ins for the services, on real PostgreSQL and Valkey, in a folder that the servers can reach."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.layout_mutation.running_up import RunningUp


@pytest.fixture
def up(server_folder: Path) -> Iterator[RunningUp]:
    """Not started yet; ended afterwards."""
    running = RunningUp(server_folder)
    yield running
    running.dispose()

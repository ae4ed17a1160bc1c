"""A control plane's stores with a wire to their database that can be cut."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.control_plane.store.outages import Instance, Wire, instance


@pytest.fixture
async def one(wire: Wire, tmp_path: Path) -> AsyncIterator[Instance]:
    async with instance(wire.url, tmp_path / "one") as made:
        yield made

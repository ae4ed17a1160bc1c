"""What the tests of the sidecar share: a page rewriter and a table's keeper that are opened, and closed without a trace."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.rewriting.rewriting import Rewriting
from sidecar.tables.tables import Tables
from tests.sidecar.opened import Open, children
from tests.sidecar.publisher import Follow, Publisher


@pytest.fixture
async def rewriting() -> AsyncIterator[Open]:
    """`await rewriting(**changes)`: a started Rewriting, closed afterwards, whose children are then all gone."""
    opened: list[Rewriting] = []

    async def start(**changes: object) -> Rewriting:
        made = Rewriting(**{"entropy": random.Random(1), "memo_bytes_max": 0, **changes})  # type: ignore[arg-type]
        opened.append(made)
        await made.start()
        return made

    before = children()
    yield start
    for made in opened:
        await made.close()
    assert children() == before


@pytest.fixture
async def publisher(redis_url: str, redis_environment: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(redis_url, redis_environment)
    yield publisher
    await publisher.close()


@pytest.fixture
async def follow(publisher: Publisher, redis_url: str, tmp_path: Path) -> AsyncIterator[Follow]:
    """Opens tables, and closes them."""
    opened: list[Tables] = []

    def make(**changes: object) -> Tables:
        arguments: dict[str, object] = {
            "redis_url": redis_url,
            "keys": publisher.keys,
            "public_keys": [publisher.public_key],
            "snapshot_dir": tmp_path / "snapshot",
            "instance": f"sidecar-{len(opened)}",
            "poll_s": 30.0,
            "entropy": random.Random(1),
        }
        tables = Tables(**{**arguments, **changes})  # type: ignore[arg-type]
        opened.append(tables)
        return tables

    yield make
    for tables in opened:
        await tables.close()

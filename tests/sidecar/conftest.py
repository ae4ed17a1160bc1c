"""What the tests of the sidecar share: a page rewriter that is opened, and closed without a trace."""

import random
from collections.abc import AsyncIterator

import pytest

from sidecar.rewriting import Rewriting
from tests.sidecar.opened import Open, children


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

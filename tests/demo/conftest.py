"""The shop on a free port of the loopback interface, and what its tests read pages with."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from demo.app import build_app

Shop = TestClient[Request, Application]


class Tap:
    """A chunk pause that lasts until the test opens it; one `pour` lets one chunk through."""

    def __init__(self) -> None:
        self._drops = asyncio.Semaphore(0)

    def pour(self) -> None:
        self._drops.release()

    async def __call__(self) -> None:
        await self._drops.acquire()


@pytest.fixture
def tap() -> Tap:
    return Tap()


@pytest.fixture
async def shop(tap: Tap) -> AsyncIterator[Shop]:
    async with TestClient(TestServer(build_app(chunk_pause=tap))) as client:
        yield client

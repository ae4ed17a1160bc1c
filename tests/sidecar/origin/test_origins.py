"""One origin: what counts as its failure, what is said of it, and that this is said once."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import StreamReader
from structlog.testing import capture_logs

from sidecar.origin.origins import Origin
from sidecar.origin.upstream import OriginConnections, Upload, UpstreamError
from sidecar.settings import SidecarSettings
from sidecar.site_origins import OriginAddress
from tests.sidecar.replicas import Replica, replicas

HEAD = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    async with replicas("a") as (one,):
        yield one


@pytest.fixture
def answered() -> list[float]:
    """How long the origin took to answer, each time."""
    return []


@pytest.fixture
async def origin(replica: Replica, answered: list[float]) -> AsyncIterator[Origin]:
    settings = SidecarSettings(
        upstream=replica.url, upstream_breaker_failures=2, upstream_response_s=0.1, upstream_fields_max=16
    )
    address = OriginAddress("http", "127.0.0.1", replica.port, "127.0.0.1")
    connections = OriginConnections(address, settings, tls=None, connections_max=10, idle_s=4.0)
    now = asyncio.get_running_loop().time
    dice, told = random.Random(1), answered.append
    yield Origin(address, b"shop.example", settings, connections, now=now, entropy=dice, answered=told)
    await connections.close()


def is_up(origin: Origin) -> bool:
    return bool(origin.status()["up"])


async def asked(origin: Origin, *, trial: bool = False) -> str:
    """What comes of a request: a status, or a trouble."""
    try:
        response = await origin.send("GET", HEAD, None, lambda _: None, trial=trial)
    except UpstreamError as error:
        return error.trouble.value
    response.close()
    return str(response.status)


async def test_it_is_said_once_that_an_origin_is_down_and_once_that_it_is_up(replica: Replica, origin: Origin) -> None:
    with capture_logs() as logs:
        assert await asked(origin) == "200"
        await replica.stop()
        assert {await asked(origin) for _ in range(5)} == {"connect_failed"}
        await replica.start()
        assert [await asked(origin) for _ in range(3)] == ["200"] * 3
    assert [(log["event"], log["origin"], log["by"]) for log in logs] == [
        ("upstream_down", replica.url, "breaker"),
        ("upstream_up", replica.url, "breaker"),
    ]
    assert "connect" in logs[0]["detail"]
    assert origin.failures == {"connect_failed": 5}
    assert origin.requests == 9


async def test_answers_that_say_that_there_is_no_site_count(replica: Replica, origin: Origin) -> None:
    for status, up in (("500 Oops", True), ("404 Not Found", True), ("502 Bad Gateway", False), ("200 OK", True)):
        replica.status = status
        for _ in range(2):
            assert await asked(origin) == status[:3]
        assert origin.up is up, status
    assert origin.failures == {"unavailable": 2}


async def test_a_head_that_is_too_large_is_about_one_page(replica: Replica, origin: Origin) -> None:
    replica.says = b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 40 + b"\r\n"
    assert {await asked(origin) for _ in range(5)} == {"head_too_large"}
    assert (origin.up, origin.failures) == (True, {"head_too_large": 5})


async def test_who_leaves_says_nothing_of_the_origin(replica: Replica, origin: Origin) -> None:
    replica.hangs = True
    origin.breaker.failed(trial=False)
    origin.breaker.failed(trial=False)
    origin.breaker.begin_trial()
    leaving = asyncio.create_task(origin.send("GET", HEAD, None, lambda _: None, trial=True))
    async with asyncio.timeout(30):
        while not replica.heads:
            await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert (origin.failures, origin.connections.in_progress, origin.breaker.state) == ({}, 0, "open")


async def test_checks_and_breaker_both_have_to_agree_that_it_is_up(replica: Replica, origin: Origin) -> None:
    with capture_logs() as logs:
        origin.checked(healthy=False, detail="it answers 500")
        assert await asked(origin) == "200"
        assert not is_up(origin)
        replica.says = b""
        for _ in range(3):  # the first finds a connection that has served before, which says nothing of the origin
            await asked(origin)
        origin.checked(healthy=True, detail="it answers 200")
        assert not is_up(origin)
        replica.says = None
        assert await asked(origin, trial=True) == "200"
        assert is_up(origin)
    assert [(log["event"], log["by"]) for log in logs] == [("upstream_down", "checks"), ("upstream_up", "breaker")]
    assert logs[0]["detail"] == "it answers 500"


async def test_what_is_shown_of_it(replica: Replica, origin: Origin) -> None:
    await asked(origin)
    shown = origin.status()
    assert (shown["origin"], shown["up"], shown["breaker"], shown["requests"]) == (replica.url, True, "closed", 1)


async def test_how_long_it_takes_to_answer_is_told_of_answers_alone(
    replica: Replica, origin: Origin, answered: list[float]
) -> None:
    assert await asked(origin) == "200"
    replica.says = b""
    assert await asked(origin) == "disconnected"
    assert len(answered) == 1
    assert 0 < answered[0] < 5


class Pieces:
    """The body of a request, as much as an upload asks of it."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def readany(self) -> bytes:
        return self._pieces.pop(0)


async def test_what_takes_the_visitors_time_is_not_the_origins(
    replica: Replica, origin: Origin, answered: list[float]
) -> None:
    upload = Upload(cast(StreamReader, Pieces(b"pay")), length=3, invite=None, stall_s=5)
    head = b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\n"
    response = await origin.send("POST", head, upload, lambda _: None)
    response.close()
    assert (response.status, answered) == (200, [])

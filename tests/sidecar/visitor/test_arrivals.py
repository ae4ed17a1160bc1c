"""The door of a worker: who does not fit waits, and a system without descriptors is waited for, too."""

import asyncio
import contextlib
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.telemetry import Telemetry
from sidecar.visitor import arrivals
from sidecar.visitor.arrivals import AT_ONCE, DESCRIPTORS_KEPT, RETRY_S, Arrivals, connections_bound


class Greeting(asyncio.Protocol):
    """Says which of the connections it is."""

    door: Arrivals
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        Greeting.count += 1
        transport.write(b"%d" % Greeting.count)

    def connection_lost(self, _error: Exception | None) -> None:
        self.door.left()


@asynccontextmanager
async def door(
    connections_max: int, make_room: Callable[[int], int] = lambda _: 0
) -> AsyncIterator[tuple[Arrivals, int, Telemetry]]:
    Greeting.count = 0
    telemetry = Telemetry()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        Greeting.door = made = Arrivals(
            listening.dup(), Greeting, connections_max=connections_max, telemetry=telemetry, make_room=make_room
        )
        made.open()
        try:
            yield made, listening.getsockname()[1], telemetry
        finally:
            made.close()


def value(telemetry: Telemetry, name: str) -> float:
    families = {family.name: family for family in telemetry.families()}
    return sum(sample.value for sample in families[f"layout_mutation_{name}"].samples)


async def said(reader: asyncio.StreamReader, within_s: float = 5.0) -> bytes:
    return await asyncio.wait_for(reader.read(10), within_s)


def test_each_connection_may_need_another_one_to_the_origin() -> None:
    assert connections_bound(10_000, 1_048_576) == 10_000
    assert connections_bound(10_000, 1024) == (1024 - DESCRIPTORS_KEPT) // 2
    assert connections_bound(10_000, 10) == 1


async def test_who_does_not_fit_waits_and_is_not_refused() -> None:
    async with door(2) as (here, port, telemetry):
        visitors = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert [await said(reader) for reader, _ in visitors[:2]] == [b"1", b"2"]
        with pytest.raises(TimeoutError):
            await said(visitors[2][0], 0.1)
        assert (here.here, value(telemetry, "connections_held_back")) == (2, 1)
        visitors[0][1].close()
        assert await said(visitors[2][0]) == b"3"
        for _, writer in visitors:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_a_door_that_is_closed_leaves_those_inside_and_the_socket_alone() -> None:
    async with door(10) as (here, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await said(reader) == b"1"
        here.close()
        here.open()  # a connection that ends must not open it again
        waiting, other = await asyncio.open_connection(
            "127.0.0.1", port
        )  # the kernel still takes it, for somebody else
        with pytest.raises(TimeoutError):
            await said(waiting, 0.1)
        assert here.here == 1
        writer.close()
        other.close()


@contextlib.contextmanager
def no_more_descriptors() -> Iterator[None]:
    """No file can be opened in this process until the end of the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    taken = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
async def test_without_descriptors_it_waits_instead_of_spinning() -> None:
    async with door(10) as (_, port, telemetry):
        with socket.socket() as visitor:
            visitor.setblocking(False)
            with no_more_descriptors():
                visitor.connect_ex(("127.0.0.1", port))
                began = time.process_time()
                await asyncio.sleep(RETRY_S + 0.2)
                assert time.process_time() - began < 0.2
                assert 1 <= value(telemetry, "accept_failures") <= 2
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(visitor, 10), 5)
            assert answer == b"1"


async def test_a_full_worker_has_idle_connections_make_room_while_somebody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrivals, "RETRY_S", 0.01)
    asked: list[int] = []
    first: list[asyncio.StreamWriter] = []

    def make_room(count: int) -> int:
        asked.append(count)
        if len(asked) < 3:
            return 0  # nobody has been idle for long enough
        first[0].close()
        return 1

    async with door(1, make_room) as (_, port, telemetry):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        first.append(writer)
        assert await said(reader) == b"1"
        second, other = await asyncio.open_connection("127.0.0.1", port)
        assert await said(second) == b"2"
        assert asked == [AT_ONCE] * 3
        assert value(telemetry, "connections_reclaimed") == 1
        other.close()

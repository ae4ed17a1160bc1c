"""Events on their way: all that were put arrive, whatever Redis does, or are counted by the reason why not."""

import asyncio
import os
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.valkey import EmbeddedValkey
from service.events import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, Conversion, encode, read
from service.keys import Keys
from sidecar.events.outbox import ADOPT_S, AT_ONCE, PAUSE_S, ROUND_EVENTS, Outbox
from sidecar.events.spool import Sealed, Spool
from tests.sidecar.waiting import until
from tests.sidecar.wire import NOON

Open = Callable[..., Outbox]


def line(number: int) -> bytes:
    """An event, which knows its number by its id."""
    return encode(Conversion(id=f"run-{number}", at=NOON, site="shop.example", name="sold", units={"lm_uid": "u"}))


def put(outbox: Outbox, numbers: range) -> None:
    for number in numbers:
        outbox.put(line(number))


async def arrived(redis: Redis, stream: str) -> list[int]:
    """The numbers of the events in the stream, as they stand there."""
    entries: Any = await redis.xrange(stream)
    found: list[int] = []
    for _, fields in entries:
        batch = read(fields)
        assert batch.unknown == 0
        found += [int(event.id.removeprefix("run-")) for event in batch.events]
    return found


@pytest.fixture
async def open_outbox(tmp_path: Path, redis_url: str, redis_environment: str) -> AsyncIterator[Open]:
    """`open_outbox(**changes)`: an outbox of this test's stream, not started; closed afterwards."""
    opened: list[Outbox] = []

    def make(url: str = redis_url, *, disk: bool = False, **changes: object) -> Outbox:
        spool = Spool(tmp_path / "spool", 8 * 1024 * 1024) if disk else None
        given: dict[str, object] = {"spool": spool, "stream_entries_max": 10_000, "entropy": random.Random(1)}
        stream = Keys(redis_environment).events[0]
        opened.append(Outbox(url, stream, **{**given, "flush_s": 0.02, **changes}))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for outbox in opened:
        await outbox.close()


@pytest.fixture
def stream(redis_environment: str) -> str:
    return Keys(redis_environment).events[0]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def sent(outbox: Outbox) -> int:
    number = outbox.status()["sent"]
    assert isinstance(number, int)
    return number


def dropped(outbox: Outbox) -> dict[str, int]:
    drops = outbox.status()["dropped"]
    assert isinstance(drops, dict)
    return {reason: count for reason, count in drops.items() if count}


async def test_what_is_put_arrives_in_order_and_once(open_outbox: Open, redis: Redis, stream: str) -> None:
    outbox = open_outbox()
    outbox.start()
    put(outbox, range(3))
    await until(lambda: sent(outbox) == 3)
    put(outbox, range(3, 5 * BATCH_EVENTS_MAX))
    await until(lambda: sent(outbox) == 5 * BATCH_EVENTS_MAX)
    assert await arrived(redis, stream) == list(range(5 * BATCH_EVENTS_MAX))
    assert (dropped(outbox), outbox.status()["waiting"], outbox.status()["waitingBytes"]) == ({}, 0, 0)


@pytest.mark.parametrize("size", [100, EVENT_BYTES_MAX])
async def test_no_batch_is_larger_than_who_reads_it_takes(open_outbox: Open, size: int) -> None:
    """By events and by bytes, each line with its end."""
    outbox = open_outbox("redis://127.0.0.1:1/0")
    for _ in range(2 * BATCH_EVENTS_MAX + 1):
        outbox.put(bytes(size))
    outbox._seal()
    full = min(BATCH_EVENTS_MAX, BATCH_BYTES_MAX // (size + 1))
    counts = [batch.count for batch in outbox._sealed]
    assert sum(counts) == 2 * BATCH_EVENTS_MAX + 1
    assert (set(counts[:-1]), counts[-1] <= full) == ({full}, True)


async def test_a_pause_is_kept_and_others_segments_are_looked_for_again_later(open_outbox: Open) -> None:
    outbox = open_outbox(disk=True)
    outbox._retry_at = time.monotonic() + 3600
    put(outbox, range(3))
    await outbox._round()
    assert sent(outbox) == 0
    assert 0 < outbox._adopt_at - time.monotonic() <= ADOPT_S
    outbox._retry_at = 0.0
    await outbox._round()
    assert sent(outbox) == 3


async def test_many_events_do_not_wait(open_outbox: Open) -> None:
    outbox = open_outbox(flush_s=60.0)
    outbox.start()
    await asyncio.sleep(0)
    put(outbox, range(ROUND_EVENTS))
    await until(lambda: sent(outbox) == ROUND_EVENTS)


async def test_the_events_of_a_second_are_made_a_few_at_a_time_with_visitors_in_between(open_outbox: Open) -> None:
    """All in a row they would hold every visitor of that moment up."""
    outbox = open_outbox()
    called: list[tuple[float, int]] = []

    def tell(most: int) -> bool:
        called.append((time.monotonic(), len(outbox._lines)))
        put(outbox, range(most))
        return len(called) < 10

    outbox.draw_from(tell)
    await outbox._round()
    assert sent(outbox) == 10 * AT_ONCE
    assert min(after - before for (before, _), (after, _) in pairwise(called)) >= 0.9 * PAUSE_S
    assert max(lines for _, lines in called) < BATCH_EVENTS_MAX, "batches are made on the way too"


async def test_a_stream_is_as_long_as_it_may_be(open_outbox: Open, redis: Redis, stream: str) -> None:
    outbox = open_outbox(stream_entries_max=100)
    outbox.start()
    put(outbox, range(200))
    await until(lambda: sent(outbox) == 200)
    await redis.xtrim(stream, maxlen=0)
    async with redis.pipeline(transaction=False) as pipeline:
        for _ in range(500):
            _ = pipeline.xadd(stream, {"format": "1", "events": ""})
        await pipeline.execute()
    put(outbox, range(1))
    await until(lambda: sent(outbox) == 201)
    assert await redis.xlen(stream) < 250


async def test_a_full_buffer_drops_at_once_and_counts(open_outbox: Open) -> None:
    outbox = open_outbox("redis://127.0.0.1:1/0", events_max=1000)
    outbox.start()
    put(outbox, range(1000))
    lines = [line(number) for number in range(20_000)]
    began = time.perf_counter()
    for one in lines:
        outbox.put(one)
    assert (time.perf_counter() - began) / len(lines) < 20e-6
    assert dropped(outbox) == {"full": 20_000}
    await until(lambda: outbox.status()["redis"] == "lost")
    assert outbox.status()["waiting"] == 1000
    outbox.put(bytes(EVENT_BYTES_MAX + 1))
    assert dropped(outbox) == {"full": 20_000, "too_large": 1}


async def test_bytes_are_bounded_too(open_outbox: Open) -> None:
    outbox = open_outbox(bytes_max=10 * len(line(10)))
    put(outbox, range(10, 40))
    assert dropped(outbox) == {"full": 20}


@pytest.fixture
def valkey(server_folder: Path) -> EmbeddedValkey:
    """A server that keeps its port over its lives."""
    return EmbeddedValkey(server_folder / "valkey", free_port(), password=secrets.token_hex(16), durable=True)


def killed(server: EmbeddedValkey) -> None:
    assert server.child.pid is not None
    os.kill(server.child.pid, signal.SIGKILL)
    server.stop()


@pytest.mark.parametrize("disk", [True, False], ids=["disk", "memory"])
async def test_nothing_is_lost_while_redis_is_away(
    open_outbox: Open, valkey: EmbeddedValkey, tmp_path: Path, stream: str, disk: bool
) -> None:
    await asyncio.to_thread(valkey.start)
    try:
        outbox = open_outbox(valkey.url, disk=disk)
        outbox.start()
        put(outbox, range(1000))
        await until(lambda: sent(outbox) == 1000)
        with capture_logs() as logs:
            await asyncio.to_thread(killed, valkey)
            put(outbox, range(1000, 3000))
            await until(lambda: outbox.status()["redis"] == "lost")
            put(outbox, range(3000, 5000))
            await until(lambda: outbox.status()["spoolEvents" if disk else "waiting"] == 4000)
            assert bool(list(tmp_path.glob("spool/*.events"))) == disk
            await asyncio.to_thread(valkey.start)
            put(outbox, range(5000, 5100))
            await until(lambda: sent(outbox) == 5100)
        assert [entry["event"] for entry in logs] == ["events_wait", "events_flow"]
        async with Redis.from_url(valkey.url) as client:
            # appendfsync everysec: a killed server may forget the last second, never what came after.
            assert set(await arrived(client, stream)) >= set(range(1000, 5100))
        assert (dropped(outbox), list(tmp_path.glob("spool/*"))) == ({}, [])
    finally:
        valkey.stop()


async def test_an_answer_that_was_lost_makes_a_duplicate_with_the_same_ids(
    open_outbox: Open, redis: Redis, redis_url: str, stream: str
) -> None:
    """A door between the two that takes what is said and closes before the answer, once."""
    host, port = redis_url.rpartition("@")[2].partition("/")[0].split(":")
    cut = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cut
        there, back = await asyncio.open_connection(host, int(port))
        try:
            while asked := await reader.read(2**20):
                back.write(asked)
                answer = await there.read(2**20)
                if cut and b"XADD" in asked:
                    cut = False
                    return
                writer.write(answer)
        finally:
            back.close()
            writer.close()

    door = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        outbox = open_outbox(redis_url.replace(port, str(door.sockets[0].getsockname()[1])))
        put(outbox, range(10))
        outbox.start()
        await until(lambda: sent(outbox) == 10)
        assert await arrived(redis, stream) == [*range(10), *range(10)]
    finally:
        door.close()


async def test_what_redis_can_never_take_is_dropped_and_the_rest_goes_on(
    open_outbox: Open, redis: Redis, stream: str
) -> None:
    await redis.set(stream, "no stream")
    outbox = open_outbox(disk=True)
    with capture_logs() as logs:
        outbox.start()
        put(outbox, range(300))
        await until(lambda: dropped(outbox) == {"refused": 300})
        put(outbox, range(300, 400))
        await until(lambda: dropped(outbox) == {"refused": 400})
    assert [entry["event"] for entry in logs] == ["events_refused"]
    await redis.delete(stream)
    put(outbox, range(400, 500))
    await until(lambda: sent(outbox) == 100)


async def test_what_passes_is_waited_for(open_outbox: Open, valkey: EmbeddedValkey, stream: str) -> None:
    await asyncio.to_thread(valkey.start)
    try:
        outbox = open_outbox(valkey.url)
        outbox.start()
        async with Redis.from_url(valkey.url) as client:
            command: Any = client.execute_command
            for number, (spoil, mend) in enumerate(
                (
                    (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
                    (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
                    (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
                    (("ACL", "SETUSER", "default", "-xadd"), ("ACL", "SETUSER", "default", "+xadd")),
                )
            ):
                await command(*spoil)
                put(outbox, range(10 * number, 10 * number + 10))
                await until(lambda: outbox.status()["redis"] == "lost")
                await command(*mend)
                await until(lambda expected=10 * number + 10: sent(outbox) == expected)  # type: ignore[misc]
            assert await arrived(client, stream) == list(range(40))
        assert dropped(outbox) == {}
    finally:
        valkey.stop()


async def test_a_redis_that_hangs_holds_nobody_up(open_outbox: Open, valkey: EmbeddedValkey, stream: str) -> None:
    await asyncio.to_thread(valkey.start)
    assert valkey.child.pid is not None
    try:
        outbox = open_outbox(valkey.url, disk=True)
        outbox.start()
        put(outbox, range(10))
        await until(lambda: sent(outbox) == 10)
        os.kill(valkey.child.pid, signal.SIGSTOP)
        put(outbox, range(10, 20))
        began = time.monotonic()
        await outbox.close()
        assert time.monotonic() - began < 2.5
        os.kill(valkey.child.pid, signal.SIGCONT)
        after = open_outbox(valkey.url, disk=True)
        after.start()
        await until(lambda: sent(after) == 10)
        async with Redis.from_url(valkey.url) as client:
            found = await arrived(client, stream)
            assert (found[:10], set(found)) == (list(range(10)), set(range(20)))
    finally:
        os.kill(valkey.child.pid, signal.SIGCONT)
        valkey.stop()


async def test_closing_sends_what_is_there(open_outbox: Open, redis: Redis, stream: str) -> None:
    outbox = open_outbox(flush_s=60.0)
    outbox.start()
    await until(lambda: outbox.status()["waiting"] == 0)
    put(outbox, range(150))
    await outbox.close()
    assert await arrived(redis, stream) == list(range(150))


async def test_what_is_put_aside_is_drawn_in_a_round_and_when_closing(
    open_outbox: Open, redis: Redis, stream: str
) -> None:
    outbox = open_outbox(flush_s=60.0)
    aside = list(range(700))

    def tell(most: int) -> bool:
        for _ in range(min(most, len(aside))):
            outbox.put(line(aside.pop(0)))
        return bool(aside)

    outbox.draw_from(tell)
    outbox.start()
    await until(lambda: sent(outbox) == 700)
    aside += range(700, 1500)
    await outbox.close()
    assert await arrived(redis, stream) == list(range(1500))


async def test_closing_without_redis_keeps_it_on_disk_or_counts_it(
    open_outbox: Open, redis: Redis, stream: str
) -> None:
    for disk, drops in ((True, {}), (False, {"closing": 150})):
        outbox = open_outbox("redis://127.0.0.1:1/0", disk=disk)
        outbox.start()
        put(outbox, range(150))
        await until(lambda: outbox.status()["redis"] == "lost")  # noqa: B023  it is waited for in this round
        await outbox.close()
        assert dropped(outbox) == drops
    after = open_outbox(disk=True)
    after.start()
    await until(lambda: sent(after) == 150)
    assert await arrived(redis, stream) == list(range(150))


class Broken(Spool):
    """A disk that takes nothing while there is an `error`."""

    error: Exception | None = None

    def append(self, batch: Sealed) -> None:
        if self.error is not None:
            raise self.error
        super().append(batch)


async def test_a_disk_that_takes_nothing_leaves_it_in_memory(open_outbox: Open, tmp_path: Path) -> None:
    spool = Broken(tmp_path, 10_000)
    spool.error = OSError(28, "No space left on device")
    outbox = open_outbox("redis://127.0.0.1:1/0", spool=spool, events_max=100)
    with capture_logs() as logs:
        outbox.start()
        put(outbox, range(150))
        await until(lambda: len(logs) == 2)
        assert [entry["event"] for entry in logs] == ["events_wait", "spool_not_written"]
        assert (outbox.status()["waiting"], dropped(outbox)) == (100, {"full": 50})
        spool.error = None
        await until(lambda: outbox.status()["spoolEvents"] == 100)


async def test_a_bug_does_not_end_the_loop(open_outbox: Open, tmp_path: Path) -> None:
    spool = Broken(tmp_path, 10_000)
    spool.error = RuntimeError("a bug")
    outbox = open_outbox("redis://127.0.0.1:1/0", spool=spool)
    with capture_logs() as logs:
        put(outbox, range(1))
        outbox.start()
        await until(lambda: sum(entry["event"] == "outbox_failed" for entry in logs) > 1)
    spool.error = None
    await until(lambda: outbox.status()["spoolEvents"] == 1)

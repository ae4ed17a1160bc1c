"""The feed's own rules: what is read, when, and that its loops outlive everything. With Tables: `test_tables.py`."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError
from structlog.testing import capture_logs

from rules.limits import PROBLEM_CHARACTERS_MAX
from service.keys import Keys
from sidecar.events.outbox import Outbox
from sidecar.tables import refusals
from sidecar.tables.feed import Feed, Report
from sidecar.tables.tables import Tables
from tests.sidecar.publisher import Publisher
from tests.sidecar.waiting import until


class Receiver:
    """Refuses every table and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []
        self.offered: list[bytearray] = []
        self.refused: list[tuple[str, str]] = []
        self.details: list[str] = []
        self.again = 0
        self.bug: Exception | None = None

    def wants(self, version: int | None) -> bool:
        self.asked.append(version)
        if self.bug is not None:
            raise self.bug
        return version != 0

    async def offer(self, sealed: bytearray, announced: str) -> bool:
        self.offered.append(sealed)
        return False

    def refuse(self, reason: str, detail: str, announced: str) -> None:
        self.refused.append((reason, announced))
        self.details.append(detail)

    def refused_again(self) -> None:
        self.again += 1

    def report(self) -> Report:
        return Report("sidecar-1", None, None, "none", "", 1)


@pytest.fixture
async def publisher(redis_url: str, redis_environment: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(redis_url, redis_environment)
    yield publisher
    await publisher.close()


@pytest.fixture
async def feed(publisher: Publisher, redis_url: str) -> AsyncIterator[tuple[Feed, Receiver]]:
    receiver = Receiver()
    made = Feed(redis_url, publisher.keys, receiver, poll_s=0.02, entropy=random.Random(1), now=lambda: "now")
    yield made, receiver
    async with asyncio.timeout(2):
        await made.close()


async def looked(receiver: Receiver, times: int = 5) -> None:
    """So many whole looks at Redis from now on."""
    wanted = len(receiver.asked) + times + 1
    await until(lambda: len(receiver.asked) >= wanted)


async def test_a_refused_table_is_not_read_again_whatever_is_announced(
    feed: tuple[Feed, Receiver], publisher: Publisher
) -> None:
    followed, receiver = feed
    await publisher.publish(1, b"noise")
    followed.start()
    await until(lambda: len(receiver.offered) > 0)
    await looked(receiver)
    for version in (1, 2, 3):
        await publisher.publish(version, b"noise")
        await looked(receiver)
    assert [bytes(sealed) for sealed in receiver.offered] == [b"noise"]
    assert receiver.again > 0


async def test_other_bytes_are_read_at_once_under_the_same_version(
    feed: tuple[Feed, Receiver], publisher: Publisher
) -> None:
    followed, receiver = feed
    followed.start()
    for bytes_there in (b"noise", b"voice", b"noise and more"):
        await publisher.publish(1, bytes_there)
        await until(lambda: len(receiver.offered) > 0)
        assert bytes(receiver.offered.pop()) == bytes_there


async def test_refused_tables_that_differ_each_time_are_read_until_nothing_is_spared(
    feed: tuple[Feed, Receiver], publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "SPARED_BYTES", 2_500)
    monkeypatch.setattr(refusals, "FORGIVEN_BYTES_PER_S", 0)
    followed, receiver = feed
    followed.start()
    for version in range(1, 6):
        await publisher.publish(version, b"%d" % version + bytes(999))
        await looked(receiver)
    assert [sealed[:1] for sealed in receiver.offered] == [b"1", b"2", b"3"]


async def test_an_announced_table_that_is_not_there_is_refused(
    feed: tuple[Feed, Receiver], publisher: Publisher
) -> None:
    followed, receiver = feed
    await publisher.redis.set(publisher.keys.table_version, 4)
    followed.start()
    await until(lambda: ("malformed", "4") in receiver.refused)


async def sent_by(publisher: Publisher) -> int:
    """Bytes that this Redis has sent."""
    return int((await publisher.redis.info("stats"))["total_net_output_bytes"])


async def test_an_announcement_of_any_length_is_not_read_whole(
    feed: tuple[Feed, Receiver], publisher: Publisher
) -> None:
    followed, receiver = feed
    await publisher.redis.set(publisher.keys.table_version, b"7" * 10_000_000)
    sent = await sent_by(publisher)
    followed.start()
    await until(lambda: len(receiver.refused) > 0)
    assert receiver.asked[0] is None
    assert receiver.refused[0] == ("malformed", "7" * 32)
    assert await sent_by(publisher) - sent < 1_000_000


async def test_what_redis_says_of_an_error_has_a_bound(redis_environment: str) -> None:
    """Each distinct one is remembered, and told to the fleet."""
    said, served = b"-ERR " + b"x" * 50_000 + b"\r\n", set[asyncio.StreamWriter]()

    async def serve(source: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        served.add(answers)
        while asked := await source.read(65_536):
            answers.write(said if b"GETRANGE" in asked else b"+OK\r\n" * asked.count(b"*"))
        answers.close()
        await answers.wait_closed()
        served.remove(answers)

    server, receiver = await asyncio.start_server(serve, "127.0.0.1", 0), Receiver()
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
    feed = Feed(url, Keys(redis_environment), receiver, poll_s=0.02, entropy=random.Random(1), now=lambda: "now")
    feed.start()
    await until(lambda: len(receiver.refused) > 0)
    await feed.close()
    await until(lambda: not served)
    server.close()
    assert receiver.refused[0][0] == "unreadable"
    assert max(map(len, receiver.details)) <= PROBLEM_CHARACTERS_MAX


async def test_a_bug_in_the_receiver_does_not_end_the_loop(feed: tuple[Feed, Receiver], publisher: Publisher) -> None:
    followed, receiver = feed
    receiver.bug = RuntimeError("a bug")
    with capture_logs() as lines:
        followed.start()
        await until(lambda: len(receiver.asked) > 2)
        receiver.bug = None
        await publisher.publish(1)
        await until(lambda: len(receiver.offered) > 0)
    assert "table_loop_failed" in [line["event"] for line in lines]


async def test_closing_is_quick_at_any_moment(publisher: Publisher, redis_url: str) -> None:
    for pause in range(8):
        followed = Feed(
            redis_url, publisher.keys, Receiver(), poll_s=0.01, entropy=random.Random(pause), now=lambda: ""
        )
        followed.start()
        await asyncio.sleep(pause * 0.002)
        async with asyncio.timeout(2):
            await followed.close()


async def test_closing_while_a_table_is_read_is_quick_and_leaves_no_connection(redis_environment: str) -> None:
    keys, served = Keys(redis_environment), set[asyncio.StreamWriter]()
    answers = {keys.table_version: b"$1\r\n1\r\n", keys.table: b"$1000\r\n0", "STRLEN": b":1000\r\n"}
    begun = asyncio.Event()

    async def serve(source: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        served.add(back)
        while asked := await source.read(65_536):
            words = asked.decode().split("\r\n")
            answer = next((answers[word] for word in words if word in answers), b"+OK\r\n" * asked.count(b"*"))
            back.write(answers["STRLEN"] if "STRLEN" in words else answer)
            if answer is answers[keys.table] and "STRLEN" not in words:
                begun.set()
        back.close()
        await back.wait_closed()
        served.remove(back)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2&socket_timeout=60"
    feed = Feed(url, keys, Receiver(), poll_s=60, entropy=random.Random(1), now=lambda: "now")
    feed.start()
    await asyncio.wait_for(begun.wait(), 5)
    async with asyncio.timeout(2):
        await feed.close()
    await until(lambda: not served)
    server.close()


async def test_an_unusable_url_is_told_at_once(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="scheme"):
        Feed("http://127.0.0.1", publisher.keys, Receiver(), poll_s=1, entropy=random.Random(1), now=lambda: "")


async def test_a_user_of_redis_who_may_do_what_the_documents_say_is_enough(
    publisher: Publisher, redis_url: str, tmp_path: Path
) -> None:
    line = re.search(r"^user sidecar (.+)$", Path("SECURITY.md").read_text(), re.MULTILINE)
    assert line is not None
    name, password = publisher.keys.environment, "secret"
    rules = line[1].replace("production", name).replace("PASSWORD", password).split()
    address = urlsplit(redis_url)._replace(netloc=f"{name}:{password}@{urlsplit(redis_url).netloc.rpartition('@')[2]}")
    tables = Tables(
        redis_url=address.geturl(),
        keys=publisher.keys,
        public_keys=[publisher.public_key],
        snapshot_dir=tmp_path,
        instance="sidecar-1",
        poll_s=60,
    )
    outbox = Outbox(
        address.geturl(),
        publisher.keys.events_of("sidecar-1"),
        stream_entries_max=10,
        spool=None,
        entropy=random.Random(1),
        flush_s=0.02,
    )
    await publisher.redis.execute_command("ACL", "SETUSER", name, "reset", *rules)  # type: ignore[no-untyped-call]
    try:
        async with AsyncExitStack() as closing:
            lines = closing.enter_context(capture_logs())
            closing.push_async_callback(tables.close)
            closing.push_async_callback(outbox.close)
            await tables.start()
            outbox.start()
            await until(lambda: tables.status()["redis"] == "connected")
            outbox.put(b"{}")
            await publisher.publish(1)
            await until(lambda: tables.current is not None)
            await until(lambda: outbox.status()["sent"] == 1)
            assert await publisher.redis.hexists(publisher.keys.fleet, "sidecar-1")
            await closing.aclose()
        assert not await publisher.redis.hexists(publisher.keys.fleet, "sidecar-1")
        assert [line["event"] for line in lines if line["log_level"] != "info"] == []
        async with Redis.from_url(address.geturl()) as theirs:
            with pytest.raises(NoPermissionError):
                await theirs.set(publisher.keys.table, b"theirs")
            with pytest.raises(NoPermissionError):
                await theirs.getrange("{lm:another}:table", 0, 1)
    finally:
        await publisher.redis.execute_command("ACL", "DELUSER", name)  # type: ignore[no-untyped-call]

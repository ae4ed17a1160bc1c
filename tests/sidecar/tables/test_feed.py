"""The feed's own rules: what is read, when, and that its loops outlive everything. With Tables: `test_tables.py`."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Self

import pytest
from msgspec.structs import replace
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from rules import limits
from rules.limits import PROBLEM_CHARACTERS_MAX
from service.keys import Keys
from sidecar.tables import refusals
from sidecar.tables.feed import BACK_OFF_S_MAX, HEARTBEAT_S, Feed, Report, _version
from tests.sidecar.publisher import Publisher
from tests.sidecar.scripted import NOTHING, by_word, saying
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
        self.wanted = True
        self.told = Report("sidecar-1", None, None, "none", "", 1)

    def wants(self, version: int | None) -> bool:
        self.asked.append(version)
        if self.bug is not None:
            raise self.bug
        return self.wanted and version != 0

    async def offer(self, sealed: bytearray, announced: str) -> bool:
        self.offered.append(sealed)
        return False

    def refuse(self, reason: str, detail: str, announced: str) -> None:
        self.refused.append((reason, announced))
        self.details.append(detail)

    def refused_again(self) -> None:
        self.again += 1

    def report(self) -> Report:
        return self.told


class Clock:
    """In place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("sidecar.tables.feed.time", made)
    return made


class Hurry(random.Random):
    """Notes how long somebody is to wait, and by which factors, and lets nobody wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.factors = set[tuple[float, float]]()

    def uniform(self, a: float, b: float) -> float:
        self.factors.add((a, b))
        return NoTime(self.waits)


class NoTime(float):
    """A factor of nothing that notes what it is multiplied with."""

    def __new__(cls, _: list[float]) -> Self:
        return super().__new__(cls, 0.0)

    def __init__(self, noted: list[float]) -> None:
        self._noted = noted

    def __rmul__(self, wait_s: float) -> float:
        self._noted.append(wait_s)
        return 0.0


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
    receiver = Receiver()
    async with saying(by_word({b"GETRANGE": b"-ERR " + b"x" * 50_000 + b"\r\n"})) as url:
        feed = Feed(url, Keys(redis_environment), receiver, poll_s=0.02, entropy=random.Random(1), now=lambda: "now")
        feed.start()
        await until(lambda: len(receiver.refused) > 0)
        await feed.close()
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


# ---- how the loops go on


async def test_what_ends_is_begun_again_after_pauses_that_grow(redis_environment: str, clock: Clock) -> None:
    """More often than a power of two has room, and from the start again after it had gone well for a while."""
    hurry, failed, begun = Hurry(), list[Exception](), 0
    feed = Feed("redis://127.0.0.1:1", Keys(redis_environment), Receiver(), poll_s=1, entropy=hurry, now=lambda: "")
    expected: list[Exception] = [RedisConnectionError("gone"), OSError("no route"), TimeoutError()]
    others: list[BaseException] = [ZeroDivisionError("a bug"), *[OSError()] * 1_100, asyncio.CancelledError()]

    async def follow() -> None:
        nonlocal begun
        begun += 1
        clock.now += BACK_OFF_S_MAX + (begun == 1_000)
        raise [*expected, *others][begun - 1]

    with capture_logs() as lines, pytest.raises(asyncio.CancelledError):
        await feed._for_ever(follow, failed.append)
    assert failed[:3] == expected
    assert [line["event"] for line in lines] == ["table_loop_failed"]
    assert hurry.waits[:6] == [0.2, 0.4, 0.8, 1.6, BACK_OFF_S_MAX, BACK_OFF_S_MAX]
    assert hurry.waits[998:1_002] == [BACK_OFF_S_MAX, 0.1, 0.2, 0.4]
    assert hurry.waits[-1] == BACK_OFF_S_MAX
    assert hurry.factors == {(0.5, 1.0)}


async def test_a_fleet_does_not_ask_together(publisher: Publisher, redis_url: str) -> None:
    hurry, receiver = Hurry(), Receiver()
    feed = Feed(redis_url, publisher.keys, receiver, poll_s=60, entropy=hurry, now=lambda: "")
    polling = asyncio.create_task(feed._poll())
    await until(lambda: len(hurry.waits) > 1)
    receiver.bug = ZeroDivisionError("enough")
    with pytest.raises(ZeroDivisionError, match="enough"):
        await asyncio.wait_for(polling, 10)
    await feed.close()
    assert set(hurry.waits) == {60}
    assert hurry.factors == {(0.8, 1.2)}


@pytest.mark.parametrize("answers", [True, False])
async def test_a_silent_subscription_is_asked_for_a_sign_of_life(
    redis_environment: str, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    """A connection whose other end has gone says nothing, for ever: what is announced would not be heard."""
    pings, keys = 0, Keys(redis_environment)
    channel = keys.tables.encode()
    subscribed = b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:1\r\n" % (len(channel), channel)
    others = by_word({b"SUBSCRIBE": subscribed, b"GETRANGE": NOTHING, b"HSET": b":1\r\n"})

    def answer(asked: bytes) -> bytes | None:
        nonlocal pings
        if b"PING" not in asked:
            return others(asked)
        pings += 1
        return b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" if answers else b""

    async with saying(answer) as url:
        feed = Feed(url, keys, Receiver(), poll_s=60, entropy=random.Random(1), now=lambda: "")
        monkeypatch.setattr("sidecar.tables.feed.LISTEN_S", 0.02)
        monkeypatch.setattr("sidecar.tables.feed.REDIS_TIMEOUT_S", 20.0 if answers else 0.05)
        listening = asyncio.create_task(feed._listen())
        await until(lambda: listening.done() or pings > 3, 10)
        listening.cancel()
        await asyncio.wait((listening,))
        await feed.close()
    assert listening.cancelled() is answers
    if not answers:
        assert "silent" in str(listening.exception())
        assert pings == 1


async def test_each_trouble_with_redis_is_one_line_until_it_is_over(
    feed: tuple[Feed, Receiver], publisher: Publisher
) -> None:
    followed, _ = feed
    with capture_logs() as lines:
        for first, second in ((TimeoutError(), OSError("no route")), (OSError("no route"), TimeoutError())):
            followed._poll_failed(first)
            followed._poll_failed(second)
            assert followed.connected is False
            for error in (RedisConnectionError("gone"), ResponseError("no channels for you"), ResponseError("again")):
                followed._listen_failed(error)
            await followed._refresh()
            await followed._refresh()
            assert followed.connected is True
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("redis_lost", "TimeoutError"),
        ("subscription_refused", "no channels for you"),
        ("redis_connected", None),
        ("redis_lost", "no route"),
        ("redis_connected", None),
    ]


# ---- one look


async def test_only_what_is_wanted_is_read(feed: tuple[Feed, Receiver], publisher: Publisher, clock: Clock) -> None:
    followed, receiver = feed
    assert followed.heard_at is None
    await followed._refresh()
    assert (receiver.asked, receiver.offered, receiver.refused) == ([0], [], []), "nothing is announced"
    await publisher.publish(1, b"noise")
    receiver.wanted = False
    clock.now += 1
    await followed._refresh()
    assert (receiver.asked, receiver.offered, receiver.refused) == ([0, 1], [], [])
    assert followed.heard_at == clock.now


async def test_two_looks_at_once_read_a_table_once(feed: tuple[Feed, Receiver], publisher: Publisher) -> None:
    followed, receiver = feed
    await publisher.publish(1, b"noise")
    await asyncio.gather(followed._refresh(), followed._refresh())
    assert receiver.offered == [b"noise"]


@pytest.mark.parametrize(
    ("stored", "refused"),
    [(b"123456", None), (b"1234567", "too_large"), (["a list"], "malformed"), (b"", "malformed")],
    ids=["as large as it may be", "a byte more", "no text", "none"],
)
async def test_what_can_not_be_a_table_is_not_offered(
    feed: tuple[Feed, Receiver],
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
    stored: bytes | list[str],
    refused: str | None,
) -> None:
    followed, receiver = feed
    monkeypatch.setattr(limits, "TABLE_BYTES_MAX", 6)
    await publisher.redis.set(publisher.keys.table_version, 1)
    if isinstance(stored, list):
        await publisher.redis.lpush(publisher.keys.table, *stored)
    elif stored:
        await publisher.redis.set(publisher.keys.table, stored)
    for _ in range(2):
        await followed._refresh()
    assert list(map(bytes, receiver.offered)) == ([] if refused else [stored]), "and is not read a second time"
    assert receiver.refused == ([(refused, "1")] * 2 if refused else [])


async def test_a_table_that_grew_meanwhile_is_read_a_byte_beyond_the_bound(redis_environment: str) -> None:
    keys, asked = Keys(redis_environment), list[str]()

    def answer(data: bytes) -> bytes | None:
        words = data.decode().split("\r\n")
        if keys.table in words and "STRLEN" not in words:
            asked.append(words[-2])
        return b"$1\r\n1\r\n" if "GETRANGE" in words else by_word({b"STRLEN": b":1000\r\n"})(data)

    async with saying(answer) as url:
        feed = Feed(url, keys, Receiver(), poll_s=60, entropy=random.Random(1), now=lambda: "")
        await feed._read("1")
        await feed.close()
    assert asked == [str(refusals.LOOK_BYTES - 1), str(limits.TABLE_BYTES_MAX)], "the last byte, counted from none"


async def test_the_fleet_hears_what_changed_at_once_and_the_rest_now_and_then(
    feed: tuple[Feed, Receiver], publisher: Publisher, clock: Clock
) -> None:
    followed, receiver = feed
    refused = replace(receiver.told, state="NACK")
    for later_s, report, told in (
        (0.0, receiver.told, True),
        (HEARTBEAT_S - 0.1, receiver.told, False),
        (0.1, receiver.told, True),
        (0.1, refused, True),
        (0.1, refused, False),
    ):
        clock.now += later_s
        receiver.told = report
        await publisher.redis.delete(publisher.keys.fleet)
        await followed._refresh()
        assert await publisher.redis.hexists(publisher.keys.fleet, "sidecar-1") is told


async def test_a_fleet_that_can_not_be_told_is_one_line(feed: tuple[Feed, Receiver], publisher: Publisher) -> None:
    followed, receiver = feed
    await publisher.redis.set(publisher.keys.fleet, "no hash")
    with capture_logs() as lines:
        for state in ("ACK", "NACK"):
            receiver.told = replace(receiver.told, state=state)
            await followed._refresh()
    assert [line["event"] for line in lines] == ["redis_connected", "fleet_report_refused"]
    assert "WRONGTYPE" in lines[1]["error"]
    await publisher.redis.delete(publisher.keys.fleet)


@pytest.mark.parametrize(
    ("announced", "version"),
    [(b"7", 7), (b"9" * 18, 10**18 - 1), (b"9" * 19, None), (b"seven", None), (b"-7", None), (b"\xb2", None)],
)
def test_a_version_has_eighteen_digits_at_most(announced: bytes, version: int | None) -> None:
    assert _version(announced) == version


# ---- the end


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
    keys, begun = Keys(redis_environment), asyncio.Event()
    answers = {keys.table_version: b"$1\r\n1\r\n", keys.table: b"$1000\r\n0"}

    def answer(asked: bytes) -> bytes:
        words = asked.decode().split("\r\n")
        if "STRLEN" in words:
            return b":1000\r\n"
        if keys.table in words:
            begun.set()
        return next((answers[word] for word in words if word in answers), b"+OK\r\n" * asked.count(b"*"))

    async with saying(answer) as url:
        made = f"{url}&socket_timeout=60"
        feed = Feed(made, keys, Receiver(), poll_s=60, entropy=random.Random(1), now=lambda: "now")
        feed.start()
        await asyncio.wait_for(begun.wait(), 5)
        async with asyncio.timeout(2):
            await feed.close()


@pytest.mark.parametrize("said", [b"-NOPERM no\r\n", b"", None], ids=["it refuses", "it hangs", "it ends"])
async def test_leaving_a_redis_that_will_not_hear_of_it_is_quick_and_no_trouble(
    redis_environment: str, monkeypatch: pytest.MonkeyPatch, said: bytes | None
) -> None:
    async with saying(by_word({b"HDEL": said, b"GETRANGE": NOTHING, b"HSET": b":1\r\n"})) as url:
        made = f"{url}&socket_timeout=60"
        feed = Feed(made, Keys(redis_environment), Receiver(), poll_s=60, entropy=random.Random(1), now=lambda: "now")
        feed.start()
        await until(lambda: feed.connected is True)
        monkeypatch.setattr("sidecar.tables.feed.REDIS_TIMEOUT_S", 0.05)
        async with asyncio.timeout(2):
            await feed.close()


async def test_an_unusable_url_is_told_at_once(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="scheme"):
        Feed("http://127.0.0.1", publisher.keys, Receiver(), poll_s=1, entropy=random.Random(1), now=lambda: "")

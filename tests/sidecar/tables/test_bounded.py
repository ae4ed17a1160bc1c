"""Answers with a bound: what is short is read as the library reads it, what is long ends the connection before it is there."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from redis._parsers import Encoder
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from sidecar.tables.bounded import ANSWER_BYTES_MAX, BoundedParser
from sidecar.tables.feed import Feed
from tests.sidecar.publisher import Publisher
from tests.sidecar.tables.test_feed import Receiver
from tests.sidecar.waiting import until


def parser_of(sent: bytes) -> BoundedParser:
    source = asyncio.StreamReader()
    source.feed_data(sent)
    parser = BoundedParser(socket_read_size=65_536)
    encoder = Encoder("utf-8", "strict", decode_responses=False)  # type: ignore[no-untyped-call]
    parser.on_connect(SimpleNamespace(_reader=source, encoder=encoder))  # type: ignore[no-untyped-call]
    return parser


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"+OK\r\n", b"OK"),
        (b"$-1\r\n", None),
        (b"_\r\n", None),
        (b"*2\r\n:1\r\n$2\r\nab\r\n", [1, b"ab"]),
        (b"%1\r\n+a\r\n:1\r\n", {b"a": 1}),
        (b"$%d\r\n%s\r\n" % (ANSWER_BYTES_MAX - 10, bytes(ANSWER_BYTES_MAX - 10)), bytes(ANSWER_BYTES_MAX - 10)),
    ],
)
async def test_what_is_short_is_read(sent: bytes, answer: Any) -> None:
    parser = parser_of(sent + sent)
    assert await parser.read_response() == answer
    assert await parser.read_response() == answer, "the bound is for each"


async def test_an_error_is_one() -> None:
    assert isinstance(await parser_of(b"-ERR no\r\n").read_response(), ResponseError)


@pytest.mark.parametrize(
    "sent",
    [
        b"$%d\r\n" % ANSWER_BYTES_MAX,
        b"$100000000000\r\n",
        b"*2\r\n$600000\r\n" + bytes(600_000) + b"\r\n$600000\r\n",
        b"*1000000000\r\n" + b"_\r\n" * 400_000,
        b">3\r\n+message\r\n+channel\r\n$500000000\r\n",
    ],
    ids=["text", "long text", "texts", "list", "message"],
)
async def test_what_is_long_is_not_waited_for(sent: bytes) -> None:
    with pytest.raises(RedisConnectionError, match="more than"):
        await asyncio.wait_for(parser_of(sent).read_response(push_request=True), 5)


@pytest.mark.parametrize("protocol", ["", "?protocol=2"])
async def test_a_message_of_any_length_is_not_read_and_the_next_one_is(
    redis_url: str, redis_environment: str, protocol: str
) -> None:
    publisher, receiver = Publisher(redis_url, redis_environment), Receiver()
    feed = Feed(redis_url + protocol, publisher.keys, receiver, poll_s=60, entropy=random.Random(1), now=lambda: "now")
    feed.start()
    try:
        await until(lambda: len(receiver.asked) == 2)  # a look of each loop
        subscribed = await subscribers(publisher)
        await publisher.redis.publish(publisher.keys.tables, bytes(30_000_000))
        await until(lambda: len(receiver.asked) > 2)  # it has subscribed again, and looks
        assert not subscribed & await subscribers(publisher)
        await publisher.publish(1)
        await until(lambda: len(receiver.offered) > 0)
    finally:
        await feed.close()
        await publisher.close()


async def subscribers(publisher: Publisher) -> set[str]:
    """The connections that are subscribed to a channel."""
    return {client["id"] for client in await publisher.redis.client_list() if client["sub"] == "1"}

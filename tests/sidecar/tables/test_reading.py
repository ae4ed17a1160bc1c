"""A large value read past the client of the event loop: what Redis may answer, and an end in the middle."""

import asyncio
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from sidecar.tables.reading import HEADER_BYTES_MAX, Large, _bulk_string, _Reading
from tests.sidecar.certificates import Authority

KEY = "{lm:reading}:table"
Answer = Callable[[socket.socket], None]


@contextmanager
def answering(answer: Answer, greets: bytes = b"+OK\r\n") -> Iterator[str]:
    """The URL of a server that welcomes a client and then answers its question in its own way."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=_serve, args=(server, answer, greets), daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        assert not thread.is_alive()


def _serve(server: socket.socket, answer: Answer, greets: bytes) -> None:
    with suppress(OSError), closing(server.accept()[0]) as client:
        client.settimeout(5)
        while b"GETRANGE" not in (asked := client.recv(65_536)):
            if not asked:
                return
            client.sendall(greets * asked.count(b"*"))
        answer(client)


def saying(*parts: bytes) -> Answer:
    """Each part by itself, and the connection's end."""

    def answer(client: socket.socket) -> None:
        for part in parts:
            client.sendall(part)

    return answer


async def read(answer: Answer, bytes_max: int = 100, timeout_s: float = 5.0) -> bytearray:
    with answering(answer) as url:
        return await Large(url, timeout_s=timeout_s).read(KEY, bytes_max)


async def test_a_value_is_read_as_it_is(redis_url: str) -> None:
    value = bytes(range(256)) * 20_000
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, value)
        try:
            large = Large(redis_url, timeout_s=5)
            assert await large.read(KEY, len(value)) == value
            assert await large.read(KEY, len(value) - 1) == value[:-1]
            assert await large.read(KEY, len(value) + 1) == value
            assert await large.read(KEY + ":none", 100) == b""
            connected = [one for one in client.client_list() if one["cmd"] == "getrange"]
            assert connected == []
        finally:
            client.delete(KEY)


async def test_values_are_read_for_as_long_as_a_worker_lives(redis_url: str) -> None:
    """The library's pool makes a hundred connections and then no more."""
    large = Large(redis_url, timeout_s=5)
    for _ in range(102):
        assert await large.read(KEY, 10) == b""


async def test_a_value_is_read_over_tls(redis_url: str, tmp_path: Path) -> None:
    """Before a server that ends TLS for Redis, as clouds have it."""
    value, authority, address = bytes(range(256)) * 4_000, Authority(tmp_path), urlsplit(redis_url)

    async def carry(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            to.write(data)
            await to.drain()
        to.close()

    async def end_tls(client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(carry(client, onward), carry(there, back))

    server = await asyncio.start_server(end_tls, "127.0.0.1", 0, ssl=authority.server("127.0.0.1"))
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    url = f"rediss://{address.netloc.rpartition('@')[0]}@{host}{address.path}?ssl_ca_certs={authority.file}"
    with redis.Redis.from_url(redis_url) as client:
        client.set(KEY, value)
        try:
            assert await Large(url, timeout_s=5).read(KEY, len(value)) == value
            with pytest.raises(RedisConnectionError, match="certificate"):
                await Large(url.partition("?")[0], timeout_s=5).read(KEY, len(value))
        finally:
            client.delete(KEY)
            server.close()


async def test_a_value_that_is_no_string_is_an_error_of_redis(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.rpush(KEY, "a list")
        try:
            with pytest.raises(ResponseError, match="WRONGTYPE"):
                await Large(redis_url, timeout_s=5).read(KEY, 100)
        finally:
            client.delete(KEY)


async def test_a_password_that_is_wrong_is_an_error_of_redis(redis_url: str) -> None:
    address = redis_url.rpartition("@")[2].removeprefix("redis://")
    with pytest.raises(RedisError):
        await Large(f"redis://:wrong@{address}", timeout_s=5).read(KEY, 100)


async def test_nobody_there_is_an_error_of_redis() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(RedisError):
        await Large(f"redis://127.0.0.1:{port}/0", timeout_s=5).read(KEY, 100)


async def test_a_value_in_small_parts_is_one_value() -> None:
    assert await read(saying(b"$", b"1", b"0\r", b"\n", b"01234", b"56789", b"\r\n")) == b"0123456789"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"$10"],
        [b"$10\r\n012345678"],
        [b"$101\r\n" + bytes(101)],
        [b"$" + b"9" * 300 + b"\r\n"],
        [b"$" + b"9" * 3_000],
        [b"$-1\r\n"],
        [b"$\r\n"],
        ["$\u0661\r\n".encode()],
        [b":10\r\n0123456789"],
        [b"HTTP/1.1 400 Bad Request\r\n"],
        [b"\r\n"],
    ],
)
async def test_whatever_else_is_answered_is_an_error_and_never_more_memory(parts: list[bytes]) -> None:
    with pytest.raises(RedisConnectionError):
        await read(saying(*parts))


async def test_an_error_is_told_with_its_text() -> None:
    with pytest.raises(ResponseError, match="LOADING please wait"):
        await read(saying(b"-LOADING please wait\r\n"))


async def test_a_server_that_falls_silent_is_left() -> None:
    def falls_silent(client: socket.socket) -> None:
        client.sendall(b"$10\r\n01")
        assert client.recv(1) == b""  # until it is left

    with pytest.raises(TimeoutError):
        await read(falls_silent, timeout_s=0.2)


async def test_the_line_before_a_value_has_a_bound() -> None:
    longest = b"-" + b"x" * (HEADER_BYTES_MAX - 3) + b"\r\n"
    with pytest.raises(ResponseError, match=f"^x{{{HEADER_BYTES_MAX - 3}}}$"):
        await read(saying(longest))
    with pytest.raises(RedisConnectionError, match="no answer of Redis"):
        await read(saying(longest.replace(b"-", b"-x")))


async def test_a_value_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def drips(client: socket.socket) -> None:
        client.sendall(b"$1000000\r\n")
        with suppress(OSError):
            while True:
                client.sendall(b"x")

    monkeypatch.setattr("sidecar.tables.reading.READ_S_MAX", 0.05)
    with pytest.raises(TimeoutError, match=r"not read whole after 0\.05 s"):
        await read(drips, bytes_max=1_000_000_000)


@pytest.mark.parametrize("greets", [b"", b"+OK\r\n"], ids=["the greeting", "the length"])
async def test_what_comes_before_a_value_has_the_same_end(greets: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def falls_silent(client: socket.socket) -> None:
        client.sendall(b"$1")
        assert client.recv(1) == b""

    monkeypatch.setattr("sidecar.tables.reading.READ_S_MAX", 0.2)
    with answering(falls_silent, greets) as url, pytest.raises(TimeoutError, match="not read whole"):
        await Large(url, timeout_s=60).read(KEY, 100)


async def test_who_is_cancelled_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the thread is in no hurry."""
    begun, left = threading.Event(), threading.Event()

    def lingering(source: socket.socket, bytes_max: int) -> bytearray:
        try:
            return _bulk_string(source, bytes_max)
        finally:
            threading.Event().wait(0.05)

    monkeypatch.setattr("sidecar.tables.reading._bulk_string", lingering)

    def falls_silent(client: socket.socket) -> None:
        client.sendall(b"$10\r\n01")
        begun.set()
        assert client.recv(1) == b""
        left.set()

    told = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with answering(falls_silent) as url:
        reading = asyncio.create_task(Large(url, timeout_s=60).read(KEY, 100))
        assert await asyncio.to_thread(begun.wait, 5)
        reading.cancel()
        await asyncio.wait({reading})
        assert reading.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "the thread has ended before"
        assert await asyncio.to_thread(left.wait, 5)
    del reading
    gc.collect()
    assert told == [], "what the thread met is nobody's concern any more"


def test_who_is_left_by_both_ends_at_once_is_no_trouble() -> None:
    with socket.socket() as nobody_there:
        _Reading(SimpleNamespace(_sock=nobody_there)).leave()


async def test_who_is_cancelled_while_it_connects_asks_for_nothing(tmp_path: Path) -> None:
    """Twice, as an end does that takes too long: the thread is left behind, and goes no further than it must."""
    context, waited = Authority(tmp_path).server("127.0.0.1"), threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def ask() -> bytes:
            with closing(server.accept()[0]) as client:
                begun.set()
                assert waited.wait(5)
                with context.wrap_socket(client, server_side=True) as secured:
                    secured.settimeout(5)
                    return secured.recv(100)

        begun, url = threading.Event(), f"rediss://127.0.0.1:{server.getsockname()[1]}?ssl_cert_reqs=none"
        asked = asyncio.create_task(asyncio.to_thread(ask))
        reading = asyncio.create_task(Large(url, timeout_s=60).read(KEY, 100))
        assert await asyncio.to_thread(begun.wait, 5)
        while not reading.done():
            reading.cancel()
            await asyncio.wait({reading}, timeout=0.01)
        waited.set()
        assert await asked == b""

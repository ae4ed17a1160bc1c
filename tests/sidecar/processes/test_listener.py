"""The end of the wire where operators are, on real sockets; with whole generations it is in tests/end_to_end/test_proxy_restarts.py."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest
from aiohttp import web

from sidecar.processes import listener
from sidecar.processes.listener import Listener
from tests.sidecar.waiting import until
from tests.sidecar.wire import client


class Opened:
    """A listener whose application answers at once, or when it may."""

    def __init__(self) -> None:
        self.asked, self.may = asyncio.Event(), asyncio.Event()
        application = web.Application()
        application.add_routes([web.get("/", self._at_once), web.get("/later", self._later)])
        self.listener = Listener(application)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self.port = int(self.listening.getsockname()[1])

    async def _at_once(self, _request: web.Request) -> web.Response:
        return web.Response(text="here")

    async def _later(self, _request: web.Request) -> web.Response:
        self.asked.set()
        await self.may.wait()
        return web.Response(text="at last")

    async def here(self, count: int) -> None:
        """Wait until so many have been let in."""
        await until(lambda: len(self.listener._server.connections) == count)

    def closing(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.listener.close())


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    one = Opened()
    await one.listener.open(one.listening)
    yield one
    one.listener.hurry()
    await one.listener.close()


async def test_a_request_that_was_sent_is_answered_and_an_idle_connection_ends(opened: Opened) -> None:
    async with client(opened.port) as kept, client(opened.port) as new, client(opened.port) as idle:
        assert (await kept.get("/")).get(b"Connection") is None
        await opened.here(3)
        closing = opened.closing()
        await until(lambda: opened.listener.is_closing)
        for late in (kept, new):
            answer = await late.get("/")
            assert (answer.status, answer.body, answer.get(b"Connection")) == (200, b"here", b"close")
            assert await late.rest() == b""
        assert await idle.rest() == b""
        await asyncio.wait_for(closing, 5)
    assert not opened.listener.listens


async def test_an_answer_that_takes_its_time_is_waited_for(opened: Opened) -> None:
    async with client(opened.port) as operator:
        asking = asyncio.create_task(operator.get("/later"))
        await opened.asked.wait()
        closing = opened.closing()
        await until(lambda: opened.listener.is_closing)
        opened.may.set()
        answer = await asking
        assert (answer.body, answer.get(b"Connection")) == (b"at last", b"close")
        await asyncio.wait_for(closing, 5)


async def test_half_a_request_is_waited_for_beyond_the_moment_for_idle_ones(opened: Opened) -> None:
    async with client(opened.port) as slow, client(opened.port) as idle:
        await slow.send(b"GET / HTTP/1.1\r\n")
        await opened.here(2)
        await until(lambda: any(one._is_amid_a_head for one in connections(opened)))
        closing = opened.closing()
        assert await idle.rest() == b""
        await slow.send(b"Host: a\r\n\r\n")
        assert (await slow.answer()).body == b"here"
        await asyncio.wait_for(closing, 5)


def connections(opened: Opened) -> list[listener.Connection]:
    return [cast(listener.Connection, one) for one in opened.listener._server.connections]


async def test_what_is_not_there_is_said_with_the_end_too(opened: Opened) -> None:
    async with client(opened.port) as operator:
        await opened.here(1)
        closing = opened.closing()
        await until(lambda: opened.listener.is_closing)
        answer = await operator.get("/nothing")
        assert (answer.status, answer.get(b"Connection")) == (404, b"close")
        await asyncio.wait_for(closing, 5)


async def test_who_waits_in_the_queue_is_served_and_who_comes_later_is_for_the_other(opened: Opened) -> None:
    opened.listener._pause()
    with opened.listening.dup() as others:
        async with client(opened.port) as waiting:
            closing = opened.closing()
            await until(lambda: opened.listener.is_closing)
            assert (await waiting.get("/")).body == b"here"
            async with client(opened.port):
                accepted, _ = others.accept()
                accepted.close()
            await asyncio.wait_for(closing, 5)


async def test_who_insists_waits_for_nobody(opened: Opened) -> None:
    async with client(opened.port) as operator:
        asking = asyncio.create_task(operator.rest())
        await operator.send(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        await opened.asked.wait()
        closing = opened.closing()
        opened.listener.hurry()
        await asyncio.wait_for(closing, 5)
        assert await asking == b""


async def test_answers_in_progress_are_waited_for_so_long_and_no_longer(opened: Opened) -> None:
    async with client(opened.port) as operator:
        await operator.send(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        await opened.asked.wait()
        await asyncio.wait_for(opened.listener.close(within_s=0.05), 5)
        assert await operator.rest() == b""
    assert listener.ANSWER_S_MAX == 10


class Full:
    """A socket from which nothing can be taken for a while."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.full, self.tried = True, 0
        self.fileno, self.close = listening.fileno, listening.close

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        if self.full:
            raise OSError(errno.EMFILE, "too many")
        return self._listening.accept()


async def test_without_descriptors_it_waits_and_does_not_spin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listener, "RETRY_S", 0.05)
    one = Opened()
    full = Full(one.listening)
    await one.listener.open(cast(socket.socket, full))
    async with client(one.port) as operator:
        await until(lambda: full.tried == 3)
        full.full = False
        assert (await operator.get("/", "Connection: close")).body == b"here"
    assert full.tried < 10
    assert capsys.readouterr().out.count("EMFILE") == 3
    await one.listener.close()


async def test_one_that_was_never_opened_is_closed_in_peace() -> None:
    one = Opened()
    await one.listener.close()
    assert not one.listener.listens
    one.listening.close()

"""Who is waited for at an end, and for how long. What becomes of connections: test_connections.py, processes/test_listener.py."""

import asyncio
import socket
from typing import cast

import pytest

from sidecar.visitor import endings
from sidecar.visitor.endings import Considerate, emptied, speaks


class Room:
    """Somebody is here until `leaves`; idle ones are asked to end."""

    def __init__(self, leaves_when_asked: int = 0) -> None:
        self.is_here = True
        self.asked: list[float] = []
        self._leaves_when_asked = leaves_when_asked

    def somebody(self) -> bool:
        return self.is_here

    def end_idle(self) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        self.is_here = len(self.asked) != self._leaves_when_asked


async def test_where_nobody_is_nobody_is_waited_for() -> None:
    room = Room()
    room.is_here = False
    began = asyncio.get_running_loop().time()
    await emptied(room.somebody, room.end_idle, 60)
    assert (room.asked, asyncio.get_running_loop().time() - began < 1) == ([], True)


async def test_idle_ones_are_asked_after_a_moment_again_and_again() -> None:
    room, began = Room(leaves_when_asked=3), asyncio.get_running_loop().time()
    await emptied(room.somebody, room.end_idle, 60)
    assert len(room.asked) == 3
    assert room.asked[0] - began >= endings.IDLE_GRACE_S


@pytest.mark.parametrize("moment_s", [0.01, 60])
async def test_nobody_is_waited_for_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch, moment_s: float) -> None:
    monkeypatch.setattr(endings, "IDLE_GRACE_S", moment_s)
    room = Room()
    await asyncio.wait_for(emptied(room.somebody, room.end_idle, 0.1), 5)
    assert bool(room.asked) == (moment_s < 1)


class Wire:
    """A transport's socket, and no more of it."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._end


def test_bytes_that_nobody_has_read_count_as_asking_and_so_does_an_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = cast(asyncio.Transport, Wire(ours))
        assert not speaks(wire)
        theirs.send(b"G")
        assert speaks(wire)
        ours.recv(1)
        assert not speaks(wire)
        theirs.close()
        assert speaks(wire)
    assert not speaks(wire), "it is gone"


def test_who_ends_connections_has_to_know_what_is_amid_a_head() -> None:
    with pytest.raises(NotImplementedError):
        Considerate._is_amid_a_head.__get__(object())

"""Which socket a generation listens on; its life as a process is in tests/end_to_end/test_proxy_restarts.py."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from sidecar.processes import supervision
from sidecar.processes.door import BEAT, KILL, LEAVE, OFF, ON, OPERATORS, STOP, VISITORS
from sidecar.processes.listener import Listener
from sidecar.processes.supervision import Generation, listening_on, taken_or_opened
from sidecar.processes.supervisor import Supervisor
from sidecar.settings import SidecarSettings
from tests.sidecar.waiting import until


@pytest.mark.parametrize("written", ["127.0.0.1:0", ""], ids=["same address", "somebody else chose it"])
def test_a_socket_that_was_kept_is_taken(written: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as kept,
        taken_or_opened([written, os.dup(kept.fileno())], "127.0.0.1:0") as taken,
    ):
        assert taken.getsockname() == kept.getsockname()
        assert not taken.getblocking()


def test_one_that_does_not_listen_yet_listens_and_where_there_is_none_one_is_opened() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        for kept in (["", os.dup(bound.fileno())], None):
            with taken_or_opened(kept, "127.0.0.1:0") as taken:
                assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
                assert (taken.getsockname() == bound.getsockname()) is (kept is not None)


def test_for_another_address_another_socket_is_opened_and_the_kept_one_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as kept:
        descriptor = os.dup(kept.fileno())
        with taken_or_opened(["127.0.0.1:1", descriptor], "127.0.0.1:0") as opened:
            assert opened.getsockname() != kept.getsockname()
            assert opened.fileno() == descriptor or not os.path.exists(f"/proc/self/fd/{descriptor}")  # noqa: PTH110


def test_a_port_that_is_taken_is_said_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=rf"can't listen on {address}: Address already in use"):
            listening_on(address)


async def test_a_door_that_ended_before_it_heard_everything_has_ended() -> None:
    """What it had not read makes its end a reset (unix(7)): nobody may be left behind."""
    settings = SidecarSettings(upstream="http://127.0.0.1:1", workers=1)
    ours, theirs = socket.socketpair()
    with ours, socket.socket() as visitors, socket.socket() as operators:
        generation = Generation(settings, visitors, operators, ours, switched_off=False, lost={})
        ours.send(BEAT)
        theirs.close()
        await generation._listen()
        assert generation._told.is_set()


# ---- its life, with workers that are only said to be there


class Staff:
    """A supervisor that a test speaks for; what it was asked for is kept in order."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.up, self.down, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.ended.set()
        self.listened_at_stop: bool | None = None
        self.listener: Listener | None = None

    def start(self) -> None:
        self.asked.append("start")

    async def first_started(self) -> None:
        await self.up.wait()

    async def first_failed(self) -> None:
        await self.down.wait()

    def switch(self, *, off: bool) -> None:
        self.asked.append(("off", off))

    def kill(self) -> None:
        self.asked.append("kill")

    async def stop(self, *, unready_s: float) -> None:
        assert self.listener is not None
        self.listened_at_stop = self.listener.listens
        self.asked.append(("stop", unready_s))
        await self.ended.wait()


UNREADY_S = 7.0


class Lived:
    """A generation from its start on, with the door's end of its wire."""

    def __init__(self, *, successor: bool) -> None:
        settings = SidecarSettings(upstream="http://127.0.0.1:1", workers=1, unready_s=UNREADY_S)
        self.door, theirs = socket.socketpair()
        self.door.setblocking(False)
        self.sockets = [listening_on("127.0.0.1:0") for _ in range(2)]
        visitors, operators = self.sockets
        self.generation = Generation(settings, visitors, operators, theirs, switched_off=False, lost={})
        self.staff = Staff()
        self.generation._supervisor = cast(Supervisor, self.staff)
        self.staff.listener = self.generation._listener
        self.life = asyncio.create_task(self.generation.run(successor=successor))
        self.theirs = theirs
        self.heard = b""
        self.given: list[socket.socket] = []

    @property
    def listens(self) -> bool:
        return self.generation._listener.listens

    def said(self) -> bytes:
        """What it has said so far, without its beats; sockets that it gave are in `given`."""
        with contextlib.suppress(BlockingIOError):
            said, descriptors, *_ = socket.recv_fds(self.door, 65536, 8)
            self.given += [socket.socket(fileno=descriptor) for descriptor in descriptors]
            self.heard += said.strip(BEAT)
        return self.heard

    async def end(self) -> int:
        return await asyncio.wait_for(self.life, 30)

    def close(self) -> None:
        for one in (self.door, self.theirs, *self.sockets, *self.given):
            one.close()


@pytest.fixture
async def lived() -> AsyncIterator[Callable[..., Lived]]:
    made: list[Lived] = []

    def make(*, successor: bool = False) -> Lived:
        made.append(Lived(successor=successor))
        return made[-1]

    yield make
    left = set[asyncio.Task[object]]()
    if all(one.life.done() for one in made):
        for _ in range(20):
            await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    for task in (*left, *(one.life for one in made)):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for one in made:
        one.close()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert not left, "nobody waits for what is over"


@pytest.mark.parametrize("successor", [False, True])
async def test_it_says_that_it_is_up_when_all_workers_are(lived: Callable[..., Lived], successor: bool) -> None:
    one = lived(successor=successor)
    await until(lambda: one.staff.asked == ["start"])
    if successor:
        assert not one.listens, "operators are the present one's until then"
    else:
        one.staff.down.set()
        await until(lambda: one.listens)
    assert one.said() == b""
    one.staff.up.set()
    await until(lambda: bool(one.said()))
    assert list(json.loads(one.heard)) == [VISITORS, OPERATORS]
    assert [given.getsockname() for given in one.given] == [own.getsockname() for own in one.sockets]
    assert one.listens
    one.door.send(STOP)
    assert (await one.end(), one.staff.asked, one.staff.listened_at_stop) == (0, ["start", ("stop", UNREADY_S)], True)
    assert not one.listens


async def test_a_successor_whose_worker_fails_gives_up_at_once(lived: Callable[..., Lived]) -> None:
    one = lived(successor=True)
    one.staff.down.set()
    assert (await one.end(), one.staff.asked, one.said()) == (3, ["start", ("stop", 0.0)], b"")


async def test_a_successor_that_serves_with_all_its_workers_forgives_one_that_failed_before(
    lived: Callable[..., Lived],
) -> None:
    one = lived(successor=True)
    one.staff.down.set()
    one.staff.up.set()
    await until(lambda: bool(one.said()))
    one.door.send(STOP)
    assert await one.end() == 0


async def test_a_successor_that_is_told_to_stop_has_not_failed(
    lived: Callable[..., Lived], capsys: pytest.CaptureFixture[str]
) -> None:
    one = lived(successor=True)
    one.door.send(STOP)
    one.door.shutdown(socket.SHUT_WR)
    assert (await one.end(), one.staff.asked, one.said()) == (0, ["start", ("stop", UNREADY_S)], b"")
    assert "door_gone" not in capsys.readouterr().out, "who has said what it wants may go"


async def test_who_is_followed_by_another_lets_go_of_operators_and_says_nothing(lived: Callable[..., Lived]) -> None:
    one = lived()
    one.staff.up.set()
    await until(lambda: one.listens)
    one.staff.ended.clear()
    one.door.send(LEAVE + STOP)
    await until(lambda: len(one.staff.asked) == 2)
    one.staff.ended.set()
    assert (await one.end(), one.staff.asked[1], one.staff.listened_at_stop) == (0, ("stop", 0.0), False)


async def test_it_does_what_the_door_says(lived: Callable[..., Lived]) -> None:
    one = lived()
    one.door.send(OFF + ON)
    await until(lambda: one.staff.asked == ["start", ("off", True), ("off", False)])
    assert not one.life.done()
    one.door.send(KILL)
    assert (await one.end(), one.staff.asked[3:]) == (0, ["kill", ("stop", UNREADY_S)])
    assert one.said() == b"", "it was never up"


@pytest.mark.parametrize("way", ["door", "SIGTERM"])
async def test_it_ends_without_its_door_and_by_a_signal_to_all(
    lived: Callable[..., Lived], way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # as the door does, until somebody hears it
    one = lived()
    one.staff.up.set()
    await until(lambda: bool(one.said()))
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if way == "door":
        one.door.close()
    else:
        signal.raise_signal(signal.SIGTERM)
    assert (await one.end(), one.staff.asked[1:]) == (0, [("stop", UNREADY_S)])
    assert capsys.readouterr().out.count("door_gone") == (way == "door")


async def test_a_door_that_ends_at_the_moment_at_which_it_would_be_told_changes_nothing(
    lived: Callable[..., Lived],
) -> None:
    one = lived()
    await until(lambda: one.listens)
    one.door.close()
    one.staff.up.set()
    one.generation._say_ready()
    assert (await one.end(), one.staff.asked[1:]) == (0, [("stop", UNREADY_S)])


async def test_its_beat_goes_on_while_the_door_takes_nothing(
    lived: Callable[..., Lived], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "BEAT_S", 0.0001)
    one = lived()
    one.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    full = asyncio.get_running_loop().create_future()
    beating = one.generation._door.send

    def send(said: bytes, flags: int) -> int:
        try:
            return beating(said, flags)
        except BlockingIOError:
            if not full.done():
                full.set_result(None)
            raise

    one.generation._door = cast(socket.socket, Tapped(one.theirs, send))
    await asyncio.wait_for(full, 30)
    one.door.recv(65536)
    heard = b""
    while not heard:
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            heard = one.door.recv(65536)
    assert set(heard) == set(BEAT)


class Tapped:
    """A socket whose sending a test hears."""

    def __init__(self, wire: socket.socket, send: Callable[[bytes, int], int]) -> None:
        self.dup, self.send = wire.dup, send


def test_an_address_is_told_as_it_is_written() -> None:
    for listen in ("127.0.0.1:0", "[::1]:0"):
        with listening_on(listen) as listening:
            host = listen.rpartition(":")[0]
            assert supervision._name(listening) == f"{host}:{listening.getsockname()[1]}"
            assert not listening.getblocking()
            assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1, (
                "whatever the one before left open"
            )


def test_a_door_says_what_was_before_or_nothing() -> None:
    nothing = {"door_fd": 7, "sockets": "{}", "successor": False, "switched_off": False, "lost": "{}"}
    assert vars(supervision._options(["--door-fd", "7"])) == nothing
    said = ["--sockets", "{1}", "--successor", "--switched-off", "--lost", "{2}"]
    all_of_it = {"door_fd": 7, "sockets": "{1}", "successor": True, "switched_off": True, "lost": "{2}"}
    assert vars(supervision._options(["--door-fd", "7", *said])) == all_of_it
    with pytest.raises(SystemExit):
        supervision._options([])

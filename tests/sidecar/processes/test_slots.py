"""When a worker is too large, and how one process is told to end; workers that come and go are in test_places.py."""

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from structlog.testing import capture_logs

from sidecar.processes import slots
from sidecar.processes.control import REPLACE, Asker, Channel, Question
from sidecar.processes.knowledge import Knowledge
from sidecar.processes.slots import GROWN_S_MIN, HARD_SHARE, Slot, Worker
from sidecar.rewriting.last_words import LastWords
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from sidecar.settings import SidecarSettings

SETTINGS = SidecarSettings(
    upstream="http://127.0.0.1:1", worker_bytes_max=1000, memo_bytes_max=200, skeleton_bytes_max=100
)
CEILING = 1300


class Process:
    def __init__(self, pid: int) -> None:
        self.pid = pid


class Standing:
    """A worker that is only said to be there, for so long."""

    def __init__(self, age_s: float) -> None:
        self.process = Process(1)
        self.started_s = asyncio.get_running_loop().time() - age_s
        self.memory_bytes = 0
        self.killed = False

    def kill(self) -> None:
        self.killed = True


def weighed(listening: socket.socket, worker: Standing, held: int, settings: SidecarSettings = SETTINGS) -> Slot:
    """A place whose worker holds so much, after that was looked at."""
    slot = Slot(0, settings, listening, held=lambda _pid: held)
    slot._worker = cast(Worker, worker)
    slot._weigh(slot._worker)
    return slot


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


@pytest.mark.parametrize(
    ("held", "age_s", "told"),
    [
        (CEILING, GROWN_S_MIN + 1, []),
        (CEILING + 1, GROWN_S_MIN - 1, []),
        (CEILING + 1, GROWN_S_MIN + 1, ["worker_large"]),
        (int(CEILING * HARD_SHARE), 0.0, []),
        (int(CEILING * HARD_SHARE) + 1, 0.0, ["worker_too_large"]),
    ],
    ids=["within", "large but young", "large", "nearly too large", "far too large"],
)
async def test_what_becomes_of_a_worker_by_its_size_and_age(
    listening: socket.socket, held: int, age_s: float, told: list[str]
) -> None:
    worker, replaced, killed = Standing(age_s), "worker_large" in told, "worker_too_large" in told
    with capture_logs() as lines:
        slot = weighed(listening, worker, held)
    assert [line["event"] for line in lines] == told
    assert (slot._replace.is_set(), worker.killed, slot.memory_bytes) == (replaced, killed, held)
    assert slot.replacements["memory_hard"] == killed


async def test_who_is_replaced_already_is_not_replaced_for_its_size(listening: socket.socket) -> None:
    slot = Slot(0, SETTINGS, listening, held=lambda _: CEILING + 1)
    slot._worker = cast(Worker, Standing(1000.0))
    slot.replace("asked")
    slot._weigh(slot._worker)
    assert slot._why == "asked"


@pytest.mark.parametrize("cancelled", [True, False])
async def test_whose_end_nobody_saw_teaches_nothing(listening: socket.socket, cancelled: bool) -> None:
    """All ends before it does, or waiting for it fails."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    worker = SimpleNamespace(ended=ended, last_words=LastWords.new(), is_hung=False)
    ended.cancel() if cancelled else ended.set_exception(OSError("no child"))
    watching, knowledge = asyncio.create_task(asyncio.Event().wait()), Knowledge(None)
    slot = Slot(0, SETTINGS, listening, lambda *_: pytest.fail("it learned"), knowledge=knowledge)
    slot._ended(cast(Any, worker), cast(Any, watching))
    assert worker.last_words._place.closed
    await asyncio.wait((watching,))
    assert watching.cancelled()


@pytest.mark.parametrize("held", [CEILING + 1, 10 * CEILING])
@pytest.mark.parametrize("way", ["all stop", "it retires"])
async def test_who_is_about_to_end_is_neither_replaced_nor_killed(
    listening: socket.socket, way: str, held: int
) -> None:
    worker, slot = Standing(1000.0), Slot(0, SETTINGS, listening, held=lambda _: held)
    if way == "all stop":
        slot._worker = cast(Worker, worker)
        slot._stop.set()
    slot._weigh(cast(Worker, worker))
    assert (slot._replace.is_set(), worker.killed, worker.memory_bytes) == (False, False, held)


async def test_without_a_ceiling_it_is_only_told(listening: socket.socket) -> None:
    worker = Standing(1000.0)
    slot = weighed(listening, worker, 10**12, msgspec.structs.replace(SETTINGS, worker_bytes_max=0))
    assert (slot._replace.is_set(), worker.killed, slot.memory_bytes) == (False, False, 10**12)


async def test_a_worker_may_ask_for_its_successor(listening: socket.socket) -> None:
    heard: list[Any] = []
    knowledge = Knowledge(None)
    slot = Slot(0, SETTINGS, listening, lambda _, held: heard.append(held), knowledge=knowledge)
    held = Held((HeldMutation("headline", 3, Why.DIFFERS, 1, 600.0),))
    slot._news(msgspec.to_builtins(held))
    assert not slot._replace.is_set()
    assert [one.mutation_id for one in knowledge.held().mutations] == ["headline"], "all places learn into the same"
    slot._news(REPLACE)
    assert (slot._replace.is_set(), heard) == (True, [held])


def test_a_hung_worker_is_noticed_within_the_time_that_the_documents_say() -> None:
    assert slots.PING_EVERY_S + slots.PING_PATIENCE_S == 6.0


class Answering:
    """A worker that answers only when it is asked for the second time, and an asker that was away meanwhile."""

    def __init__(self, away_s: float) -> None:
        self.asker = self
        self.asked = 0
        self._away_s = away_s

    async def ask(self, _: str, within_s: float) -> str:
        self.asked += 1
        if self.asked == 1:
            async with asyncio.timeout(within_s):
                threading.Event().wait(self._away_s)  # the whole process stands still
                await asyncio.Event().wait()
        return "pong"


@pytest.mark.parametrize(("away_s", "late_s", "asked"), [(0.0, 60.0, 1), (0.1, 0.05, 2)], ids=["here", "away"])
async def test_who_stood_still_itself_does_not_take_a_worker_for_hung(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, away_s: float, late_s: float, asked: int
) -> None:
    monkeypatch.setattr(slots, "PING_PATIENCE_S", 0.01)
    monkeypatch.setattr(slots, "AWAY_S", late_s)
    worker = Answering(away_s)
    with nullcontext() if away_s else pytest.raises(TimeoutError):
        await Slot(0, SETTINGS, listening)._hear(cast(Worker, worker))
    assert worker.asked == asked


# ---- one process


class Running:
    """A process that ends when it is killed, or when the test says so."""

    pid = 1

    def __init__(self) -> None:
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.signals: list[int] = []

    async def wait(self) -> int:
        return await self.over

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if self.over.done():
            raise ProcessLookupError
        self.over.set_result(-number)


async def worker_of(process: Running) -> tuple[Worker, Channel]:
    ours, theirs = [await Channel.over(end) for end in socket.socketpair()]
    return Worker(cast(Any, process), Asker(ours), LastWords.new()), theirs


async def test_where_there_can_be_no_process_nothing_stays_open(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    with pytest.raises(FileNotFoundError):
        await Worker.start(0, listening, off=False, on_news=lambda _: None)
    assert len(list(open_files.iterdir())) == before


@pytest.mark.parametrize("off", [True, False])
async def test_a_process_is_told_its_place_its_sockets_and_what_is_off(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, off: bool
) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\ncd "$(dirname "$0")"\necho "$@" > said\nls /proc/$$/fd > open\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    worker = await Worker.start(2, listening, off=off, on_news=lambda _: None)
    assert await asyncio.wait_for(asyncio.shield(worker.ended), 30) == 0
    worker.last_words.close()
    *said, wire = (tmp_path / "said").read_text().split()
    words = ["--words-fd", said[7]]
    expected = ["-m", "sidecar.processes.workers", "--number", "2", "--listen-fd", str(listening.fileno()), *words]
    assert said == [*expected, *(["--switched-off"] if off else []), "--control-fd"]
    assert {str(listening.fileno()), said[7], wire} <= set((tmp_path / "open").read_text().split())


async def test_who_retires_is_told_and_killed_when_that_takes_too_long() -> None:
    for late in (False, True):
        process = Running()
        worker, theirs = await worker_of(process)
        assert (worker.is_hung, worker.memory_bytes) == (False, 0)
        assert asyncio.get_running_loop().time() - worker.started_s < 60
        retiring = asyncio.create_task(worker.retire(0.01 if late else 60))
        said = msgspec.msgpack.decode(await theirs.receive() or b"", type=Question)
        assert said.ask == "stop"
        if not late:
            process.over.set_result(0)
        with capture_logs() as lines:
            await asyncio.wait_for(retiring, 30)
        assert (process.signals, worker.ended.result()) == (([9], -9) if late else ([], 0))
        assert [line["event"] for line in lines] == (["workers_killed"] if late else [])
        assert await theirs.receive() is None, "the wire is closed"
        worker.kill()
        await asyncio.wait_for(worker.retire(60), 30)
        worker.last_words.close()
        theirs.close()

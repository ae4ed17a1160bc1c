"""When a worker is too large, and what a place says; its life with real processes is in tests/end_to_end."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, cast

import msgspec
import pytest

from sidecar.processes import slots
from sidecar.processes.control import REPLACE
from sidecar.processes.slots import GROWN_S_MIN, HARD_SHARE, Slot, Worker
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
    ("held", "age_s", "replaced", "killed"),
    [
        (CEILING, GROWN_S_MIN + 1, False, False),
        (CEILING + 1, GROWN_S_MIN - 1, False, False),
        (CEILING + 1, GROWN_S_MIN + 1, True, False),
        (int(CEILING * HARD_SHARE) + 1, 0.0, False, True),
    ],
    ids=["within", "large but young", "large", "far too large"],
)
async def test_what_becomes_of_a_worker_by_its_size_and_age(
    listening: socket.socket, held: int, age_s: float, replaced: bool, killed: bool
) -> None:
    worker = Standing(age_s)
    slot = weighed(listening, worker, held)
    assert (slot._replace.is_set(), worker.killed, slot.memory_bytes) == (replaced, killed, held)
    assert slot.replacements["memory_hard"] == killed


async def test_without_a_ceiling_it_is_only_told(listening: socket.socket) -> None:
    worker = Standing(1000.0)
    slot = weighed(listening, worker, 10**12, msgspec.structs.replace(SETTINGS, worker_bytes_max=0))
    assert (slot._replace.is_set(), worker.killed, slot.memory_bytes) == (False, False, 10**12)


async def test_a_worker_may_ask_for_its_successor(listening: socket.socket) -> None:
    heard: list[Any] = []
    slot = Slot(0, SETTINGS, listening, lambda _, held: heard.append(held))
    held = Held((HeldMutation("headline", 3, Why.DIFFERS, 1, 600.0),))
    slot._news(msgspec.to_builtins(held))
    assert not slot._replace.is_set()
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

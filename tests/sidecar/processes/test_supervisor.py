"""The supervisor's small parts; its life with real processes is in tests/end_to_end/test_proxy_processes.py."""

import asyncio
import re
import socket
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from sidecar.processes import supervisor as module
from sidecar.processes.control import Asker, Channel, Question
from sidecar.processes.slots import MEMORY_ENVIRONMENT, Slot, Worker, worker_environment
from sidecar.processes.supervisor import Supervisor
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from sidecar.settings import SidecarSettings
from tests.sidecar.waiting import until


class Standing:
    """A worker as far as it can be told something."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker


SETTINGS = SidecarSettings(upstream="http://127.0.0.1:1", workers=2)


def test_a_workers_environment_says_how_to_handle_memory_unless_somebody_did() -> None:
    assert worker_environment({"A": "b"}) == {"A": "b", **MEMORY_ENVIRONMENT}
    assert worker_environment({"MALLOC_TOP_PAD_": "1"})["MALLOC_TOP_PAD_"] == "1"
    assert all(int(value) % 2**20 == 0 for value in MEMORY_ENVIRONMENT.values()), "whole MiB, as mallopt(3) reads them"


async def test_an_empty_place_serves_nobody_and_answers_nothing() -> None:
    with socket.socket() as listening:
        slot = Slot(0, SETTINGS, listening)
        assert (slot.pid, slot.serves, await slot.ask("status")) == (None, False, None)
        slot.stop()
        await slot.keep()
        slot.kill()


async def test_there_is_a_place_for_each_worker() -> None:
    with socket.socket() as listening:
        supervisor = Supervisor(SETTINGS, listening)
        assert [slot.number for slot in supervisor.slots] == [0, 1]
        assert [slot._knowledge for slot in supervisor.slots] == [supervisor.knowledge] * 2


async def test_what_one_worker_holds_is_told_to_all_others() -> None:
    with socket.socket() as listening:
        slots = Supervisor(SETTINGS, listening).slots
        channels = []
        for slot in slots:
            ours, theirs = socket.socketpair()
            slot._worker = cast(Worker, Standing(Asker(await Channel.over(ours))))
            channels.append(await Channel.over(theirs))
        held = Held((HeldMutation("headline", 3, Why.DIFFERS, 1, 600.0),))
        slots[0]._news(msgspec.to_builtins(held))
        question = msgspec.msgpack.decode(await channels[1].receive() or b"", type=Question)
        assert (question.number, question.ask) == (0, "hold")
        assert msgspec.convert(question.arguments["held"], Held) == held
        for slot in slots:
            slot.tell("stop")
        assert msgspec.msgpack.decode(await channels[0].receive() or b"", type=Question).ask == "stop"
        for slot, channel in zip(slots, channels, strict=True):
            assert slot._worker is not None
            slot._worker.asker.close()
            channel.close()


async def test_a_signal_is_told_to_every_worker_and_kept_for_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as listening:
        supervisor = Supervisor(SETTINGS, listening)
        ours, theirs = socket.socketpair()
        asker = Asker(await Channel.over(ours))
        supervisor.slots[0]._worker = cast(Worker, Standing(asker))
        channel = await Channel.over(theirs)
        assert [slot.switched_off for slot in supervisor.slots] == [False, False]
        for off in (True, False):
            supervisor.switch(off=off)
            question = msgspec.msgpack.decode(await channel.receive() or b"", type=Question)
            assert question == Question(0, "switch", {"off": off})
            assert [slot.switched_off for slot in supervisor.slots] == [off, off]
        asker.close()
        channel.close()
    said = capsys.readouterr().out
    assert re.findall("signal_switches_(on|off)", said) == ["off", "on"]


# ---- how all stop


class Place:
    """A place that ends when the test says so, or when it is killed."""

    def __init__(self) -> None:
        self.first_start, self.first_failure, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.told: list[str] = []

    async def keep(self) -> None:
        self.told.append("keep")
        await self.over.wait()
        for _ in range(100):
            await asyncio.sleep(0)  # the last of a worker takes its time too

    def stop(self) -> None:
        self.told.append("stop")

    def kill(self) -> None:
        self.told.append("kill")
        self.over.set()


def staffed(listening: socket.socket, folder: str = "") -> tuple[Supervisor, list[Place]]:
    supervisor, places = Supervisor(replace(SETTINGS, snapshot_dir=folder), listening), [Place(), Place()]
    supervisor.slots = cast(list[Slot], places)
    return supervisor, places


def _count_left(supervisor: Supervisor, left: list[int]) -> None:
    left.append(sum(not keeper.done() for keeper in supervisor._keepers))


async def test_all_drain_at_the_same_time_after_it_said_that_it_leaves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        supervisor, places = staffed(listening)
        supervisor.start()
        stopping = asyncio.create_task(supervisor.stop(unready_s=0.02))
        await until(lambda: supervisor.leaving)
        assert ([place.told for place in places], listening.fileno() >= 0) == ([["keep"]] * 2, True)
        await until(lambda: listening.fileno() < 0)
        assert [place.told for place in places] == [["keep", "stop"]] * 2
        places[0].over.set()
        await asyncio.sleep(0)
        assert not stopping.done()
        places[1].over.set()
        await asyncio.wait_for(stopping, 30)
        assert [place.told for place in places] == [["keep", "stop"]] * 2


async def test_who_takes_too_long_is_killed_and_nobody_waits_where_somebody_insists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for insists in (False, True):
        monkeypatch.setattr(module, "KILL_MARGIN_S", 60.0 if insists else 0.01 - SETTINGS.drain_s)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            supervisor, places = staffed(listening)
            left = list[int]()
            settling = partial(_count_left, supervisor, left)
            monkeypatch.setattr(supervisor.knowledge, "settle", settling)
            supervisor.start()
            stopping = asyncio.create_task(supervisor.stop(unready_s=3600 if insists else 0))
            await until(lambda: supervisor.leaving)  # noqa: B023 - awaited here
            if insists:
                supervisor.kill()
            with capture_logs() as lines:
                await asyncio.wait_for(stopping, 30)
        assert all("kill" in place.told for place in places)
        assert left == [0], "what they taught is kept when the last one has ended"
        assert [(line["event"], line["count"]) for line in lines] == ([] if insists else [("workers_killed", 2)])


async def test_what_was_kept_is_known_before_the_first_worker_and_the_disk_has_it_after_the_last(
    tmp_path: Path,
) -> None:
    held = Held((HeldMutation("headline", 3, Why.DIFFERS, 1, 600.0),))
    for known in ((), ("headline",)):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            supervisor, places = staffed(listening, str(tmp_path))
            supervisor.start()
            assert tuple(one.mutation_id for one in supervisor.knowledge.held().mutations) == known
            supervisor.knowledge.learn(msgspec.to_builtins(held))
            for place in places:
                place.over.set()
            await supervisor.stop()
            assert (tmp_path / "quarantine").is_file()


async def test_all_must_have_served_and_one_that_fails_is_enough() -> None:
    with socket.socket() as listening:
        supervisor, places = staffed(listening)
        started, failed = (asyncio.create_task(one) for one in (supervisor.first_started(), supervisor.first_failed()))
        places[0].first_start.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not started.done()
        places[1].first_start.set()
        await asyncio.wait_for(started, 30)
        assert not failed.done()
        places[1].first_failure.set()
        await asyncio.wait_for(failed, 30)
        assert [one for one in asyncio.all_tasks() if one is not asyncio.current_task() and not one.cancelling()] == []


def test_what_is_known_of_those_before_is_kept() -> None:
    with socket.socket() as listening:
        supervisor = Supervisor(SETTINGS, listening, switched_off=True, lost={"hung": 2})
        assert supervisor.lost == {"ended": 0, "hung": 2}
        assert [slot.switched_off for slot in supervisor.slots] == [True, True]

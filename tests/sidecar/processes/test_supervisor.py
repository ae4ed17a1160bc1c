"""The supervisor's small parts; its life with real processes is in tests/end_to_end/test_proxy_processes.py."""

import socket
from typing import cast

import msgspec
import pytest

from sidecar.processes.control import Asker, Channel, Question
from sidecar.processes.slots import MEMORY_ENVIRONMENT, Slot, Worker, worker_environment
from sidecar.processes.supervisor import Supervisor
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from sidecar.settings import SidecarSettings


class Standing:
    """A worker as far as it can be told something."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker


SETTINGS = SidecarSettings(upstream="http://127.0.0.1:1", workers=2)


def test_a_workers_environment_says_how_to_handle_memory_unless_somebody_did() -> None:
    assert worker_environment({"A": "b"}) == {"A": "b", **MEMORY_ENVIRONMENT}
    assert worker_environment({"MALLOC_TOP_PAD_": "1"})["MALLOC_TOP_PAD_"] == "1"


async def test_an_empty_place_serves_nobody_and_answers_nothing() -> None:
    with socket.socket() as listening:
        slot = Slot(0, SETTINGS, listening)
        assert (slot.pid, slot.serves, await slot.ask("status")) == (None, False, None)
        slot.stop()
        await slot.keep()
        slot.kill()


async def test_there_is_a_place_for_each_worker() -> None:
    with socket.socket() as listening:
        assert [slot.number for slot in Supervisor(SETTINGS, listening).slots] == [0, 1]


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
        for off in (True, False):
            supervisor.switch(off=off)
            question = msgspec.msgpack.decode(await channel.receive() or b"", type=Question)
            assert question == Question(0, "switch", {"off": off})
            assert [slot.switched_off for slot in supervisor.slots] == [off, off]
        asker.close()
        channel.close()
    said = capsys.readouterr().out
    assert (said.count("signal_switches_off"), said.count("signal_switches_on")) == (1, 1)

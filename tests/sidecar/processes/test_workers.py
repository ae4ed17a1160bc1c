"""A worker's answers on the control channel; its life as a process is in tests/end_to_end/test_proxy_processes.py."""

import asyncio
import socket

import msgspec
import pytest
from structlog.testing import capture_logs

from sidecar.processes.control import NEWS, Answer, Channel, Question
from sidecar.processes.workers import _announce, _answer, _said
from sidecar.rewriting.quarantine import Held, HeldMutation, Why
from tests.sidecar.wire import headline, serving, table


async def test_what_a_worker_can_be_asked() -> None:
    async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
        said = {ask: _said(sidecar.application, Question(1, ask)) for ask in ("ping", "status", "metrics", "mutations")}
        explained = _said(sidecar.application, Question(1, "explain", {"url": "https://a/", "attributes": {}}))
        with pytest.raises(ValueError, match="unknown question"):
            _said(sidecar.application, Question(1, "other"))
    assert said["ping"] == "pong"
    assert said["status"]["table"]["version"] == 7
    assert {family.name for family in said["metrics"]} >= {"layout_mutation_responses", "layout_mutation_table_version"}
    assert [mutation["id"] for mutation in said["mutations"]] == explained["applies"] == ["headline"]


async def test_what_one_worker_holds_the_others_hold_too() -> None:
    """The supervisor carries it: `tests/sidecar/test_supervisor.py`."""
    ours, theirs = [await Channel.over(end) for end in socket.socketpair()]
    held = Held((HeldMutation("headline", 1, Why.DIFFERS, 1, 600.0),))
    _announce(theirs, held)
    news = msgspec.msgpack.decode(await ours.receive() or b"", type=Answer)
    assert (news.number, msgspec.convert(news.value, Held)) == (NEWS, held)
    async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
        stop = asyncio.Event()
        answering = asyncio.create_task(_answer(theirs, sidecar.application, stop))
        ours.send(Question(0, "hold", {"held": held}))
        ours.send(Question(1, "mutations"))
        said = msgspec.msgpack.decode(await ours.receive() or b"", type=Answer)
        assert (said.number, [mutation["quarantined"] for mutation in said.value]) == (1, [True])
        ours.close()
        await asyncio.wait_for(answering, 5)
        theirs.close()


async def test_a_worker_outlives_a_question_that_is_too_much_for_it() -> None:
    """It would be taken for one that hangs, and the next worker be asked."""
    ours, theirs = [await Channel.over(end) for end in socket.socketpair()]
    async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
        answering = asyncio.create_task(_answer(theirs, sidecar.application, asyncio.Event()))
        for question in (Question(1, "explain", {"url": "http://[", "attributes": {}}), Question(2, "other")):
            ours.send(question)
            ours.send(Question(9, "ping"))
            said = [msgspec.msgpack.decode(await _received(ours), type=Answer) for _ in range(2)]
            assert [(answer.number, answer.value) for answer in said] == [(question.number, None), (9, "pong")]
        ours.close()
        await asyncio.wait_for(answering, 5)
        theirs.close()


async def test_a_worker_outlives_what_it_is_told_and_can_not_do() -> None:
    ours, theirs = [await Channel.over(end) for end in socket.socketpair()]
    async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
        answering = asyncio.create_task(_answer(theirs, sidecar.application, asyncio.Event()))
        for told in (
            Question(0, "hold", {"held": 5}),
            Question(0, "hold"),
            Question(0, "switch"),
            Question(0, "other"),
        ):
            ours.send(told)
            ours.send(Question(9, "ping"))
            said = msgspec.msgpack.decode(await _received(ours), type=Answer)
            assert (said.number, said.value) == (9, "pong"), "what is only told has no answer"
        ours.close()
        await asyncio.wait_for(answering, 5)
        theirs.close()


async def test_who_is_told_to_stop_answers_on_and_who_is_left_alone_stops() -> None:
    for told in (True, False):
        ours, theirs = [await Channel.over(end) for end in socket.socketpair()]
        async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
            stop = asyncio.Event()
            answering = asyncio.create_task(_answer(theirs, sidecar.application, stop))
            if told:
                ours.send(Question(0, "stop"))
                await asyncio.wait_for(stop.wait(), 5)
            ours.send(Question(1, "ping"))
            assert msgspec.msgpack.decode(await _received(ours), type=Answer).value == "pong"
            assert stop.is_set() == told
            with capture_logs() as lines:
                ours.close()
                await asyncio.wait_for(answering, 5)
            assert (stop.is_set(), [line["event"] for line in lines]) == (True, [] if told else ["supervisor_gone"])
            theirs.close()


async def _received(channel: Channel) -> bytes:
    return await asyncio.wait_for(channel.receive(), 5) or b""


async def test_a_worker_is_told_that_everything_is_off() -> None:
    ours, theirs = [await Channel.over(end) for end in socket.socketpair()]
    async with serving("http://127.0.0.1:1", tables=table(headline())) as sidecar:
        answering = asyncio.create_task(_answer(theirs, sidecar.application, asyncio.Event()))
        for off in (True, False):
            ours.send(Question(0, "switch", {"off": off}))
            ours.send(Question(1, "status"))
            said = msgspec.msgpack.decode(await ours.receive() or b"", type=Answer)
            assert said.value["switchedOff"] == (["signal"] if off else [])
        ours.close()
        await asyncio.wait_for(answering, 5)
        theirs.close()

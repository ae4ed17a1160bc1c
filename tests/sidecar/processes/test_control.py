"""The control channel: questions, answers, and the silence of an end that is gone."""

import asyncio
import socket

import msgspec
import pytest

from sidecar.processes.control import FRAME_BYTES_MAX, NEWS, Answer, Asker, Channel, Question


async def channels() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair()
    return await Channel.over(ours), await Channel.over(theirs)


async def test_answers_find_who_asked() -> None:
    ours, theirs = await channels()
    asker = Asker(ours)
    running = asyncio.create_task(asker.run())
    theirs.send(Answer(0))
    await asyncio.wait_for(asker.greeted.wait(), 5)
    asked = [asyncio.create_task(asker.ask("explain", 5, url=url)) for url in ("a", "b")]
    questions = [msgspec.msgpack.decode(await theirs.receive() or b"", type=Question) for _ in asked]
    for question in reversed(questions):
        theirs.send(Answer(question.number, question.arguments["url"].upper()))
    assert await asyncio.gather(*asked) == ["A", "B"]
    theirs.close()
    await asyncio.wait_for(running, 5)
    asker.close()


async def test_news_are_heard_by_who_asked_for_nothing() -> None:
    ours, theirs = await channels()
    heard: list[object] = []
    asker = Asker(ours, heard.append)
    running = asyncio.create_task(asker.run())
    theirs.send(Answer(NEWS, {"headline": 3}))
    theirs.close()
    await asyncio.wait_for(running, 5)
    assert heard == [{"headline": 3}]
    assert not asker.greeted.is_set()
    asker.close()


async def test_nobody_waits_for_ever() -> None:
    ours, theirs = await channels()
    asker = Asker(ours)
    with pytest.raises(TimeoutError):
        await asker.ask("ping", 0.01)
    asker.tell("stop")
    assert await theirs.receive() is not None
    asker.close()
    theirs.close()


async def test_an_end_that_is_gone_is_noticed() -> None:
    ours, theirs = await channels()
    theirs.close()
    assert await ours.receive() is None
    ours.close()


async def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    ours, theirs = await channels()
    asker = Asker(ours)
    running = asyncio.create_task(asker.run())
    with pytest.raises(TimeoutError):
        await asker.ask("ping", 0.01)
    asked = asyncio.create_task(asker.ask("status", 5))
    questions = [msgspec.msgpack.decode(await theirs.receive() or b"", type=Question) for _ in range(2)]
    for question in questions:
        theirs.send(Answer(question.number, question.ask))
    assert await asked == "status"
    assert [question.number for question in questions] == [1, 2], "0 is the greeting, and asks for no answer"
    theirs.close()
    await asyncio.wait_for(running, 5)
    asker.close()


async def test_a_message_is_whole_or_none() -> None:
    for sent, expected in (
        (b"\0\0\0\x03abc\0\0\0\0", [b"abc", b"", None]),
        (b"\0\0\0\x03ab", [None]),
        (b"\0\0", [None]),
    ):
        ours, theirs = socket.socketpair()
        channel = await Channel.over(ours)
        with theirs:
            theirs.sendall(sent)
        assert [await channel.receive() for _ in expected] == expected
        channel.close()


async def test_a_message_that_is_too_long_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours)
    with theirs:
        theirs.sendall((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
        assert await asyncio.wait_for(channel.receive(), 5) is None
    channel.close()


async def test_an_end_that_is_gone_with_what_it_was_asked_is_gone() -> None:
    """As by SIGKILL: the system says that the connection was reset."""
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours)
    channel.send(Question(1, "ping"))
    theirs.close()
    assert await asyncio.wait_for(channel.receive(), 5) is None
    channel.close()

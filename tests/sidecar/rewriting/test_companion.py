"""A child that is asked one thing at a time: killed while idle, killed while asked, late, never there."""

import os
import signal
import sys

import msgspec
import pytest

from sidecar.rewriting.companion import Companion, CompanionLostError, How
from sidecar.rewriting.rewriter import Reply, Request
from tests.sidecar.opened import GROUPS, STAND_IN, children
from tests.sidecar.waiting import until


def request(page: bytes) -> bytes:
    return msgspec.msgpack.encode(Request(1, msgspec.msgpack.encode(GROUPS), "utf-8", None, page))


async def test_it_starts_when_it_is_asked_and_again_when_it_was_killed_with_nothing_to_do() -> None:
    companion = Companion(STAND_IN)
    assert (companion.pid, companion.starts) == (None, 0)
    for starts in (1, 2):
        answer = msgspec.msgpack.decode(await companion.ask(request(b"fine"), 5.0), type=Reply)
        assert (answer.changes is not None, companion.starts) == (True, starts)
        assert companion.pid is not None
        os.kill(companion.pid, signal.SIGKILL)
        await until(lambda: companion._is_lost)
    await companion.close()
    assert children() == set()


@pytest.mark.parametrize(("page", "how"), [(b"die 11", How.ENDED), (b"hang", How.LATE)], ids=["die", "hang"])
async def test_how_it_was_lost(page: bytes, how: How) -> None:
    companion = Companion(STAND_IN)
    with pytest.raises(CompanionLostError) as lost:
        await companion.ask(request(page), 0.3)
    assert (lost.value.how, companion.pid) == (how, None)
    await companion.ask(request(b"fine"), 5.0)
    await companion.close()


@pytest.mark.parametrize("command", [("/nowhere",), (sys.executable, "-c", "")], ids=["missing", "ends"])
async def test_one_that_never_was_there(command: tuple[str, ...]) -> None:
    with pytest.raises(CompanionLostError, match="could not be started") as lost:
        await Companion(command).ask(b"", 5.0)
    assert lost.value.how is How.NOT_STARTED

"""A child that answers orders: what it may take, and what becomes of one that ends, hangs or is given up."""

import asyncio
import io
import os
import signal
from pathlib import Path

import msgspec
import pytest

from control_plane.child import LENGTH_BYTES, ChildEndedError, ChildProcess, serve
from control_plane.rewriter import Done, Order, obey
from tests.control_plane.test_rewriter import ORDER


def child_process(timeout_s: float = 10.0) -> ChildProcess[Done]:
    return ChildProcess("control_plane.rewriter", Done, timeout_s=timeout_s)


def test_orders_are_answered_until_the_parent_closes() -> None:
    message = msgspec.msgpack.encode(ORDER)
    framed = len(message).to_bytes(LENGTH_BYTES, "big") + message
    sink = io.BytesIO()
    serve(io.BytesIO(framed * 2), sink, Order, obey)
    answer = msgspec.msgpack.encode(obey(ORDER))
    assert sink.getvalue() == (len(answer).to_bytes(LENGTH_BYTES, "big") + answer) * 2


async def test_a_child_that_dies_is_replaced() -> None:
    child = child_process()
    try:
        assert await child.ask(ORDER) == obey(ORDER)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        asked = asyncio.create_task(child.ask(ORDER))
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(ChildEndedError):
            await asked
        assert await child.ask(ORDER) == obey(ORDER)
        assert child.pid != first
    finally:
        await child.close()


async def test_a_child_that_hangs_is_ended() -> None:
    child = child_process()
    try:
        await child.ask(ORDER)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        child._timeout_s = 0.2
        with pytest.raises(TimeoutError):
            await child.ask(ORDER)
        assert child.pid is None
        child._timeout_s = 10.0
        assert await child.ask(ORDER) == obey(ORDER)
    finally:
        await child.close()


async def test_whoever_stops_waiting_does_not_leave_an_answer_for_the_next() -> None:
    child = child_process()
    try:
        await child.ask(ORDER)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)
        asked = asyncio.create_task(child.ask(ORDER))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait([asked])
        other = Order(b"<h1>Other</h1><p>", ORDER.groups, None)
        assert (await child.ask(other)).page == b"<h1>New</h1><p>"
    finally:
        await child.close()


async def test_the_child_knows_no_secrets_and_may_not_take_all_memory() -> None:
    os.environ["CONTROL_PLANE_TEST_SECRET"] = "hidden"
    child = child_process()
    try:
        await child.ask(ORDER)
        folder = Path(f"/proc/{child.pid}")
        assert b"hidden" not in await asyncio.to_thread((folder / "environ").read_bytes)
        limits = await asyncio.to_thread((folder / "limits").read_text)
        assert "unlimited" not in next(line for line in limits.splitlines() if line.startswith("Max address space"))
    finally:
        del os.environ["CONTROL_PLANE_TEST_SECRET"]
        await child.close()

"""The child process that rewrites pages for preview."""

import asyncio
import io
import os
import signal
from pathlib import Path

from control_plane.rewriter import LENGTH_BYTES, Done, Order, Rewriter, obey, serve
from rules.decision import Group
from rules.model import decode_operations
from rules.reasons import Reason

OPERATIONS = decode_operations(b'[{"verb":"setText","target":{"selector":"h1"},"content":{"text":"New"}}]')
ORDER = Order(b"<h1>Old</h1>", (Group("m", OPERATIONS),), None)


def test_an_order_is_carried_out() -> None:
    assert obey(ORDER).page == b"<h1>New</h1>"
    missing = obey(Order(b"<p>", ORDER.groups, None))
    assert (missing.page, missing.passed) == (b"<p>", Reason.NOTHING_MATCHED)


def test_orders_are_answered_until_the_parent_closes() -> None:
    import msgspec

    message = msgspec.msgpack.encode(ORDER)
    framed = len(message).to_bytes(LENGTH_BYTES, "big") + message
    sink = io.BytesIO()
    serve(io.BytesIO(framed * 2), sink)
    answer = msgspec.msgpack.encode(obey(ORDER))
    assert sink.getvalue() == (len(answer).to_bytes(LENGTH_BYTES, "big") + answer) * 2


async def test_a_child_that_dies_is_replaced_and_the_page_stays_as_it_was() -> None:
    rewriter = Rewriter()
    try:
        assert (await rewriter.rewrite(ORDER)).page == b"<h1>New</h1>"
        child = rewriter._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        asked = asyncio.create_task(rewriter.rewrite(ORDER))
        await asyncio.sleep(0)
        os.kill(child.pid, signal.SIGKILL)
        assert await asked == Done(ORDER.page, (), Reason.REWRITE_FAILED, "the rewriter ended over this page")
        assert (await rewriter.rewrite(ORDER)).page == b"<h1>New</h1>"
    finally:
        await rewriter.close()


async def test_whoever_stops_waiting_does_not_leave_an_answer_for_the_next() -> None:
    rewriter = Rewriter()
    try:
        await rewriter.rewrite(ORDER)
        child = rewriter._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        asked = asyncio.create_task(rewriter.rewrite(ORDER))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait([asked])
        other = Order(b"<h1>Other</h1><p>", ORDER.groups, None)
        assert (await rewriter.rewrite(other)).page == b"<h1>New</h1><p>"
    finally:
        await rewriter.close()


async def test_the_child_knows_no_secrets() -> None:
    os.environ["CONTROL_PLANE_TEST_SECRET"] = "hidden"
    rewriter = Rewriter()
    try:
        await rewriter.rewrite(ORDER)
        assert rewriter._child is not None
        environment = Path(f"/proc/{rewriter._child.pid}/environ")
        assert b"hidden" not in await asyncio.to_thread(environment.read_bytes)
    finally:
        del os.environ["CONTROL_PLANE_TEST_SECRET"]
        await rewriter.close()

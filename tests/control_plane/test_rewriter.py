"""The child process that rewrites pages for preview."""

import asyncio
import os
import signal

from control_plane.rewriter import Done, Order, Rewriter, case_of, obey
from rules.group import Group
from rules.model import Delivery, decode_operations
from rules.reasons import Reason
from service.opinions import Verdict
from service.second_opinion import judge

OPERATIONS = decode_operations(b'[{"verb":"setText","target":{"selector":"h1"},"content":{"text":"New"}}]')
ORDER = Order(b"<h1>Old</h1>", (Group("m", OPERATIONS),), None)


def test_an_order_is_carried_out() -> None:
    assert obey(ORDER).page == b"<h1>New</h1>"
    missing = obey(Order(b"<p>", ORDER.groups, None))
    assert (missing.page, missing.passed) == (b"<p>", Reason.NOTHING_MATCHED)


def test_what_was_done_is_a_case_for_the_second_opinion() -> None:
    case = case_of(ORDER, obey(ORDER))
    assert (case.page, case.rewritten, case.charset) == (ORDER.page, b"<h1>New</h1>", "unknown")
    assert judge(case).verdict is Verdict.AGREES


def test_what_the_browser_would_do_is_shown_as_done() -> None:
    groups = (Group("m", OPERATIONS, delivery=Delivery.CLIENT),)
    done = obey(Order(b"<h1>Old</h1>", groups, None))
    assert (done.page, done.outcomes[0].reason) == (b"<h1>New</h1>", Reason.APPLIED)


async def test_a_child_that_dies_leaves_the_page_as_it_was() -> None:
    rewriter = Rewriter()
    try:
        assert (await rewriter.rewrite(ORDER)).page == b"<h1>New</h1>"
        child = rewriter._child.pid
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        asked = asyncio.create_task(rewriter.rewrite(ORDER))
        await asyncio.sleep(0)
        os.kill(child, signal.SIGKILL)
        assert await asked == Done(ORDER.page, (), Reason.REWRITE_FAILED, "the rewriter ended over this page")
        assert (await rewriter.rewrite(ORDER)).page == b"<h1>New</h1>"
    finally:
        await rewriter.close()

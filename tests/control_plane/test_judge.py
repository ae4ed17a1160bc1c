"""The second opinion of a real child, and none where the child fails."""

import os
import signal

import msgspec

from control_plane.judge import Judge
from service.opinions import PAGE_BYTES_MAX, Doubt, Opinion, Verdict
from tests.service.judging import PAGE, groups_of, one, rewritten

CASE = rewritten(PAGE, groups_of([one("remove", "h1")]))
WRONG = msgspec.structs.replace(CASE, rewritten=PAGE)


async def test_what_is_right_and_what_is_wrong() -> None:
    judge = Judge()
    try:
        assert await judge.opinion(CASE) == Opinion(Verdict.AGREES)
        assert (await judge.opinion(WRONG)).verdict is Verdict.DIFFERS
        large = msgspec.structs.replace(CASE, page=b" " * (PAGE_BYTES_MAX + 1))
        assert (await judge.opinion(large)).doubt is Doubt.TOO_LARGE
    finally:
        await judge.close()


async def test_a_child_that_ends_or_hangs_has_no_opinion() -> None:
    judge = Judge()
    try:
        await judge.opinion(CASE)
        assert judge._child.pid is not None
        os.kill(judge._child.pid, signal.SIGSTOP)
        judge._child._timeout_s = 0.2
        late = await judge.opinion(WRONG)
        assert (late.verdict, late.doubt) == (Verdict.NO_OPINION, Doubt.FAILED)
        judge._child._timeout_s = 10.0
        assert await judge.opinion(CASE) == Opinion(Verdict.AGREES)
    finally:
        await judge.close()
    broken = Judge(program="tests.control_plane.no_such_program")
    assert (await broken.opinion(CASE)).doubt is Doubt.FAILED
    await broken.close()

"""Work beside requests: one of a name at a time, its outcome kept, and an end with the process."""

import asyncio

from control_plane.errands import Errand, Errands
from service.clock import now


def known(errands: Errands) -> Errand:
    found = errands.of("backup")
    assert found is not None
    return found


async def ended(errands: Errands) -> Errand:
    async with asyncio.timeout(30):
        while known(errands).ended_at is None:
            await asyncio.sleep(0)
    return known(errands)


async def test_one_of_a_name_is_under_way_and_its_outcome_is_kept() -> None:
    errands, go_on = Errands(clock=now), asyncio.Event()

    async def work() -> str:
        await go_on.wait()
        return "made"

    assert errands.of("backup") is None
    assert errands.begin("backup", work, subject="x", actor="ada", expected=())
    assert (known(errands).actor, known(errands).ended_at) == ("ada", None)
    assert not errands.begin("backup", work, actor="bob", expected=())
    assert errands.begin("audit", work, actor="bob", expected=()), "another name is other work"
    go_on.set()
    one = await ended(errands)
    assert (one.subject, one.outcome, one.failed) == ("x", "made", False)
    await errands.close()


async def test_what_went_wrong_is_told_and_only_what_was_expected_in_its_own_words() -> None:
    errands = Errands(clock=now)

    async def work() -> str:
        raise OSError("no room")

    assert errands.begin("backup", work, actor="ada", expected=(OSError,))
    one = await ended(errands)
    assert (one.outcome, one.failed) == ("no room", True)
    await asyncio.sleep(0)
    assert errands.begin("backup", work, actor="ada", expected=(ValueError,))
    one = await ended(errands)
    assert one.failed
    assert "OSError" in one.outcome
    assert "no room" not in one.outcome


async def test_it_ends_with_the_process() -> None:
    errands = Errands(clock=now)
    assert errands.begin("backup", asyncio.Event().wait, actor="ada", expected=())  # type: ignore[arg-type]
    await errands.close()
    assert known(errands).ended_at is None

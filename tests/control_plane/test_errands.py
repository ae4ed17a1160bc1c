"""Work beside requests: one of a name at a time, its outcome kept, and an end with the process."""

import asyncio
from datetime import timedelta

from control_plane.errands import ASKED_MAX, KEPT, KEPT_MAX, Asked, Errand, Errands
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


def given(asked: Asked | None) -> Asked:
    assert asked is not None
    return asked


async def test_who_asks_finds_the_outcome_by_an_id_of_their_own() -> None:
    errands, go_on = Errands(clock=now), asyncio.Event()

    async def work() -> object:
        await go_on.wait()
        return 7

    one = given(errands.ask("backup", work, actor="ada"))
    two = given(errands.ask("backup", work, actor="bob"))
    assert one.id != two.id
    assert (await errands.until_ended(one, 0)).ended_at is None
    go_on.set()
    ended = await errands.until_ended(one, 30)
    assert (ended.outcome, ended.actor, ended.ended_at is None) == (7, "ada", False)
    assert errands.asked(one.id) == ended
    assert errands.asked("none") is None
    await errands.close()


async def test_who_asks_for_the_same_may_join_it_while_it_is_under_way() -> None:
    errands, go_on = Errands(clock=now), asyncio.Event()
    one = given(errands.ask("verify", go_on.wait, subject="a", actor="ada", join=True))
    assert errands.ask("verify", go_on.wait, subject="a", actor="bob", join=True) == one
    assert given(errands.ask("verify", go_on.wait, subject="b", actor="bob", join=True)).id != one.id
    go_on.set()
    await errands.until_ended(one, 30)
    await asyncio.sleep(0)
    assert given(errands.ask("verify", go_on.wait, subject="a", actor="bob", join=True)).id != one.id
    await errands.close()


async def test_what_is_under_way_and_what_is_kept_are_bounded() -> None:
    at = now()
    errands, go_on = Errands(clock=lambda: at), asyncio.Event()
    under_way = [given(errands.ask("verify", go_on.wait, actor="ada")) for _ in range(ASKED_MAX)]
    assert errands.ask("verify", go_on.wait, actor="ada") is None
    go_on.set()
    for one in under_way:
        await errands.until_ended(one, 30)
    last = under_way[-1]
    for _ in range(KEPT_MAX):
        last = given(errands.ask("verify", go_on.wait, actor="ada"))
        await errands.until_ended(last, 30)
    assert errands.asked(under_way[0].id) is None
    assert errands.asked(last.id) is not None
    at += KEPT + timedelta(seconds=1)
    errands.ask("verify", go_on.wait, actor="ada")
    assert errands.asked(last.id) is None
    await errands.close()

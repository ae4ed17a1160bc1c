"""Pages that differ by a token, through real child processes: learned from, and soon not parsed any more."""

import os
import signal

import pytest

from rules import limits
from rules.html import apply_groups
from sidecar.rewriting.rewriting import Isolation, Rewriting
from tests.sidecar.opened import GROUPS, STAND_IN, Open, ask, pid, reason
from tests.sidecar.waiting import until


def tokens(*values: str) -> list[bytes]:
    return [f"<p title={value}>x</p><h1>Old</h1>".encode() for value in values]


def skeletons(rewriting: Rewriting) -> dict[str, int]:
    status = rewriting.status()["skeletons"]
    assert isinstance(status, dict)
    return status


@pytest.mark.parametrize("isolation", list(Isolation))
async def test_a_page_that_differs_by_a_token_is_soon_not_parsed_any_more(
    rewriting: Open, isolation: Isolation
) -> None:
    started = await rewriting(isolation=isolation, deadline_s=5.0)
    for page in tokens("a", "b", "c"):
        assert await reason(started, page, "a") == "applied"
    await until(lambda: skeletons(started)["pages"] == 1)
    if isolation is Isolation.CHILD:
        os.kill(pid(started), signal.SIGSTOP)
    (page,) = tokens("another")
    assert await ask(started, page, "a") == apply_groups(page, GROUPS, charset="utf-8")
    assert skeletons(started)["hits"] == 1
    if isolation is Isolation.CHILD:
        os.kill(pid(started), signal.SIGCONT)


async def test_another_decision_or_address_has_a_skeleton_of_its_own(rewriting: Open) -> None:
    started = await rewriting(isolation=Isolation.INLINE)
    for page in tokens("a", "b", "c"):
        await ask(started, page, "a")
    await until(lambda: skeletons(started)["pages"] == 1)
    (page,) = tokens("d")
    for address, key in (("b", "d1"), ("a", "d2")):
        await ask(started, page, address, key)
    assert skeletons(started)["hits"] == 0


@pytest.mark.parametrize("fate", [b"die 9", b"hang", b"number", b"memory", b"raise"])
async def test_a_child_lost_over_a_study_costs_no_page(rewriting: Open, fate: bytes) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=0.3)
    pages = [b"studied " + fate + b" <p>" + token for token in (b"a", b"b", b"c", b"d", b"e")]
    for page in pages[:3]:
        assert await reason(started, page, "a") == "applied"
    lost = 0 if fate == b"raise" else 1
    await until(lambda: started.status()["restarts"] == lost and bool(started.status()["ready"]))
    for page in pages[3:]:
        assert await reason(started, page, "a") == "applied"
    assert skeletons(started)["pages"] == 0
    assert started.status()["quarantined"] == 0


async def test_a_page_that_took_long_is_not_studied(rewriting: Open) -> None:
    """A study takes a few times as long as its page: it would lose the child each time, for whoever asks for such pages."""
    started = await rewriting(command=STAND_IN, deadline_s=0.4)
    for token in (b"a", b"b", b"c", b"d"):
        assert await reason(started, b"sleep 0.25 <p>" + token, "a") == "applied"
    assert await reason(started, b"<p>e", "b") == "applied", "the study would have been before this one"
    assert started.status()["restarts"] == 0


async def test_a_page_that_is_too_large_to_parse_is_not_studied(rewriting: Open) -> None:
    started = await rewriting(isolation=Isolation.INLINE)
    for token in (b"a", b"b", b"c"):
        assert await reason(started, b"<" * (limits.TAGS_MAX + 1) + b"<p>" + token, "a") == "too_large"
    assert skeletons(started)["bytes"] == 0

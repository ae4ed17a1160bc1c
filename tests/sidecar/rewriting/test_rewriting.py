"""Rewriting fails open: real child processes, killed, stopped, hanging and lying."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.model import decode_operations
from rules.reasons import Reason
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.rewriting import Isolation
from tests.sidecar.opened import GROUPS, PAGE, STAND_IN, Open, ask, pid, reason, warm
from tests.sidecar.stand_in import MARK
from tests.sidecar.waiting import until

# ---- the ordinary way


@pytest.mark.parametrize("isolation", list(Isolation))
async def test_the_page_is_what_the_rules_say(rewriting: Open, isolation: Isolation) -> None:
    answer = await ask(await rewriting(isolation=isolation), PAGE)
    assert answer == apply_groups(PAGE, GROUPS, charset="utf-8")
    assert isinstance(answer, Rewritten)
    assert b"<h1>New</h1>" in answer.page


@pytest.mark.parametrize("isolation", list(Isolation))
async def test_an_expected_refusal_comes_back_as_it_is(rewriting: Open, isolation: Isolation) -> None:
    answer = await ask(await rewriting(isolation=isolation), b"<p>no headline</p>")
    assert answer == apply_groups(b"<p>no headline</p>", GROUPS, charset="utf-8")


async def test_charset_and_nonce_reach_the_child(rewriting: Open) -> None:
    started = await rewriting()
    hide = (Group("hide", decode_operations(b'[{"verb": "hideByStyle", "target": {"selector": "h1"}}]')),)
    page = "<head></head><h1>\u00fc</h1>".encode("latin-1")
    answer = await started.rewrite(MemoKey("a", "d1", "iso-8859-1", "abc"), page, hide)
    assert answer == apply_groups(page, hide, charset="iso-8859-1", nonce="abc")
    assert isinstance(answer, Rewritten)
    assert b'nonce="abc"' in answer.page


@pytest.mark.parametrize("isolation", list(Isolation))
async def test_a_page_over_the_bound_is_not_looked_at(rewriting: Open, isolation: Isolation) -> None:
    assert await reason(await rewriting(isolation=isolation, page_bytes_max=10), PAGE) == "too_large"


async def test_without_groups_there_is_nothing_to_do(rewriting: Open) -> None:
    answer = await (await rewriting()).rewrite(MemoKey("a", "", None, None), PAGE, ())
    assert answer == PassedThrough(reason=Reason.NO_RULES)


async def test_a_large_page_with_large_edits_crosses(rewriting: Open) -> None:
    page = b"<h1>x</h1>" + b"<p>" + b"word " * 700_000 + b"</p>"
    started = await rewriting(deadline_s=5.0)
    answer = await ask(started, page)
    assert answer == apply_groups(page, GROUPS, charset="utf-8")


async def test_what_can_not_be_encoded_harms_its_own_page_only(rewriting: Open) -> None:
    started = await rewriting()
    bad = started.rewrite(MemoKey("bad", "d1", None, "\ud800"), PAGE, GROUPS)
    good = ask(started, PAGE)
    answers = await asyncio.gather(bad, good)
    assert isinstance(answers[0], PassedThrough)
    assert answers[0].reason is Reason.REWRITE_FAILED
    assert isinstance(answers[1], Rewritten)


# ---- the memo


@pytest.mark.parametrize("isolation", list(Isolation))
async def test_a_page_seen_twice_does_not_go_to_the_rewriter_again(rewriting: Open, isolation: Isolation) -> None:
    started = await rewriting(isolation=isolation, memo_bytes_max=1_000_000)
    answers = [await ask(started, PAGE) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    memo = started.memo.status()
    assert (memo["hits"], memo["misses"], memo["pages"]) == (1, 2, 1)


@pytest.mark.parametrize("isolation", list(Isolation))
async def test_every_page_that_is_rewritten_anew_is_told_of_and_no_other(rewriting: Open, isolation: Isolation) -> None:
    told: list[tuple[object, ...]] = []
    started = await rewriting(
        isolation=isolation, memo_bytes_max=1_000_000, on_rewritten=lambda *about: told.append(about)
    )
    answers = [await ask(started, PAGE, "a") for _ in range(3)]
    assert isinstance(await ask(started, b"<p>none</p>", "a"), PassedThrough)
    assert started.memo.status()["hits"] == 1
    assert told == [(MemoKey("a", "d1", "utf-8", None), PAGE, GROUPS, answers[0])] * 2


async def test_memo_hits_need_no_child(rewriting: Open) -> None:
    started = await rewriting(memo_bytes_max=1_000_000)
    for _ in range(2):
        await ask(started, PAGE)
    os.kill(pid(started), signal.SIGSTOP)
    assert await reason(started, PAGE) == "applied"
    os.kill(pid(started), signal.SIGCONT)


async def test_pages_that_meet_are_rewritten_once(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=1.0)
    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(ask(started, b"sleep 0.1") for _ in range(20)))
    assert all(isinstance(answer, Rewritten) for answer in answers)
    assert asyncio.get_running_loop().time() - began < 1.5


# ---- faults


async def test_the_child_killed_while_idle_is_replaced(rewriting: Open) -> None:
    started = await rewriting()
    first = pid(started)
    os.kill(first, signal.SIGKILL)
    await until(lambda: started.status()["restarts"] == 1)
    await warm(started)
    assert pid(started) != first
    assert await reason(started, PAGE) == "applied"
    assert started.status()["quarantined"] == 0


async def test_the_child_killed_while_it_works(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=5.0)
    working = asyncio.create_task(reason(started, b"hang"))
    await asyncio.sleep(0)
    os.kill(pid(started), signal.SIGKILL)
    assert await working == "rewrite_failed"
    await warm(started)
    assert await reason(started, b"hang") == "quarantined"
    assert await reason(started, b"other") == "applied"


@pytest.mark.parametrize(
    "page",
    [b"die 11", b"exit 0", b"memory", b"noise", b"long", b"number", b"neither 1", b"outside 1"],
    ids=bytes.decode,
)
async def test_a_page_that_kills_or_confuses_the_child_is_held(rewriting: Open, page: bytes) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=5.0)
    with capture_logs() as lines:
        assert await reason(started, page, "shop.example/page?secret=1") == "rewrite_failed"
    assert await reason(started, page, "shop.example/page?secret=1") == "quarantined"
    assert await reason(started, b"fine") == "applied"
    assert [line["event"] for line in lines] == ["page_quarantined", "rewriter_replaced"]
    assert "secret" not in str(lines)


async def test_a_bug_in_the_rewriter_costs_neither_child_nor_quarantine(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, memo_bytes_max=1_000_000)
    for _ in range(3):
        answer = await ask(started, b"raise")
        assert answer == PassedThrough(reason=Reason.REWRITE_FAILED, detail="RuntimeError: a bug")
    assert (started.status()["restarts"], started.memo.status()["pages"]) == (0, 0)


@pytest.mark.parametrize("page", [b"hang", b"spin"], ids=bytes.decode)
async def test_the_deadline_holds_when_a_page_hangs(rewriting: Open, page: bytes) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=0.2)
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await reason(started, page) == "over_budget"
    assert 0.19 < clock() - began < 2
    await until(lambda: started.status()["restarts"] == 1)
    await warm(started)
    assert await reason(started, page) == "quarantined"
    assert await reason(started, b"fine") == "applied"
    assert isinstance(await ask(started, b"fine", "test/hang", key="d2"), Rewritten), "a new table is a new chance"


async def test_the_deadline_holds_when_the_child_is_stopped(rewriting: Open) -> None:
    started = await rewriting(deadline_s=0.2)
    stopped = pid(started)
    os.kill(stopped, signal.SIGSTOP)
    clock = asyncio.get_running_loop().time
    began = clock()
    large = PAGE + bytes(3_000_000)  # more than the socket holds
    assert await reason(started, large, "large") == "over_budget"
    assert clock() - began < 2
    await until(lambda: not psutil.pid_exists(stopped))
    await warm(started)
    assert await reason(started, PAGE) == "applied"


async def test_waiting_too_long_is_nobody_s_fault(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=0.4)
    pages = [b"sleep 0.1%d" % number for number in range(20)]
    reasons = await asyncio.gather(*(reason(started, page) for page in pages))
    assert reasons[0] == "applied"
    assert "over_budget" in reasons
    assert set(reasons) == {"applied", "over_budget"}
    assert (started.status()["restarts"], started.status()["quarantined"]) == (0, 0)
    await until(lambda: started.status()["waiting"] == 0)
    assert await reason(started, b"fine") == "applied"


async def test_the_queue_is_bounded(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=0.3, queue_pages_max=2)
    answers = await asyncio.gather(*(ask(started, b"sleep 0.05" if n == 0 else b"p%d" % n) for n in range(10)))
    full = [answer for answer in answers if isinstance(answer, PassedThrough) and answer.detail == "the queue is full"]
    assert len(full) == 7
    assert all(answer.reason is Reason.OVER_BUDGET for answer in full)


async def test_a_visitor_who_leaves_does_not_confuse_the_next(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=1.0, memo_bytes_max=1_000_000)
    leaving = [asyncio.create_task(ask(started, b"sleep 0.05"))] + [
        asyncio.create_task(ask(started, b"page %d" % number)) for number in range(5)
    ]
    await asyncio.sleep(0.01)
    staying = [asyncio.create_task(ask(started, b"stay %d" % number)) for number in range(5)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    answers = await asyncio.gather(*staying)
    assert [answer.page for answer in answers if isinstance(answer, Rewritten)] == [
        MARK + b"stay %d" % number for number in range(5)
    ]
    assert all(task.cancelled() for task in await finished(leaving))
    assert started.status()["restarts"] == 0


async def finished(
    tasks: list[asyncio.Task[Rewritten | PassedThrough]],
) -> list[asyncio.Task[Rewritten | PassedThrough]]:
    await asyncio.wait(tasks)
    return tasks


async def test_a_page_whose_visitor_left_is_still_held_if_it_hangs(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=0.2)
    task = asyncio.create_task(ask(started, b"hang"))
    await asyncio.sleep(0.05)
    task.cancel()
    await until(lambda: started.status()["quarantined"] == 1)
    await warm(started)
    assert await reason(started, b"fine") == "applied"


async def test_forty_thousand_nested_elements(rewriting: Open) -> None:
    started = await rewriting(deadline_s=2.0)
    answer = await ask(started, b"<h1>Old</h1>" + b"<div>" * 40_000)
    assert isinstance(answer, (Rewritten, PassedThrough))
    assert started.status()["restarts"] == 0
    assert await reason(started, PAGE) == "applied"


async def test_a_child_that_never_starts_costs_no_page(rewriting: Open) -> None:
    with capture_logs() as lines:
        started = await rewriting(command=(sys.executable, "-c", "raise SystemExit(1)"))
        clock = asyncio.get_running_loop().time
        began = clock()
        assert await reason(started, PAGE) == "rewrite_failed"
        assert clock() - began < 2
        await until(lambda: any(line["event"] == "rewriter_keeps_ending" for line in lines))
    assert not started.status()["ready"]


async def test_a_program_that_is_not_there_costs_no_page(rewriting: Open) -> None:
    started = await rewriting(command=("/nonexistent/program",))
    assert await reason(started, PAGE) == "rewrite_failed"


async def test_a_child_that_talks_before_it_is_asked_is_replaced(rewriting: Open) -> None:
    chatty = "import os, sys; os.write(int(sys.argv[2]), bytes(4) + b'\\0\\0\\0\\1x' * 9)"
    started = await rewriting(command=(sys.executable, "-c", chatty))
    assert await reason(started, PAGE) == "rewrite_failed"
    await until(lambda: int(str(started.status()["restarts"])) > 1)


async def test_after_close_pages_pass(rewriting: Open) -> None:
    started = await rewriting(command=STAND_IN, deadline_s=5.0)
    busy = asyncio.create_task(reason(started, b"hang"))
    queued = asyncio.create_task(reason(started, b"fine"))
    await asyncio.sleep(0.02)
    await started.close()
    assert [await busy, await queued, await reason(started, b"fine")] == ["rewrite_failed"] * 3


async def test_a_bug_of_the_worker_is_caught_too(rewriting: Open) -> None:
    started = await rewriting(isolation=Isolation.INLINE)
    broken: Any = ("not a group",)
    with capture_logs() as lines:
        answer = await started.rewrite(MemoKey("a", "d1", None, None), PAGE, broken)
    assert answer == PassedThrough(reason=Reason.REWRITE_FAILED, detail="AttributeError")
    assert [line["event"] for line in lines] == ["rewriting_failed"]


async def test_a_thousand_pages_among_random_kills(rewriting: Open) -> None:
    chance = random.Random(7)
    started = await rewriting(deadline_s=1.0, memo_bytes_max=200_000)
    pages = [b"<h1>%d</h1>" % number + b"<p>text</p>" * chance.randrange(2000) for number in range(40)]
    expected = [apply_groups(page, GROUPS, charset="utf-8") for page in pages]
    rounds, passed, done, struck = 0, 0, asyncio.Event(), 0

    async def kill() -> None:
        nonlocal struck
        while not done.is_set():
            await asyncio.sleep(chance.uniform(0, 0.1))
            if started.status()["ready"]:
                struck = pid(started)
                os.kill(struck, chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP]))

    async def visit(which: int) -> None:
        nonlocal passed
        task = asyncio.create_task(ask(started, pages[which], f"shop.example/{which}", key=str(chance.randrange(500))))
        if chance.random() < 0.1:
            await asyncio.sleep(chance.uniform(0, 0.003))
            task.cancel()
            await asyncio.wait([task])
            return
        answer = await task
        if isinstance(answer, PassedThrough):
            assert answer.reason in (Reason.OVER_BUDGET, Reason.REWRITE_FAILED, Reason.QUARANTINED)
            passed += 1
        else:
            assert answer == expected[which]

    killer = asyncio.create_task(kill())
    async with asyncio.timeout(60):
        while rounds < 100 or int(str(started.status()["restarts"])) <= 3:
            await asyncio.gather(*(visit(chance.randrange(len(pages))) for _ in range(10)))
            rounds += 1
    done.set()
    await killer
    # Whom the last signal only stopped is found out by a page.
    await ask(started, PAGE, "found out")
    await until(lambda: bool(started.status()["ready"]) and pid(started) != struck, 15)
    assert await reason(started, PAGE, "after") == "applied"
    assert passed < 9 * rounds


# ---- the child by itself


async def test_the_child_knows_no_secret_and_holds_nothing_of_ours(
    rewriting: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIDECAR_OPS_TOKEN", "secret")
    started = await rewriting()
    child = psutil.Process(pid(started))
    if os.geteuid() == 0:
        assert "SIDECAR_OPS_TOKEN" not in child.environ()
        assert child.num_fds() == 4
    else:  # it can't be dumped, and so not even its own user may look inside
        with pytest.raises(psutil.AccessDenied):
            child.environ()
    assert child.memory_info().rss < 64 * 1024 * 1024
    if sys.platform == "linux":
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)


async def test_a_terminal_s_ctrl_c_does_not_end_the_child(rewriting: Open) -> None:
    started = await rewriting()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid(started), number)
    assert await reason(started, PAGE) == "applied"
    assert started.status()["restarts"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_child_that_hangs_ends_with_its_worker(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from sidecar.rewriting.memo import MemoKey\n"
        "from sidecar.rewriting.rewriting import Rewriting\n"
        "from tests.sidecar.opened import GROUPS, STAND_IN\n"
        "async def main():\n"
        "    rewriting = Rewriting(command=STAND_IN, deadline_s=60)\n"
        "    await rewriting.start()\n"
        "    print(rewriting.status()['pid'], flush=True)\n"
        "    await rewriting.rewrite(MemoKey('a', 'd1', None, None), b'spin', GROUPS)\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as worker:
        assert worker.stdout is not None
        child = psutil.Process(int(worker.stdout.readline()))
        worker.kill()
    child.wait(timeout=5)

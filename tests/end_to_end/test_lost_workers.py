"""Workers that rewrite pages themselves and die of one, or hang: killed for real, while they are at it. And what all of them
learn of a mutation that hangs the child of one.

The page is quadratic for one selector, so that a worker is at it for seconds; where it is, its last words say.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sidecar.rewriting.last_words import LastWords
from tests.end_to_end.test_proxy_processes import Running, keep_snapshot, sidecar
from tests.sidecar.wire import answering, headline, html, origin, table

DIFFICULT = "b:nth-of-type(3n) ~ p:has(~ b:nth-of-type(7n) ~ i)"
PAGE = b"<!doctype html><h1>Old</h1>" + b"<p>a</p><b>x</b>" * 24_000
"""Five seconds to find that nothing on it is what the selector means; without that selector some milliseconds."""
APPLIED = b"applied; table=7; mutations=1"
PATIENCE_S = 40.0

slow = headline(
    id="difficult",
    version=4,
    priority=50,
    mutationPayload={"operations": [{"verb": "remove", "target": {"selector": DIFFICULT}}]},
)


async def until(running: Running, found: Any) -> dict[str, Any]:
    """The document `/table` once it is as wanted."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            document: dict[str, Any] = await running.ask("/table")
            if all(worker["serves"] for worker in document["workers"]) and found(document):
                return document
            await asyncio.sleep(0.05)


def words_of(pid: int) -> LastWords:
    """A worker's last words, while it lives."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "last-words" in str(descriptor.readlink()):
                return LastWords(os.open(descriptor, os.O_RDWR))
    raise AssertionError("it has no last words")


async def lost(running: Running, pids: list[int], number: signal.Signals | None, target: str = "/") -> None:
    """Ask for a page, wait until a worker is at the difficult mutation, and end it; None: wait until it is ended as hung."""
    places = {pid: words_of(pid) for pid in pids}
    asking = asyncio.create_task(running.get(target))
    async with asyncio.timeout(PATIENCE_S):
        while not (
            at := [pid for pid, words in places.items() if (heard := words.heard()) and heard[1] == (("difficult", 4),)]
        ):
            await asyncio.sleep(0.005)
        if number is not None:
            os.kill(at[0], number)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            await asking
    for words in places.values():
        words.close()


def held(document: dict[str, Any]) -> list[list[tuple[str, int, str]]]:
    return [
        [(one["mutation"], one["version"], one["why"]) for one in worker["guard"]["held"]]
        for worker in document["workers"]
    ]


def pids(document: dict[str, Any]) -> list[int]:
    return [worker["pid"] for worker in document["workers"]]


@asynccontextmanager
async def inline(tmp_path: Path, key: Ed25519PrivateKey | None = None, **settings: str) -> AsyncIterator[Running]:
    kept = keep_snapshot(
        tmp_path / "kept",
        key or Ed25519PrivateKey.generate(),
        table(slow, headline()),
        **{"rewrite_inline": "true", **settings},
    )
    async with origin(answering(html(PAGE))) as site, sidecar(tmp_path, site.url, **kept) as running:
        yield running


@pytest.mark.timeout(120)
async def test_a_crash_holds_the_page_and_the_mutation_whose_turn_it_was(tmp_path: Path) -> None:
    async with inline(tmp_path) as running:
        before = await running.ask("/table")
        assert held(before) == [[], []]
        await lost(running, pids(before), signal.SIGSEGV)
        after = await until(running, lambda document: all(held(document)))
        assert held(after) == [[("difficult", 4, "killed")]] * 2, "the worker that lives is told too"
        assert [(one["page"], one["why"], one["table"]) for one in after["pages"]] == [("shop.example/", "killed", 7)]
        for _ in range(6):
            answer = await asyncio.wait_for(running.get(), 3)
            assert (answer.verdict, answer.body[:40]) == (APPLIED, PAGE.replace(b"Old", b"New")[:40])
        assert pids(await running.ask("/table")) == pids(after)
        log = running.log.read_text()
        assert (log.count('"mutation_held"'), log.count('"worker_lost_over_page"')) == (1, 1)


@pytest.mark.timeout(120)
async def test_a_kill_from_elsewhere_holds_the_page_and_only_the_second_one_the_mutation(tmp_path: Path) -> None:
    async with inline(tmp_path, workers="1") as running:
        first = await running.ask("/table")
        await lost(running, pids(first), signal.SIGKILL, "/a?token=1")
        second = await until(running, lambda document: pids(document) != pids(first))
        assert held(second) == [[]]
        answer = await asyncio.wait_for(running.get("/a?token=1"), 3)
        assert (answer.verdict, answer.body) == (b"passed; reason=quarantined", PAGE)
        await lost(running, pids(second), signal.SIGKILL, "/b")
        third = await until(running, lambda document: any(held(document)))
        assert held(third) == [[("difficult", 4, "killed")]]
        assert {one["page"] for one in third["pages"]} == {"shop.example/a", "shop.example/b"}
        assert "token" not in running.log.read_text() + str(third)


@pytest.mark.timeout(120)
async def test_a_hang_is_ended_and_known_even_after_everything_was_restarted(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    async with inline(tmp_path, key, workers="1") as running:
        before = await running.ask("/table")
        [pid] = pids(before)
        hanging = asyncio.create_task(lost(running, [pid], signal.SIGSTOP))
        after = await until(running, lambda document: pids(document) != [pid])
        await hanging
        assert held(after) == [[("difficult", 4, "hung")]]
        running.process.terminate()
        await running.process.wait()
    assert b"shop.example" in (tmp_path / "kept" / "quarantine").read_bytes()
    async with inline(tmp_path, key, workers="1") as running:
        again = await running.ask("/table")
        assert held(again) == [[("difficult", 4, "hung")]]
        assert 500 < again["workers"][0]["guard"]["held"][0]["leftSeconds"] < 600
        assert [one["page"] for one in again["pages"]] == ["shop.example/"]
        assert (await asyncio.wait_for(running.get(), 3)).verdict == APPLIED


@pytest.mark.timeout(60)
async def test_a_worker_that_ends_with_nothing_under_way_teaches_nothing(tmp_path: Path) -> None:
    async with inline(tmp_path, workers="1") as running:
        before = await running.ask("/table")
        os.kill(pids(before)[0], signal.SIGSEGV)
        after = await until(running, lambda document: pids(document) != pids(before))
        assert (held(after), after["pages"]) == ([[]], [])


@pytest.mark.timeout(120)
async def test_what_hangs_the_child_of_one_worker_is_held_by_all_and_by_the_one_that_comes(tmp_path: Path) -> None:
    async with inline(tmp_path, rewrite_inline="false") as running:
        answer = await asyncio.wait_for(running.get(), 3)
        assert (answer.verdict, answer.body) == (b"passed; reason=over_budget", PAGE)
        after = await until(running, lambda document: all(held(document)))
        assert held(after) == [[("difficult", 4, "hung")]] * 2
        os.kill(pids(after)[0], signal.SIGKILL)
        again = await until(running, lambda document: pids(document)[0] != pids(after)[0])
        assert held(again) == [[("difficult", 4, "hung")]] * 2
        for _ in range(4):
            assert (await asyncio.wait_for(running.get(), 3)).verdict == APPLIED
        found = [sum(worker["guard"]["inquiries"].values()) for worker in after["workers"]]
        assert sorted(found) == [0, 1], "one found out for both"

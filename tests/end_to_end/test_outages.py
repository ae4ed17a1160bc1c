"""Whatever goes away, pages keep coming: Redis, the control plane, the snapshot, a worker, its rewriter, the supervisor.

Real processes are killed with SIGKILL while visitors keep loading pages; every load that fails is counted.
Counterpart: `stack.py` starts and ends what is killed here.
"""

import itertools
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from service.keys import Keys
from tests.end_to_end.site import Site, page
from tests.end_to_end.stack import Sidecar, SigningKeys, Stack, alive, alone, fetch, standing_still, until
from tests.end_to_end.visitor import Answer, Line, Visitors, load

PAGE = b"<!doctype html><html><head><title>Tea</title></head><body><h1>Green tea</h1><p>Fresh.</p></body></html>"
MUTATED = PAGE.replace(b"Green tea", b"Black tea")
RECOVERY_S_MAX = 20.0
WORKERS = 2


def headline(text: str = "Black tea", **fields: Any) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    return {"id": "headline", "mutationType": "set", "mutationPayload": {"operations": [operation]}, **fields}


def is_mutated(answer: Answer) -> bool:
    return answer.status == 200 and answer.body == MUTATED and answer.verdict.startswith("applied; ")


def is_the_origins(answer: Answer) -> bool:
    return answer.status == 200 and answer.body == PAGE and answer.verdict.startswith("passed; ")


def through_every_worker(sidecar: Sidecar, target: str = "/") -> list[Answer]:
    """The page as each worker answers it."""
    with sidecar.lines(target) as lines:
        return [line.get(target) for line in lines]


@pytest.fixture
def keys() -> SigningKeys:
    return SigningKeys()


@pytest.fixture
def shop(site: Site) -> Site:
    """An origin with one page."""
    site.page("/", PAGE)
    return site


@pytest.fixture
def sidecar(shop: Site, keys: SigningKeys, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar that has nothing but a good snapshot. Its rewriter may take its time, so that it can be killed in a page."""
    with alone(tmp_path, shop.url, keys, keys.sealed(headline()), SIDECAR_REWRITE_MS_MAX="5000") as running:
        yield running


# ---------------------------------------------------------------- Redis and the control plane


def test_pages_stay_mutated_without_redis_without_the_control_plane_and_after_a_restart(
    shop: Site, stack: Stack
) -> None:
    stack.publish(headline())
    sidecar = stack.sidecar
    with Visitors(sidecar.port, is_mutated) as visitors:
        stack.kill_valkey()
        until(lambda: len(sidecar.events("redis_lost")) == WORKERS, what="the loss of Redis in every worker")
        visitors.wait_for(30)
        stack.control_plane.kill()
        visitors.wait_for(30)
        assert all(map(is_mutated, through_every_worker(sidecar)))
    assert visitors.failures == []
    assert sidecar.metric("layout_mutation_table_state", redis="lost", state="ACK", reason="") == [1.0] * WORKERS

    sidecar.stop()
    sidecar.start()
    answers = through_every_worker(sidecar)
    assert all(map(is_mutated, answers)), answers
    assert sidecar.metric("layout_mutation_table_state", source="snapshot", snapshot="loaded") == [1.0] * WORKERS
    assert sidecar.events("snapshot_refused", "table_refused", "worker_ended") == []


def test_a_redis_that_comes_back_empty_is_filled_again_while_pages_stay_mutated(shop: Site, stack: Stack) -> None:
    stack.publish(headline())
    sidecar = stack.sidecar
    versions = [worker["table"]["version"] for worker in sidecar.workers()]
    with Visitors(sidecar.port, is_mutated) as visitors:
        stack.kill_valkey()
        until(lambda: len(sidecar.events("redis_lost")) == WORKERS, what="the loss of Redis in every worker")
        stack.valkey.stop()
        stack.valkey.start()
        with redis.Redis.from_url(stack.valkey.url) as client:
            until(
                lambda: client.get(Keys("local").table_version) == b"%d" % versions[0],
                RECOVERY_S_MAX,
                what="the same table in the empty Redis",
            )
        until(
            lambda: all(worker["table"]["redis"] == "connected" for worker in sidecar.workers()),
            RECOVERY_S_MAX,
            what="the return of every worker to Redis",
        )
        visitors.wait_for(20)
        assert [worker["table"]["version"] for worker in sidecar.workers()] == versions
    assert visitors.failures == []
    assert len(sidecar.events("redis_lost")) == WORKERS

    stack.control_plane.ask("PUT", "mutations/headline", headline("White tea"))
    until(
        lambda: all(b"White tea" in answer.body for answer in through_every_worker(sidecar)),
        RECOVERY_S_MAX,
        what="a later change on every worker",
    )


def test_a_change_made_without_redis_is_on_the_site_when_redis_is_back(shop: Site, stack: Stack) -> None:
    stack.publish(headline())
    stack.valkey.stop()
    saved = stack.control_plane.ask("PUT", "mutations/headline", headline("White tea"))
    assert saved["publication"]["published"] is False
    assert saved["publication"]["reason"].startswith("redis_unreachable")
    assert is_mutated(load(stack.sidecar.port))
    stack.valkey.start()
    until(
        lambda: all(b"White tea" in answer.body for answer in through_every_worker(stack.sidecar)),
        RECOVERY_S_MAX,
        what="the change on every worker",
    )


# ---------------------------------------------------------------- the snapshot


def flipped(sealed: bytes) -> bytes:
    """One bit in the middle is another one."""
    middle = len(sealed) // 2
    return sealed[:middle] + bytes([sealed[middle] ^ 0x10]) + sealed[middle + 1 :]


def half(sealed: bytes) -> bytes:
    return sealed[: len(sealed) // 2]


def empty(sealed: bytes) -> bytes:
    return sealed[:0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(flipped, "bad_signature", id="one bit flipped"),
        pytest.param(half, "malformed", id="cut in half"),
        pytest.param(empty, "malformed", id="empty"),
    ],
)
def test_a_damaged_snapshot_gives_the_origins_page(
    damage: Callable[[bytes], bytes], reason: str, shop: Site, keys: SigningKeys, tmp_path: Path
) -> None:
    damaged = damage(keys.sealed(headline()))
    with alone(tmp_path, shop.url, keys, damaged, workers=1) as sidecar:
        assert_it_passes_everything(sidecar, reason, workers=1)
        assert sidecar.snapshot.read_bytes() == damaged


def test_a_snapshot_that_another_key_signed_gives_the_origins_page(
    shop: Site, keys: SigningKeys, tmp_path: Path
) -> None:
    with alone(tmp_path, shop.url, keys, SigningKeys().sealed(headline()), workers=1) as sidecar:
        assert_it_passes_everything(sidecar, "bad_signature", workers=1)


def test_without_a_snapshot_the_origins_page_is_given(shop: Site, keys: SigningKeys, tmp_path: Path) -> None:
    with alone(tmp_path, shop.url, keys, None, workers=1) as sidecar:
        assert_it_passes_everything(sidecar, "missing", workers=1)


def assert_it_passes_everything(sidecar: Sidecar, reason: str, *, workers: int) -> None:
    """The origin's pages, one log line of each worker that says why, and the reason in the metrics."""
    with Line(int(sidecar.environment["SIDECAR_UPSTREAM"].rpartition(":")[2])) as direct:
        expected = direct.get("/")
    with Visitors(sidecar.port, is_the_origins) as visitors:
        visitors.wait_for(30)
    assert visitors.failures == []
    for answer in through_every_worker(sidecar):
        assert (answer.line, answer.end_to_end, answer.body) == (expected.line, expected.end_to_end, expected.body)
        assert answer.verdict == "passed; reason=no_table"
    until(lambda: len(sidecar.events("redis_lost")) == workers, what="the loss of Redis in every worker")

    told = sidecar.events("no_snapshot" if reason == "missing" else "snapshot_refused")
    assert sorted(event["worker"] for event in told) == list(range(workers)), told
    if reason != "missing":
        assert {(event["level"], event["reason"]) for event in told} == {("warning", reason)}
        assert all(event["detail"] and event["meanwhile"] for event in told)
        assert sidecar.metric("layout_mutation_table_state", state="NACK", reason=reason) == [1.0] * workers
    loud = [event for event in sidecar.events() if event["level"] not in {"info", "debug"} and event not in told]
    assert sorted(event["event"] for event in loud) == ["redis_lost"] * workers
    assert sidecar.metric("layout_mutation_table_state", snapshot=reason) == [1.0] * workers
    assert sum(sidecar.metric("layout_mutation_responses_total", reason="no_table", status="200")) >= 30


# ---------------------------------------------------------------- our own processes


def test_a_killed_worker_is_replaced_while_the_other_one_serves(sidecar: Sidecar) -> None:
    killed, other = sidecar.workers()
    child = killed["rewriter"]["pid"]
    with Visitors(sidecar.port, is_mutated, people=4) as visitors:
        with sidecar.lines() as lines:
            os.kill(killed["pid"], signal.SIGKILL)
            killed_at = time.monotonic()
            assert is_mutated(lines[1].get("/"))
            until(lambda: not alive(child), what="the end of the killed worker's rewriter")
        visitors.wait_for(40)
        until(
            lambda: sidecar.workers()[0]["serves"] and sidecar.workers()[0]["restarts"] == 1,
            RECOVERY_S_MAX,
            what="a new worker",
        )
        visitors.wait_for(20)
    assert len(visitors.failures) <= visitors.people, visitors.failures
    assert all(failure.is_reset and failure.opened_at < killed_at for failure in visitors.failures), visitors.failures

    again, same = sidecar.workers()
    assert again["pid"] != killed["pid"]
    assert (same["pid"], same["restarts"]) == (other["pid"], 0)
    assert all(map(is_mutated, through_every_worker(sidecar)))
    assert [event["worker"] for event in sidecar.events("worker_ended")] == [0]


def test_a_rewriter_killed_in_the_middle_of_a_page_costs_that_page_its_mutation(sidecar: Sidecar, shop: Site) -> None:
    """It stands still before two pages come: it is killed over the first, and the second is the next rewriter's."""
    for number in range(WORKERS):
        addresses = f"/first/{number}", f"/second/{number}"  # what one worker has lost the other one lets pass
        for address in addresses:
            shop.page(address, PAGE)
        killed = sidecar.workers()[number]["rewriter"]["pid"]
        with sidecar.lines() as lines, sidecar.lines() as others, ThreadPoolExecutor(2) as visitors:
            with standing_still(killed):
                first = visitors.submit(lines[number].get, addresses[0])
                second = visitors.submit(others[number].get, addresses[1])
                until(partial(one_waits, sidecar, number), what="a page in the queue behind the other")
                os.kill(killed, signal.SIGKILL)
            spared, lost = sorted((first.result(), second.result()), key=lambda answer: answer.verdict)
        assert is_mutated(spared), spared
        assert is_the_origins(lost), lost
        assert lost.verdict == "passed; reason=rewrite_failed"
        assert alive(sidecar.workers()[number]["rewriter"]["pid"])
    assert [event["reason"] for event in sidecar.events("page_quarantined")] == ["rewrite_failed"] * WORKERS
    assert sum(sidecar.metric("layout_mutation_failures_total", reason="rewrite_failed")) == WORKERS
    assert sum(sidecar.metric("layout_mutation_rewriter_restarts")) == WORKERS


def one_waits(sidecar: Sidecar, worker: int) -> bool:
    """Whether a worker's rewriter has a page and another one waits for it."""
    return bool(sidecar.workers()[worker]["rewriter"]["waiting"] == 1)


def test_rewriters_killed_again_and_again_never_cost_a_page(sidecar: Sidecar, shop: Site) -> None:
    """Every page is a new one, so that none comes from memory."""
    numbers = itertools.count()

    def fresh() -> bytes:
        return page(PAGE + b"<!-- %d -->" % next(numbers))

    targets = tuple(f"/page/{number}" for number in range(200))
    for target in targets:
        shop.responses[target] = fresh

    def right(answer: Answer) -> bool:
        body = answer.body.partition(b"<!-- ")[0]
        return answer.status == 200 and body in {PAGE, MUTATED} and (body == MUTATED) == ("applied" in answer.verdict)

    with Visitors(sidecar.port, right, targets=targets, people=4) as visitors:
        for _ in range(5):
            children = [worker["rewriter"]["pid"] for worker in sidecar.workers()]
            for child in children:
                if child is not None:
                    os.kill(child, signal.SIGKILL)
            visitors.wait_for(8)
    assert visitors.failures == []
    shop.page("/afterwards", PAGE)
    until(
        lambda: all(map(is_mutated, through_every_worker(sidecar, "/afterwards"))),
        RECOVERY_S_MAX,
        what="a mutated page through every worker",
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
        return True


def test_a_killed_door_leaves_no_process_and_no_port(sidecar: Sidecar, shop: Site) -> None:
    workers = sidecar.workers()
    pids = [worker["pid"] for worker in workers] + [worker["rewriter"]["pid"] for worker in workers]
    assert all(map(alive, pids))
    with sidecar.lines():
        sidecar.kill()
        until(lambda: not any(map(alive, pids)), RECOVERY_S_MAX, what="the end of all that it had started")
        for port in (sidecar.port, sidecar.admin_port):
            until(partial(is_free, port), RECOVERY_S_MAX, what="a port without anybody behind it")
    assert len(sidecar.events("door_gone")) == 1
    sidecar.start()
    assert all(map(is_mutated, through_every_worker(sidecar)))
    assert fetch(sidecar.admin_port, "/readyz")[0] == 200

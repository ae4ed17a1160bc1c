"""The fault matrix: every row of `sidecar.fail_open` provoked for real while two hundred visitors browse.

In each row no page is broken and no request fails; who is connected to a worker that is killed may see that connection end.
The log has the row's events, and its metrics move. `make faults` plays each row for longer; the table is printed.
Counterparts: `play` judges, `surroundings` is what a machine can do to a program.
"""

import os
import resource
import signal
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from layout_mutation.embedded.ports import free_port
from sidecar.context.visit import dated_unit
from sidecar.events import beacons
from sidecar.events.outbox import EVENTS_MAX
from tests.end_to_end.faults import pages
from tests.end_to_end.faults.play import Play, Stage, put
from tests.end_to_end.faults.stage import Crowd, Origin, started
from tests.end_to_end.faults.surroundings import Clock, FarValkey, Wire, small_disk
from tests.end_to_end.stack import Sidecar, SigningKeys, alive, standing_still, until
from tests.end_to_end.visitor import Line
from tests.servers import new_server_folder

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
DESCRIPTORS = 192
"""Of each process: too few for the connections of two hundred visitors."""
PADDING = [
    {
        "id": f"padding-{number}",
        "pageSlug": f"/nowhere/{number}",
        "mutationType": "set",
        "mutationPayload": {
            "operations": [
                {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": os.urandom(600).hex()}}
            ]
        },
    }
    for number in range(100)
]
"""What makes a table larger than a file may be where no small disk can be mounted."""


# ---------------------------------------------------------------- tables


def test_no_table(play: Play) -> None:
    with started(play.sidecar(workers=1)) as sidecar, play.browsing(sidecar, fresh=True):
        pass
    play.saw_only("origin")


def test_stale_table(play: Play) -> None:
    stage = play.stage
    earlier = max(versions(stage.sidecar))
    stage.publish()
    until(lambda: min(versions(stage.sidecar)) > earlier, what="another table in every worker")
    in_force = versions(stage.sidecar)
    with play.browsing():
        put(stage.stack.valkey.url, stage.sealed(version=1), 1)
        before = heard(stage.sidecar)
        until(lambda: heard(stage.sidecar) != before, what="a look at Redis")
    play.saw_only("changed", "origin")
    assert versions(stage.sidecar) == in_force
    assert 1 not in play.figures.editions
    stage.publish()


def test_table_refused(play: Play) -> None:
    stage = play.stage
    until(lambda: len(versions(stage.sidecar)) == 1, 30, what="one table in every worker")
    version = max(versions(stage.sidecar))
    sealed = stage.sealed(edition=999, version=version + 1)
    damaged = sealed[:-9] + bytes([sealed[-9] ^ 1]) + sealed[-8:]
    foreign = SigningKeys().sealed(pages.rules(999), version=version + 2)
    with play.browsing():
        for number, table in enumerate((damaged, foreign, sealed[: len(sealed) // 2]), start=1):
            until(partial(refused, stage, table, number), 30, what="a refusal by every worker")
    play.saw_only("changed", "origin")
    assert 999 not in play.figures.editions
    assert len(versions(stage.sidecar)) == 1
    for _ in range(5):  # beyond the versions that were refused
        stage.publish()


def refused(stage: Stage, table: bytes, ahead: int) -> bool:
    """Offer a table as newer than what is in force by now, for one may just have come; whether every worker refused it."""
    put(stage.stack.valkey.url, table, max(versions(stage.sidecar)) + ahead)
    return states(stage.sidecar) == {"NACK"}


def versions(sidecar: Sidecar) -> set[int]:
    return {worker["table"]["version"] for worker in sidecar.workers()}


def states(sidecar: Sidecar) -> set[str]:
    return {worker["table"]["state"] for worker in sidecar.workers()}


def heard(sidecar: Sidecar) -> float:
    return min(sidecar.metric("layout_mutation_table_heard_seconds"))


# ---------------------------------------------------------------- Redis, the control plane, the origin


def test_redis_gone_at_start(play: Play) -> None:
    with started(play.sidecar(workers=1), play.stage.sealed()) as sidecar, play.browsing(sidecar, fresh=True):
        pass
    play.saw_only("changed", "origin")


def test_redis_gone_later(play: Play) -> None:
    stage = play.stage
    with play.browsing():
        stage.stack.kill_valkey()
    play.saw_only("changed", "origin")
    stage.stack.valkey.stop()
    stage.stack.valkey.start()


def test_network_dropped(play: Play) -> None:
    """Both ends of the wire are in network namespaces of this test's own. Without root the server stands still instead:
    it takes what is sent and never answers."""
    if os.geteuid() != 0:
        child = play.stage.stack.valkey.child
        assert child.pid is not None
        with standing_still(child.pid), play.browsing():
            pass
        play.saw_only("changed", "origin")
        return
    folder = new_server_folder()
    with Wire() as wire:
        valkey = FarValkey(folder, free_port(), password="of this test", durable=False)
        wire.far(valkey.prepare)
        wire.far(valkey.spawn)
        try:
            wire.near(lambda: browse_and_cut(play, wire, valkey))
        finally:
            wire.far(valkey.stop)
    play.saw_only("changed", "origin")


def browse_and_cut(play: Play, wire: Wire, valkey: FarValkey) -> None:
    """The row as it is played at the near end."""
    valkey.wait_until_ready()
    put(valkey.url, play.stage.sealed(), 7)
    with (
        Origin(free_port()) as origin,
        Crowd() as crowd,
        started(play.sidecar(redis_url=valkey.url, SIDECAR_UPSTREAM=origin.url)) as sidecar,
    ):
        until(lambda: versions(sidecar) == {7}, what="a table in every worker")
        with play.browsing(sidecar, crowd=crowd):
            wire.cut()


def test_control_plane_down(play: Play) -> None:
    stage = play.stage
    with play.browsing():
        stage.stack.control_plane.kill()
    play.saw_only("changed", "origin")
    stage.stack.control_plane.stop()
    stage.stack.control_plane.spawn()
    stage.stack.control_plane.wait_until_ready()


def test_origin_down(play: Play) -> None:
    """One that resets is retried and then apologised for; one that is killed is apologised for until it is back."""
    port = free_port()
    with (
        Origin(port) as origin,
        started(play.sidecar(workers=1, SIDECAR_UPSTREAM=origin.url), play.stage.sealed()) as sidecar,
        play.browsing(sidecar, "/odd/reset", apologies=True),
    ):
        origin.kill()
        play.stage.crowd.wait_for(200)
        with Origin(port):
            until(lambda: changed(play.stage.crowd), what="pages again")
            play.stage.crowd.wait_for(200)
    play.saw_only("changed", "origin", "apology")
    assert play.figures.wait_s < 10


def changed(crowd: Crowd) -> bool:
    """Whether a changed page has come since this was asked before."""
    before = crowd.figures().outcomes.get("changed", 0)
    crowd.wait_for(20)
    return crowd.figures().outcomes.get("changed", 0) > before


# ---------------------------------------------------------------- pages


def test_decide_raises(play: Play) -> None:
    with play.browsing(None, *[pages.UNDECIDABLE] * 3):
        pass
    play.saw_only("changed", "origin")


def test_rewrite_raises(play: Play) -> None:
    with play.browsing(None, *["/odd/raises/*"] * 3):
        pass
    play.saw_only("changed", "origin")


def test_over_budget_time(play: Play) -> None:
    with play.browsing(None, "/odd/slow"), Line(play.stage.sidecar.port) as line:
        assert line.get("/odd/hangs/once").verdict == "passed; reason=over_budget"
        until(lambda: line.get("/odd/hangs/once").verdict == "passed; reason=quarantined", what="the quarantine")
    play.saw_only("changed", "origin")


def test_over_budget_bytes(play: Play) -> None:
    with play.browsing(None, "/odd/large", "/odd/large/chunked"):
        pass
    play.saw_only("changed", "origin")


def test_over_budget_depth(play: Play) -> None:
    with play.browsing(None, *["/odd/deep"] * 3):
        pass
    play.saw_only("changed", "origin")


def test_unknown_charset(play: Play) -> None:
    with play.browsing(None, *["/odd/charset"] * 3):
        pass
    play.saw_only("changed", "origin")


def test_broken_gzip(play: Play) -> None:
    with play.browsing(None, *["/odd/gzip"] * 3):
        pass
    play.saw_only("changed", "origin")


# ---------------------------------------------------------------- events, disks, the clock


def test_event_buffer_full(play: Play) -> None:
    alone = play.sidecar(workers=1, SIDECAR_EVENTS_SPOOL_BYTES_MAX="0")
    with started(alone, play.stage.sealed()) as sidecar, play.browsing(sidecar, fresh=True):
        tell(sidecar, EVENTS_MAX + 1000)
    play.saw_only("changed", "origin")


def tell(sidecar: Sidecar, events: int) -> None:
    """Beacons of so many events, by a visitor who has consented."""
    body = b'{"events": [%s]}' % b",".join([b'{"name": "sold"}'] * beacons.EVENTS_MAX)
    unit = dated_unit(str(uuid4()), datetime.now(UTC))
    fields = (
        f"Content-Length: {len(body)}",
        "Content-Type: text/plain",
        "Sec-Fetch-Site: same-origin",
        f"Cookie: lm_uid={unit}",
    )
    with Line(sidecar.port) as line:
        for _ in range(0, events, beacons.EVENTS_MAX):
            assert line.ask(beacons.PATH, *fields, method="POST", body=body).status == 204


def test_snapshot_disk_full(play: Play) -> None:
    stage, disk_folder = play.stage, play.folder / "disk"
    disk_folder.mkdir()
    with small_disk(disk_folder) as disk:
        alone = play.sidecar(redis_url=stage.stack.valkey.url, SIDECAR_SNAPSHOT_DIR=str(disk_folder))
        with started(alone) as sidecar:
            until(lambda: snapshots(sidecar) == {"written"}, what="a snapshot")
            kept = (disk_folder / "table").read_bytes()
            with play.browsing(sidecar):
                disk.fill(sidecar)
                [version] = versions(sidecar)
                large = stage.stack.keys.sealed(pages.rules(500), *PADDING, version=version + 1)
                put(stage.stack.valkey.url, large, version + 1)
                until(lambda: snapshots(sidecar) == {"write_failed"}, what="a disk without room")
            assert (disk_folder / "table").read_bytes() == kept
    play.saw_only("changed", "origin")
    assert 500 in play.figures.editions
    for _ in range(3):
        stage.publish()


def snapshots(sidecar: Sidecar) -> set[str]:
    return {worker["table"]["snapshot"] for worker in sidecar.workers()}


def test_spool_disk_full(play: Play) -> None:
    disk_folder = play.folder / "disk"
    disk_folder.mkdir()
    with small_disk(disk_folder) as disk:
        (disk_folder / "table").write_bytes(play.stage.sealed())
        alone = play.sidecar(SIDECAR_SNAPSHOT_DIR=str(disk_folder))
        with started(alone) as sidecar, play.browsing(sidecar, fresh=True):
            disk.fill(sidecar)
            until(lambda: len(sidecar.events("spool_not_written")) == 2, 60.0, what="a disk without room")
    play.saw_only("changed", "origin")


def test_clock_jumps(play: Play) -> None:
    if not Path(FAKETIME).exists():
        pytest.skip(f"{FAKETIME} is not there (Debian package: libfaketime)")
    clock = Clock(FAKETIME, play.folder / "clock")
    with (
        started(play.sidecar(None, 2, **clock.settings), play.stage.sealed()) as sidecar,
        play.browsing(sidecar, fresh=True),
    ):
        for offset, least, most in (("+366d", 365 * 86_400, 367 * 86_400), ("-1d", 0, 0), ("+0", 0, 3600)):
            clock.jump(offset)
            until(partial(is_aged, sidecar, least, most), what=f"a clock at {offset}")
            play.stage.crowd.wait_for(100)
    play.saw_only("changed", "origin")
    assert sidecar.events("worker_ended", "worker_hung", "request_failed") == []


def is_aged(sidecar: Sidecar, least_s: float, most_s: float) -> bool:
    """Whether the table of each worker is that old, by its clock."""
    ages = sidecar.metric("layout_mutation_table_age_seconds")
    return len(ages) == 2 and all(least_s <= age <= most_s for age in ages)


# ---------------------------------------------------------------- processes


def gone(pid: int) -> bool:
    return not alive(pid)


def test_worker_crash(play: Play) -> None:
    killed: list[float] = []
    with play.browsing(killed_at=lambda: killed[-1]):
        for number in range(2):
            victim = play.stage.sidecar.workers()[number]
            os.kill(victim["pid"], signal.SIGKILL)
            until(partial(gone, victim["pid"]), what="the end of a worker")
            killed.append(time.monotonic())
            play.stage.settle()
    play.saw_only("changed", "origin")


def test_worker_hangs(play: Play) -> None:
    killed: list[float] = []
    with play.browsing(killed_at=lambda: killed[-1]):
        victim = play.stage.sidecar.workers()[0]
        os.kill(victim["pid"], signal.SIGSTOP)
        until(partial(gone, victim["pid"]), what="the end of a worker that hangs")
        killed.append(time.monotonic())
        play.stage.settle()
    play.saw_only("changed", "origin")


@pytest.mark.soak
def test_supervisor_hangs(play: Play) -> None:
    """One of the row's own; what it says afterwards is said by its successor."""
    with started(play.sidecar(), play.stage.sealed()) as sidecar:
        [supervisor] = psutil.Process(sidecar.pid).children()
        workers = sidecar.pids()
        with play.browsing(sidecar, fresh=True):
            supervisor.suspend()
            play.stage.crowd.wait_for(500)
            assert sidecar.events("supervisor_hung") == []
            until(lambda: bool(sidecar.events("restarted")), 60, what="another supervisor")
            until(partial(gone, supervisor.pid), what="the end of the one that stands still")
            for worker in workers:
                until(partial(gone, worker), 30, what="the end of its workers")
    play.saw_only("changed", "origin")


def test_rewriter_crash(play: Play) -> None:
    """Killed from outside, and by a page."""
    with play.browsing(), play.stage.sidecar.lines() as lines:
        assert lines[0].get("/odd/crashes/once").verdict == "passed; reason=rewrite_failed"
        held = "passed; reason=quarantined"
        until(lambda: all(line.get("/odd/crashes/once").verdict == held for line in lines), what="a page held by all")
        for worker in play.stage.sidecar.workers():
            if (child := worker["rewriter"]["pid"]) is not None:
                os.kill(child, signal.SIGKILL)
        play.stage.settle()
    play.saw_only("changed", "origin")


def test_rewriter_hangs(play: Play) -> None:
    with play.browsing():
        for worker in play.stage.sidecar.workers():
            child = worker["rewriter"]["pid"]
            os.kill(child, signal.SIGSTOP)
            until(partial(gone, child), what="the end of a rewriter that hangs")
        play.stage.settle()
    play.saw_only("changed", "origin")


def test_out_of_descriptors(play: Play) -> None:
    """More visitors than the workers have descriptors for; each leaves after some pages, and makes room."""
    sidecar = play.sidecar()
    sidecar.snapshot.parent.mkdir()
    sidecar.snapshot.write_bytes(play.stage.sealed())
    try:
        sidecar.spawn()
        resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))  # and what it starts
        sidecar.wait_until_ready()
        limits = {resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in sidecar.pids()}
        assert limits == {(DESCRIPTORS, DESCRIPTORS)}
        with play.browsing(sidecar, fresh=True, loads_of_connection=3):
            play.stage.crowd.wait_for(1000)
    finally:
        sidecar.stop()
    play.saw_only("changed", "origin")

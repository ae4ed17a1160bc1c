"""The proxy for minutes on end: every byte is right, the memory of each process is flat, and no descriptor is left open.

Sixty visitors load real pages and pages with tokens, up- and download, converse over WebSockets, follow events, and leave in
the middle of all of it, while a new table comes every few seconds. Run by `make soak`.
Counterparts: `shop` is the site, `visitors` the visitors.
"""

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import redis

from service.keys import Keys
from tests.end_to_end.stack import Sidecar, SigningKeys, inherited, until
from tests.soak.visitors import EDITS

WARM_SHARE, WARM_S_MIN = 0.3, 45.0
"""Of the time: until caches are full and the allocator has what it needs."""
SAMPLE_S = 2.0
GROWTH_MAX = 0.05
TABLE_EVERY_S = 5.0
QUIET_S_MAX = 60.0


class Watch:
    """Every process of a sidecar, looked at again and again while a block runs."""

    def __init__(self, sidecar: Sidecar, each: Callable[[], None]) -> None:
        self.samples: dict[str, list[int]] = {}
        self._sidecar = sidecar
        self._each = each
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_S):
            for name, pid in processes(self._sidecar).items():
                self.samples.setdefault(name, []).append(psutil.Process(pid).memory_info().rss)
            self._each()


def processes(sidecar: Sidecar) -> dict[str, int]:
    """Name -> process id, of the sidecar's first process, the workers, their children, and whatever else it has started."""
    found = {"sidecar": sidecar.pid}
    for worker in sidecar.workers():
        name = f"worker {worker['worker']}"
        children = {"rewriter": worker["rewriter"]["pid"], "verifier": worker["verification"]["pid"]}
        found |= {name: worker["pid"], **{f"{name}'s {kind}": pid for kind, pid in children.items() if pid}}
    others = {child.pid for child in psutil.Process(sidecar.pid).children(recursive=True)} - set(found.values())
    return found | {f"other {number}": pid for number, pid in enumerate(sorted(others))}


def descriptors(sidecar: Sidecar) -> dict[str, int]:
    """Name -> open files and sockets."""
    return {name: len(list(Path(f"/proc/{pid}/fd").iterdir())) for name, pid in processes(sidecar).items()}


@contextmanager
def shop() -> Iterator[str]:
    """The site; its address."""
    command = [sys.executable, "-m", "tests.soak.shop"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=inherited(), text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def visited(sidecar: Sidecar, seconds: float) -> dict[str, Any]:
    """What the visitors did in so many seconds."""
    command = [sys.executable, "-m", "tests.soak.visitors", str(sidecar.port), str(seconds)]
    ran = subprocess.run(command, env=inherited(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


class Publisher:
    """Puts a newer table into Redis now and then; the rules are the same, so every page stays what it is."""

    def __init__(self, redis_url: str, environment: str, keys: SigningKeys) -> None:
        self.version = 0
        self._client = redis.Redis.from_url(redis_url)
        self._names = Keys(environment)
        self._keys = keys
        self._due = 0.0

    def look(self) -> None:
        """Publish where it is time."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + TABLE_EVERY_S
        self.version += 1
        rules = {"id": "soaked", "mutationType": "set", "mutationPayload": {"operations": EDITS}}
        sealed = self._keys.sealed(rules, version=self.version)
        self._client.mset({self._names.table: sealed, self._names.table_version: self.version})
        self._client.publish(self._names.tables, self.version)

    def close(self) -> None:
        self._client.close()


@pytest.mark.timeout(0)
def test_the_proxy_runs_for_minutes(
    soak_seconds: float,
    figures: Callable[[str], None],
    redis_url: str,
    redis_environment: str,
    tmp_path: Path,
) -> None:
    keys = SigningKeys()
    publisher = Publisher(redis_url, redis_environment, keys)
    with shop() as origin:
        sidecar = Sidecar(
            tmp_path,
            keys,
            origin,
            workers=2,
            REDIS_URL=redis_url,
            LAYOUT_MUTATION_ENVIRONMENT=redis_environment,
            SIDECAR_MEMO_BYTES_MAX=str(16 * 1024 * 1024),
            SIDECAR_SKELETON_BYTES_MAX=str(8 * 1024 * 1024),
            SIDECAR_VERIFY_SHARE="1",
        )
        try:
            sidecar.start()
            publisher.look()
            warm_s = max(WARM_S_MIN, soak_seconds * WARM_SHARE)
            with Watch(sidecar, publisher.look) as warming:
                warm = visited(sidecar, warm_s)
            before = quiet(sidecar)
            with Watch(sidecar, publisher.look) as watch:
                told = visited(sidecar, max(30.0, soak_seconds - warm_s))
            after = quiet(sidecar, at_most=before)
        finally:
            sidecar.stop()
            publisher.close()
    say(figures, told, publisher.version, warming.samples, watch.samples, before, after)
    assert (warm["failures"], told["failures"]) == ([], [])
    assert sidecar.events("worker_ended", "worker_hung", "request_failed", "rewriting_failed") == []
    assert grown(watch.samples) == {}
    assert {name: count for name, count in after.items() if count > before[name]} == {}


def quiet(sidecar: Sidecar, at_most: dict[str, int] | None = None) -> dict[str, int]:
    """The descriptors once nobody is there any more: no more of any process than `at_most`, or the same three times."""
    seen: list[dict[str, int]] = []
    pause = threading.Event()

    def is_quiet() -> bool:
        pause.wait(SAMPLE_S)
        seen.append(descriptors(sidecar))
        if at_most is not None:
            return all(count <= at_most.get(name, 0) for name, count in seen[-1].items())
        return len(seen) > 5 and seen[-1] == seen[-2] == seen[-3]

    try:
        until(is_quiet, QUIET_S_MAX, what="quiet")
    except AssertionError as error:
        error.add_note(f"{seen[-1]} where {at_most} were expected")
        raise
    return seen[-1]


def ends(samples: list[int]) -> tuple[float, float]:
    """The median of the first and of the last fifth."""
    fifth = max(1, len(samples) // 5)
    return statistics.median(samples[:fifth]), statistics.median(samples[-fifth:])


def grown(samples: dict[str, list[int]]) -> dict[str, tuple[float, float]]:
    """Processes whose memory is not what it was, and their bytes."""
    found = {name: ends(values) for name, values in samples.items()}
    return {name: (first, last) for name, (first, last) in found.items() if abs(last - first) > GROWTH_MAX * first}


def say(
    figures: Callable[[str], None],
    told: dict[str, Any],
    tables: int,
    warming: dict[str, list[int]],
    samples: dict[str, list[int]],
    before: dict[str, int],
    after: dict[str, int],
) -> None:
    done = ", ".join(f"{count:,} {kind}" for kind, count in sorted(told["done"].items()))
    figures(f"proxy: {done}; {told['failed']} failed; {tables} tables")
    for name, values in samples.items():
        first, last = ends(values)
        megabytes = f"{ends(warming.get(name, values))[0] / 1e6:.1f}, {first / 1e6:.1f}, {last / 1e6:.1f} MB"
        opened = f"{before.get(name)}, {after.get(name)} descriptors"
        figures(f"proxy: {name}: {megabytes} cold, warm, at the end ({last / first - 1:+.1%}); {opened}")

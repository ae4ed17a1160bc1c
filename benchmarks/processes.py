"""What is measured, started: each in a process of its own, bound to one core, and gone when the block ends.

The proxy under test has core 0 for itself, origin and load share core 1; so a proxy's figure is what one core can do, and
the page rewriter's child counts against it. Where there is one core, or no way to bind (macOS), everything shares.
Counterparts: `proxy`, `peers`, `latency`; `publish` alone has a Redis. Never: PostgreSQL; elsewhere the table is a snapshot
sealed with a key made for the run.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from rules.sealing import key_id, seal
from rules.table import DecisionTable

PROXY_CPU = 0
LOAD_CPU = 1
START_S_MAX = 20.0
STOP_S_MAX = 5.0
_CLONE = Path(__file__).resolve().parent.parent
_CPUS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
"""What this program was given when it began."""
_NO_REDIS = "redis://127.0.0.1:1/0"
"""Nobody listens there: the sidecar goes on with its snapshot, which is what it is for."""


class Running(Struct, frozen=True):
    """A process that answers HTTP."""

    address: str
    """`http://host:port`"""
    pid: int

    def cpu_s(self) -> float:
        """Processor time that it and its descendants have used so far, in seconds."""
        process = psutil.Process(self.pid)
        times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
        return float(sum(time.user + time.system for time in times))


def stop_cleanly() -> None:
    """Let SIGTERM end this program as Ctrl-C does: what it has started is stopped too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Processes started in this block run on this core only, also in a block for another core."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu} & _CPUS or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def started(module: str, *arguments: str, cpu: int) -> Iterator[Running]:
    """A module of ours that says its port on its first line."""
    with pinned(cpu):
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=_CLONE, stdout=subprocess.PIPE, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        if not line.isdigit():
            raise RuntimeError(f"{module} did not start")
        yield Running(f"http://127.0.0.1:{line}", process.pid)
    finally:
        _stop(process)


@contextmanager
def sidecar(
    upstream: str,
    folder: Path,
    table: DecisionTable | None,
    *,
    listen: str = "127.0.0.1:0",
    redis_url: str = _NO_REDIS,
    **settings: str,
) -> Iterator[Running]:
    """A sidecar with one worker on core 0. `settings` are further SIDECAR_* variables.

    `folder` is for this sidecar alone: snapshot and log. Raises RuntimeError, with the end of the log, if it does not
    start.
    """
    folder.mkdir(parents=True)
    given = {
        "SIDECAR_UPSTREAM": upstream,
        "SIDECAR_LISTEN": listen,
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        "SIDECAR_WORKERS": "1",
        "REDIS_URL": redis_url,
        "LAYOUT_MUTATION_ENVIRONMENT": "benchmark",
        **(_snapshot(folder, table) if table is not None else {}),
        **{f"SIDECAR_{name.upper()}": value for name, value in settings.items()},
    }
    log = folder / "log"
    with log.open("wb") as file, pinned(PROXY_CPU):
        process = subprocess.Popen(
            [sys.executable, "-m", "sidecar"], cwd=folder, env=_environment(given), stdout=file, stderr=file
        )
    try:
        yield Running(f"http://{_address(process, log)}", process.pid)
    finally:
        _stop(process)


def _snapshot(folder: Path, table: DecisionTable) -> dict[str, str]:
    """Seal the table with a fresh key where the sidecar looks for its last good one; the settings that say so."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    (folder / "table").write_bytes(seal(table, key_id=key_id(public), sign=key.sign))
    return {
        "SIDECAR_SNAPSHOT_DIR": str(folder),
        "SIDECAR_TABLE_PUBLIC_KEYS": base64.b64encode(public).decode(),
    }


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what configures another sidecar."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIDECAR_", "CONTROL_PLANE_"))}
    return {**kept, "PYTHONPATH": str(_CLONE), **given}


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Where a starting sidecar says that it listens."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"ready"' in line and (event := json.loads(line)).get("event") == "ready":
                return str(event["listen"])
        time.sleep(0.05)
    raise RuntimeError(f"the sidecar did not start: {log.read_text(encoding='utf-8')[-1000:]}")


def _stop(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()

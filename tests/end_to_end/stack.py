"""The product as it runs: Valkey, control plane and sidecar as real processes, started with settings, ended whatever happens.

Counterparts: `site.py` is the origin behind it, `visitor.py` who comes. What a process logs is kept in a file and shown
when a test fails. Never: a double, or a look inside a process that an operator could not take.
"""

import base64
import http.client
import os
import re
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane import tokens
from layout_mutation.embedded.ports import free_port
from layout_mutation.embedded.valkey import EmbeddedValkey
from layout_mutation.processes import ChildProcess, Program
from rules.compiler import compile_table
from rules.model import decode_rules
from rules.sealing import key_id, seal
from tests.end_to_end.visitor import Line

ROOT = Path(__file__).parents[2]
START_S_MAX = 60.0
ANSWER_S_MAX = 60.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.005, 0.05
"""Between two questions whether something has happened."""
API = "/api/layout-mutation"
FOREIGN = ("SIDECAR_", "CONTROL_PLANE_", "DATABASE_URL", "REDIS_URL", "LAYOUT_MUTATION_", "LOG_LEVEL")
"""Variables of whoever runs the tests that must not reach the processes."""


def until(happened: Callable[[], bool], within_s: float = ANSWER_S_MAX, *, what: str = "it") -> float:
    """Ask again and again until `happened()`; how many seconds that took, to a tenth.

    What takes long is asked for less often: each question may go to a supervisor and through it to every worker, and all of
    them have something better to do.
    """
    began, pause = time.monotonic(), threading.Event()
    while not happened():
        gone = time.monotonic() - began
        assert gone < within_s, f"{what} did not happen within {within_s:g} s"
        pause.wait(min(PAUSE_S_MIN + gone / 10, PAUSE_S_MAX))
    return time.monotonic() - began


def inherited() -> dict[str, str]:
    """The environment of a process of ours: that of the tests without settings, and with this clone's packages.

    It knows no public authorities, as no test speaks to anybody else's server: reading 150 certificates twice, as aiohttp
    does when it is imported, is a sixth of what a worker's start costs.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    own.setdefault("SSL_CERT_FILE", os.devnull)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**own, "PYTHONPATH": os.pathsep.join(paths)}


class SigningKeys:
    """A signing key as the control plane gets it, and its public half as the sidecar does."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.signing = base64.b64encode(self.private.private_bytes_raw()).decode()
        self.public = base64.b64encode(self.private.public_key().public_bytes_raw()).decode()
        self.jwt_secret = secrets.token_hex(32)

    def sealed(
        self, *mutations: Mapping[str, Any], experiments: Sequence[Mapping[str, Any]] = (), version: int = 7
    ) -> bytes:
        """A decision table as the control plane publishes it, with this key's signature."""
        rules = decode_rules(msgspec.json.encode({"mutations": mutations, "experiments": experiments}))
        table = compile_table(rules, version=version, now=datetime.now(UTC))
        return seal(table, key_id=key_id(base64.b64decode(self.public)), sign=self.private.sign)


class Service:
    """One program of ours. `environment` is all it knows; it may be changed between two starts."""

    def __init__(self, name: str, module: str, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.name = name
        self.environment = environment
        self.log = folder / f"{name}.log"
        self._module = (module, *arguments)
        self._folder = folder
        self._child: ChildProcess | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        assert self._child is not None
        assert self._child.pid is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exit_code() is None

    def spawn(self) -> None:
        """Start it; returns at once."""
        program = Program(
            name=self.name,
            command=(sys.executable, "-m", *self._module),
            record=self._folder / f"{self.name}.pid",
            log=self.log,
            environment={**inherited(), "PYTHONUNBUFFERED": "1", **self.environment},
            folder=self._folder,
        )
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._child = ChildProcess(program)
        self._child.spawn()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself and to nobody else."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to the program alone, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        until(lambda: not self.running, what=f"the end of {self.name}")

    def stop(self) -> None:
        """End it and whatever is left of its session. Safe to call twice."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def text(self) -> str:
        """What it has printed since its last start."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The lines of its log since its last start, as JSON; only those of some events if given."""
        whole, _, _ = self.text().rpartition("\n")
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        events = [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]
        return [event for event in events if not names or event["event"] in names]

    def wait_for(self, event: str, within_s: float = START_S_MAX) -> dict[str, Any]:
        """The first line of that event."""

        def said() -> bool:
            assert self.running, f"{self.name} ended before it said {event!r}:\n{self.text()[-3000:]}"
            return bool(self.events(event))

        try:
            until(said, within_s, what=f"{event!r} of {self.name}")
        except AssertionError as error:
            error.add_note(self.text()[-3000:])
            raise
        return self.events(event)[0]


class ControlPlane(Service):
    """`python -m control_plane` on a port that stays the same over restarts."""

    def __init__(self, folder: Path, keys: SigningKeys, **environment: str) -> None:
        given = {
            "CONTROL_PLANE_SIGNING_KEY": keys.signing,
            "CONTROL_PLANE_JWT_SECRET": keys.jwt_secret,
            "CONTROL_PLANE_DATA_DIR": str(folder / "control-plane-data"),
            "CONTROL_PLANE_LISTEN": "127.0.0.1:0",
        }
        super().__init__("control-plane", "control_plane", folder, given | environment)
        self._bearer = tokens.issue(keys.jwt_secret, role="admin", subject="test")
        self.port = 0

    def wait_until_ready(self) -> None:
        """Wait until changes can be made."""
        self.port = self.wait_for("listening")["port"]
        self.environment["CONTROL_PLANE_LISTEN"] = f"127.0.0.1:{self.port}"
        self.wait_for("ready")

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """The JSON that the API answers below its prefix; fails on anything but 2xx."""
        headers = {"Authorization": f"Bearer {self._bearer}", "Content-Type": "application/json"}
        body = None if document is None else msgspec.json.encode(document)
        status, answer = fetch(self.port, f"{API}/{path}", method=method, body=body, headers=headers)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer!r}"
        return msgspec.json.decode(answer)


class Sidecar(Service):
    """`python -m sidecar` on ports that stay the same over restarts."""

    def __init__(self, folder: Path, keys: SigningKeys, upstream: str, *, workers: int = 2, **environment: str) -> None:
        self.snapshot = folder / "snapshot" / "table"
        given = {
            "SIDECAR_UPSTREAM": upstream,
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
            "SIDECAR_WORKERS": str(workers),
            "SIDECAR_SNAPSHOT_DIR": str(self.snapshot.parent),
            "SIDECAR_TABLE_PUBLIC_KEYS": keys.public,
            "SIDECAR_DRAIN_S": "2",
        }
        super().__init__("sidecar", "sidecar", folder, given | environment)
        self.port = 0
        self.admin_port = 0

    def wait_until_ready(self) -> None:
        """Wait until every worker serves."""
        ready = self.wait_for("ready")
        self.port, self.admin_port = (int(ready[name].rpartition(":")[2]) for name in ("listen", "admin"))
        self.environment["SIDECAR_LISTEN"] = f"127.0.0.1:{self.port}"
        self.environment["SIDECAR_ADMIN_LISTEN"] = f"127.0.0.1:{self.admin_port}"

    def start(self, snapshot: bytes | None = None) -> None:
        """Start it, with `snapshot` on its disk if given, and wait until every worker serves."""
        if snapshot is not None:
            self.snapshot.parent.mkdir(exist_ok=True)
            self.snapshot.write_bytes(snapshot)
        self.spawn()
        self.wait_until_ready()

    def workers(self) -> list[dict[str, Any]]:
        """What `/table` says of each worker."""
        status, answer = fetch(self.admin_port, "/table")
        assert status == 200, answer
        found: list[dict[str, Any]] = msgspec.json.decode(answer)["workers"]
        return found

    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker["pid"] for worker in self.workers()]

    def metric(self, name: str, **labels: str) -> list[float]:
        """The values of every sample of a metric that has these labels, from `/metrics`."""
        status, answer = fetch(self.admin_port, "/metrics")
        assert status == 200, answer
        found = []
        for line in answer.decode().splitlines():
            match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if match and match[1] == name:
                has = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                if labels.items() <= has.items():
                    found.append(float(match[3]))
        return found

    @contextmanager
    def lines(self, target: str = "/") -> Iterator[list[Line]]:
        """One connection to each worker, in the order of `workers()`: while it opens, every other worker stands still."""
        pids = self.pids()
        lines: list[Line] = []
        try:
            for pid in pids:
                with standing_still(*(other for other in pids if other != pid)):
                    lines.append(Line(self.port))
                    lines[-1].get(target)
            yield lines
        finally:
            for line in lines:
                line.close()


class Stack:
    """Valkey, control plane and sidecar of one installation in `folder`, in front of `upstream`.

    `control_plane` and `sidecar` are further variables of the two planes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        upstream: str,
        workers: int = 2,
        control_plane: Mapping[str, str] | None = None,
        **sidecar: str,
    ) -> None:
        self.keys = SigningKeys()
        # A port of its own for both its lives: the planes know no other address.
        self.valkey = EmbeddedValkey(folder / "valkey", free_port(), password=secrets.token_hex(16), durable=False)
        self._folder = folder
        self._database_url = database_url
        self._upstream = upstream
        self._workers = workers
        self._of_control_plane = dict(control_plane or {})
        self._settings = sidecar

    def start(self) -> None:
        """Start everything; comes back when pages are served and changes can be made."""
        self.valkey.start()
        shared = {"REDIS_URL": self.valkey.url}
        self.control_plane = ControlPlane(
            self._folder, self.keys, DATABASE_URL=self._database_url, **shared, **self._of_control_plane
        )
        self.sidecar = Sidecar(
            self._folder, self.keys, self._upstream, workers=self._workers, **shared, **self._settings
        )
        for service in (self.control_plane, self.sidecar):
            service.spawn()
        self.control_plane.wait_until_ready()
        self.sidecar.wait_until_ready()

    def stop(self) -> None:
        """End everything. Safe to call at any time."""
        for name in ("sidecar", "control_plane"):
            service: Service | None = getattr(self, name, None)
            if service is not None:
                service.stop()
        self.valkey.stop()

    def kill_valkey(self) -> None:
        """SIGKILL, and wait until it is gone."""
        child = self.valkey.child
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: child.exit_code() is not None, what="the end of Valkey")

    def publish(self, *mutations: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Create mutations and wait until every worker has them; the mutations as saved."""
        saved = [self.control_plane.ask("POST", "mutations", mutation) for mutation in mutations]
        version = saved[-1]["publication"]["tableVersion"]
        until(
            lambda: all(worker["table"]["version"] == version for worker in self.sidecar.workers()),
            what=f"table {version} in every worker",
        )
        return saved

    def logs(self) -> Iterator[tuple[str, str]]:
        """What each process has said, by name."""
        for log in sorted(self._folder.rglob("*.log")):
            yield log.name, log.read_text("utf-8", "replace")


@contextmanager
def alone(
    folder: Path, upstream: str, keys: SigningKeys, snapshot: bytes | None, *, workers: int = 2, **environment: str
) -> Iterator[Sidecar]:
    """A sidecar whose Redis is away and whose control plane was never there: all it has is its disk."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    sidecar = Sidecar(folder, keys, upstream, workers=workers, REDIS_URL=away, **environment)
    try:
        sidecar.start(snapshot)
        yield sidecar
    finally:
        sidecar.stop()


@contextmanager
def standing_still(*pids: int) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end of the block. Short blocks only: a supervisor replaces who does not answer."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            until(partial(_stands_still, pid), what=f"the halt of {pid}")
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    return state(pid) in "TtZX"


def state(pid: int) -> str:
    """The kernel's letter for what a process does (proc(5)); `X` when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return state(pid) not in "ZX"


def fetch(
    port: int, path: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of one request, for the internal listeners and the API."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()

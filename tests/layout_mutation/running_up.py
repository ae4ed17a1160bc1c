"""An `up` that runs as a process of its own, as a person would run it, and what a test wants to know of it."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from layout_mutation import tether
from layout_mutation.embedded.ports import free_port
from layout_mutation.installation import Installation
from layout_mutation.up import stop_leftovers

ROOT = Path(__file__).parents[2]
WITH_STAND_INS = (sys.executable, str(Path(__file__).with_name("up_with_stand_ins.py")))
START_S_MAX = 60.0
STOP_S_MAX = 40.0


@dataclass
class RunningUp:
    """`up` in `folder / "data"`, with free ports that stay the same over restarts."""

    folder: Path
    command: tuple[str, ...] = WITH_STAND_INS
    options: tuple[str, ...] = ("--demo",)
    environment: dict[str, str] = field(default_factory=dict)
    started: bool = False
    ports: tuple[int, int, int] = field(default_factory=lambda: (free_port(), free_port(), free_port()))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def arguments(self) -> list[str]:
        site, admin, demo = (str(port) for port in self.ports)
        ports = ["--port", site, "--admin-port", admin, "--demo-port", demo]
        return [*self.command, *self.options, "--data-dir", str(self.data), *ports]

    def start(self) -> Self:
        """Start it and come back when it says that everything runs, or when it has ended."""
        self.begin()
        assert self._settled.wait(START_S_MAX), self.text
        return self

    def begin(self) -> None:
        """Start it and come back at once."""
        inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        given = {"PYTHONPATH": str(ROOT), "STAND_IN_FOLDER": str(self.folder), "PYTHONUNBUFFERED": "1"}
        self.output: list[str] = []
        self._settled = threading.Event()
        self.process = subprocess.Popen(
            self.arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited | given | self.environment,
            cwd=self.folder,
            start_new_session=True,
        )
        self.started = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.output.append(line.rstrip())
                if "Ctrl-C stops everything" in line:
                    self._settled.set()
        self._settled.set()

    @property
    def text(self) -> str:
        return "\n".join(self.output)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send the signal and wait for the end; the exit code."""
        if self.running:
            self.process.send_signal(number)
        code = self.process.wait(STOP_S_MAX)
        self._reader.join(STOP_S_MAX)
        return code

    def service(self, name: str) -> dict[str, Any]:
        """What the stand-in `name` was given, with its pid."""
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def processes(self) -> dict[str, int]:
        """Name -> pid of every process on record."""
        files = {file.name: file for file in self.data.glob("run/*") if "." not in file.name}
        files |= {file.parent.name: file for file in self.data.glob("*/running")}
        return {name: int(file.read_text().split()[0]) for name, file in files.items()}

    def dispose(self) -> None:
        """End it if it still runs, and whatever a killed one left running."""
        if self.started and self.running:
            self.end(signal.SIGTERM)
        if (self.data / "run").is_dir():
            stop_leftovers(Installation(self.data))


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    return tether.identity(pid) is not None


def family(leader: int) -> set[int]:
    """The living processes of the session that `leader` opened (Linux)."""
    members = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, _, session, *_ = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == leader and state not in "ZX":
                members.add(int(entry.name))
    return members


def wait_for(condition: Any, within_s: float = 20.0) -> None:
    """Wait until `condition()` is true."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen in time")

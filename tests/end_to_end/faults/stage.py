"""What the fault matrix is played on: the shop, a crowd, an installation, and the means to break each of them.

Counterparts: `crowd` and `origin` are the processes that are started here, `tests.end_to_end.stack` starts the rest.
Never: a fault of its own; rows bring them.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from sidecar.fail_open import Row
from tests.end_to_end.faults import pages
from tests.end_to_end.faults.crowd import Figures, Order
from tests.end_to_end.stack import ROOT, Sidecar, inherited, until

ANSWER_S_MAX = 40.0
INJECTED = ROOT / "tests" / "end_to_end" / "faults" / "injected"


class Helper:
    """A Python module of this folder as a process that is talked to by lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"tests.end_to_end.faults.{module}", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=inherited(), text=True, bufsize=1
        )

    def line(self) -> str:
        """The next line that it prints."""
        said = self.process.stdout
        assert said is not None
        found: list[str] = []
        reader = threading.Thread(target=lambda: found.append(said.readline()), daemon=True)
        reader.start()
        reader.join(ANSWER_S_MAX)
        assert found, "it says nothing"
        assert found[0], "it has ended"
        return found[0]

    def say(self, line: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Safe to call twice."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Origin(Helper):
    """The shop, on an address that stays the same over its lives."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        super().__init__("origin", address, str(port))
        self.url = f"http://{address}:{port}"
        assert self.line() == "ready\n"


class Crowd(Helper):
    """Visitors who come when they are told to."""

    def __init__(self) -> None:
        super().__init__("crowd")

    def order(self, order: Order) -> Figures:
        """Have an order carried out; what was seen so far."""
        self.say(msgspec.json.encode(order).decode())
        return msgspec.json.decode(self.line(), type=Figures | None) or Figures()

    def begin(self, port: int, *targets: str, **options: Any) -> None:
        """Let them come, and wait until each has seen something."""
        order = Order("begin", port, targets=list(targets or pages.targets()), **options)
        self.order(order)
        self.wait_for(order.people)

    def figures(self) -> Figures:
        """What they have seen so far."""
        return self.order(Order("figures"))

    def wait_for(self, more: int, within_s: float = ANSWER_S_MAX) -> None:
        """Wait until so many more pages were asked for."""
        wanted = self.figures().requests + more
        until(lambda: self.figures().requests >= wanted, within_s, what=f"{more} pages")

    def end(self) -> Figures:
        """Let them go."""
        return self.order(Order("end"))


def sidecar_settings() -> dict[str, str]:
    """Of a sidecar whose processes have the bugs of `injected`."""
    path = os.pathsep.join([str(INJECTED), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**pages.SETTINGS, "PYTHONPATH": path}


class Watch:
    """What a sidecar says while a row is played: each event and each metric of the row must come."""

    def __init__(self, sidecar: Sidecar, row: Row, *, fresh: bool = False) -> None:
        self._sidecar = sidecar
        self._row = row
        self._said = 0 if fresh else len(sidecar.events())
        self._before = {} if fresh else {metric: self._value(metric) for metric in row.metrics}

    def wait(self, within_s: float = ANSWER_S_MAX) -> None:
        """Wait until all of it has come."""
        try:
            until(lambda: not self.missing(), within_s, what="what the row says")
        except AssertionError as error:
            error.add_note(f"missing: {self.missing()}")
            raise

    def missing(self) -> list[str]:
        """What has not come yet."""
        said = {event["event"] for event in self._sidecar.events()[self._said :]}
        logs = [event for event in self._row.logs if event not in said]
        return logs + [m for m in self._row.metrics if self._value(m) <= self._before.get(m, 0.0)]

    def _value(self, metric: str) -> float:
        name, _, rest = metric.partition("{")
        labels = dict(pair.split("=") for pair in rest.rstrip("}").split(",")) if rest else {}
        found = self._sidecar.metric(name, **{key: value.strip('"') for key, value in labels.items()})
        return sum(found)


@contextmanager
def started(sidecar: Sidecar, snapshot: bytes | None = None) -> Iterator[Sidecar]:
    """A sidecar of a row's own."""
    try:
        sidecar.start(snapshot)
        yield sidecar
    finally:
        sidecar.stop()


def variables(redis_url: str, **more: str) -> Mapping[str, str]:
    """What a sidecar of a row's own is started with."""
    return {**sidecar_settings(), "REDIS_URL": redis_url, **more}


def folder_of(parent: Path, name: str) -> Path:
    """A new folder."""
    made = parent / name
    made.mkdir()
    return made

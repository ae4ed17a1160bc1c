"""The load at a given rate: requests leave when they are due, whether or not earlier ones were answered.

A latency counts from when its request was due, so that a server that stalls is charged for everybody who came meanwhile.
The program runs on its own, beside the origin on the load's core, with `select`, whose timeouts are finer than the
milliseconds of `epoll` and uvloop: at 2,000 a second requests would leave in bunches otherwise.
Counterparts: `load` asks as fast as it is answered and finds the most that a server can do; `latency` and `publish` ask at
half of that. Never: a queue without a bound; a server that can't keep up ends the measurement.
"""

import argparse
import asyncio
import gc
import json
import re
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import cycle
from typing import cast

from msgspec import Struct

from benchmarks.processes import LOAD_CPU, pinned

CONNECTIONS = 64
"""At half load a few are busy at a time; with all of them busy requests wait, and that counts."""
WAITING_MAX = 5_000
DRAIN_S_MAX = 5.0
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


class Paced(Struct, frozen=True):
    """What one measurement found, in milliseconds, in the order of the answers."""

    latencies_ms: list[float]
    late_ms: list[float]
    """How late each request left for want of the load's own time or of a connection; a part of its latency."""
    errors: int


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure that so large a share of them does not exceed; 0 of none."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Pace:
    """A load that has been started; `figures` waits for its end."""

    def __init__(self, address: str, targets: Sequence[str], *, rate: float, seconds: float) -> None:
        """`address` is `http://host:port`; `targets` are asked for in turn."""
        self._seconds = seconds
        command = [sys.executable, "-m", "benchmarks.paced", address, str(rate), str(seconds), *targets]
        with pinned(LOAD_CPU):
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def figures(self) -> Paced:
        """Raises RuntimeError where the server could not keep up."""
        try:
            said, complained = self._process.communicate(timeout=self._seconds + 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise RuntimeError("the load did not end") from None
        if self._process.returncode != 0:
            raise RuntimeError(f"the load failed: {complained.strip()[-300:]}")
        return Paced(**json.loads(said))


def measure(address: str, targets: Sequence[str], *, rate: float, seconds: float) -> Paced:
    """Ask at that rate for so long. Raises RuntimeError where the server could not keep up."""
    return Pace(address, targets, rate=rate, seconds=seconds).figures()


class _Load:
    """Requests that are due, and connections that are idle."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.latencies_ms: list[float] = []
        self.late_ms: list[float] = []
        self.errors = 0
        self.busy = 0
        self._requests = cycle(requests)
        self._due: deque[float] = deque()
        self._idle: list[_Connection] = []

    def ask(self, due: float) -> None:
        """A request for that moment of `perf_counter`, which is now or was before."""
        if len(self._due) >= WAITING_MAX:
            raise RuntimeError(f"{WAITING_MAX:,} requests wait: the server can't keep up")
        self._due.append(due)
        self._go_on()

    def is_idle(self, connection: "_Connection") -> None:
        self._idle.append(connection)
        self._go_on()

    def _go_on(self) -> None:
        while self._due and self._idle:
            due, connection = self._due.popleft(), self._idle.pop()
            self.busy += 1
            self.late_ms.append((time.perf_counter() - due) * 1e3)
            connection.ask(next(self._requests), due)

    def answered(self, connection: "_Connection", due: float, *, is_error: bool) -> None:
        self.latencies_ms.append((time.perf_counter() - due) * 1e3)
        self.errors += is_error
        self.busy -= 1
        self.is_idle(connection)

    @property
    def outstanding(self) -> int:
        return self.busy + len(self._due)


class _Connection(asyncio.Protocol):
    """One request at a time; responses must have a Content-Length."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.WriteTransport | None = None
        self._due = 0.0
        self._head = b""
        self._missing = -1
        """Bytes of the body that are still to come; -1 while the head is."""
        self._is_error = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._load.is_idle(self)

    def ask(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due, self._head, self._missing = due, b"", -1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            length = _CONTENT_LENGTH.search(head)
            self._is_error = not head.startswith(b"HTTP/1.1 200") or length is None
            self._missing = int(length[1]) if length else 0
        self._missing -= len(data)
        if self._missing <= 0:
            self._load.answered(self, self._due, is_error=self._is_error)


async def _paced(host: str, port: int, targets: Sequence[str], rate: float, seconds: float) -> Paced:
    load = _Load([f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() for target in targets])
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: _Connection(load), host, port) for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        while (early := due - time.perf_counter()) > 0:  # noqa: ASYNC110  a moment, which no event tells of
            await asyncio.sleep(early)
        load.ask(due)
    deadline = time.perf_counter() + DRAIN_S_MAX
    while load.outstanding and time.perf_counter() < deadline:  # noqa: ASYNC110  the last answers, once
        await asyncio.sleep(0.001)
    for transport, _ in made:
        transport.abort()
    return Paced(load.latencies_ms, load.late_ms, load.errors + load.outstanding)


def main() -> None:
    """`python -m benchmarks.paced ADDRESS RATE SECONDS TARGET…`; figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paced", description="Asks a web server at a given rate."
    )
    parser.add_argument("address", help="http://host:port")
    parser.add_argument("rate", type=float, help="requests per second")
    parser.add_argument("seconds", type=float)
    parser.add_argument("targets", nargs="+", help="asked for in turn")
    options = parser.parse_args()
    name, _, port = options.address.removeprefix("http://").partition(":")
    gc.disable()  # a look for garbage would be a stall of nobody's but the load's own
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        figures = runner.run(_paced(name, int(port), options.targets, options.rate, options.seconds))
    print(json.dumps({field: getattr(figures, field) for field in figures.__struct_fields__}))


if __name__ == "__main__":
    main()

"""The load: so many keep-alive connections, each asking again as soon as it was answered; requests per second, latencies.

wrk where it is installed, else a small client of our own on uvloop, in a process of its own. Ours costs more than wrk, and
what it costs the origin on the same core lacks: never compare figures of the two.
Counterpart: `proxy`. Never: requests at a given rate; a proxy that stalls is asked less often meanwhile, so the 99th
percentile is that of a full queue, not of a visitor.
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from typing import cast

import uvloop
from msgspec import Struct

from benchmarks.processes import LOAD_CPU, pinned

CONNECTIONS = 32
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


class Figures(Struct, frozen=True):
    """What one measurement found. Latencies are in milliseconds."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    errors: int


def tool() -> str:
    """What makes the load on this machine: `wrk` or `python`."""
    return "wrk" if shutil.which("wrk") else "python"


def measure(url: str, seconds: int, *, connections: int = CONNECTIONS) -> Figures:
    """Ask for `url` for so long. Raises RuntimeError if nothing was answered."""
    if tool() == "wrk":
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
        read = _of_wrk
    else:
        command = [sys.executable, "-m", "benchmarks.load", url, str(seconds), str(connections)]
        read = _of_ours
    with pinned(LOAD_CPU):
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed on {url}: {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}")
    figures = read(done.stdout)
    if not figures.requests_per_s:
        raise RuntimeError(f"{url} did not answer")
    return figures


def _of_wrk(said: str) -> Figures:
    def of(pattern: str) -> re.Match[str]:
        found = re.search(pattern, said)
        if found is None:
            raise RuntimeError(f"wrk said something else than usual: {said[-300:]}")
        return found

    def latency(percent: str) -> float:
        found = of(rf"\b{percent}%\s+([0-9.]+)(us|ms|s|m)\b")
        return float(found[1]) * _UNITS_MS[found[2]]

    bad = re.search(r"Non-2xx or 3xx responses: ([0-9]+)", said)
    broken = re.search(r"Socket errors: connect ([0-9]+), read ([0-9]+), write ([0-9]+), timeout ([0-9]+)", said)
    return Figures(
        requests_per_s=float(of(r"Requests/sec:\s+([0-9.]+)")[1]),
        p50_ms=latency("50"),
        p99_ms=latency("99"),
        requests=int(of(r"([0-9]+) requests in")[1]),
        errors=(int(bad[1]) if bad else 0) + (sum(map(int, broken.groups())) if broken else 0),
    )


def _of_ours(said: str) -> Figures:
    return Figures(**json.loads(said))


# ---- our own client


class _Client(asyncio.Protocol):
    """One connection; responses must have a Content-Length."""

    def __init__(self, request: bytes, latencies_s: list[float]) -> None:
        self._request = request
        self._latencies_s = latencies_s
        self._transport: asyncio.WriteTransport | None = None
        self._asked = 0.0
        self._head = b""
        self._missing = 0
        self.errors = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            length = _CONTENT_LENGTH.search(head)
            self.errors += not head.startswith(b"HTTP/1.1 200") or length is None
            self._missing = (int(length[1]) if length else 0) - len(body)
            self._head = b""
        if self._missing <= 0:
            self._missing = 0
            self._latencies_s.append(time.perf_counter() - self._asked)
            self._ask()


async def _load(host: str, port: int, target: str, seconds: float, connections: int) -> Figures:
    request = f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    latencies_s: list[float] = []
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    made = [await loop.create_connection(lambda: _Client(request, latencies_s), host, port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    elapsed_s = time.perf_counter() - begun
    latencies = sorted(latencies_s) or [0.0]
    for transport, _ in made:
        transport.abort()
    return Figures(
        requests_per_s=len(latencies_s) / elapsed_s,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        requests=len(latencies_s),
        errors=sum(client.errors for _, client in made),
    )


def main() -> None:
    """`python -m benchmarks.load URL SECONDS CONNECTIONS`; figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Keeps a web server busy.")
    parser.add_argument("url", help="http://host:port/path")
    parser.add_argument("seconds", type=float)
    parser.add_argument("connections", type=int)
    options = parser.parse_args()
    host, _, target = options.url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    figures = uvloop.run(_load(name, int(port), "/" + target, options.seconds, options.connections))
    print(json.dumps({field: getattr(figures, field) for field in figures.__struct_fields__}))


if __name__ == "__main__":
    main()

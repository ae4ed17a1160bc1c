"""`python -m tests.end_to_end.faults.crowd`: two hundred visitors on one event loop, who look at every byte.

A process of its own, so that it disturbs nothing and nothing disturbs it. Each visitor has a connection that stays open for
some pages. Orders come as lines of JSON and are answered by one line each: `begin` with an address, `figures`, `end`.
Counterparts: `stage.Crowd` gives the orders; `pages.judged` says what an answer is.
Never: a retry, or a failure that is not counted.
"""

import asyncio
import contextlib
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import uvloop

from tests.end_to_end.faults import pages

PATIENCE_S = 15.0
"""A page that takes longer has failed."""
WORST_SHOWN = 8
CHOICE = random.Random()


class Failure(msgspec.Struct, frozen=True):
    """A page load that went wrong."""

    why: str
    ended: bool
    """The connection ended; otherwise an answer came that is wrong."""
    opened_at: float
    """When the connection was opened, by the clock that all processes share (`time.monotonic`)."""


class Figures(msgspec.Struct):
    """What a crowd has seen since it began."""

    requests: int = 0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict)
    """`changed`, `origin` and `apology`."""
    passed: dict[str, int] = msgspec.field(default_factory=dict)
    """Why pages of the origin's passed, by reason."""
    failed: int = 0
    ended: int = 0
    """Of those, by the end of a connection."""
    failures: list[Failure] = msgspec.field(default_factory=list)
    editions: list[int] = msgspec.field(default_factory=list)
    gap_s: float = 0.0
    """The longest time in which nobody got a page."""
    wait_s: float = 0.0
    """The longest that one visitor waited for one page."""


class Order(msgspec.Struct):
    """What the crowd is to do."""

    do: str
    port: int = 0
    address: str = "127.0.0.1"
    targets: list[str] = msgspec.field(default_factory=list)
    people: int = 200
    think_s: float = 0.4
    loads_of_connection: int = 20
    """About so many pages come over one connection."""
    apologies: bool = False
    """An honest 502 or 504 is no failure."""


class Crowd:
    """The visitors of one `begin`."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._outcomes: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()
        self._editions: set[int] = set()
        self._leaving = asyncio.Event()
        self._figures = Figures()
        self._last = time.monotonic()
        self._visitors = [asyncio.create_task(self._visit()) for _ in range(order.people)]

    def figures(self) -> Figures:
        """So far."""
        told = self._figures
        told.outcomes, told.passed = dict(self._outcomes), dict(self._passed)
        told.editions = sorted(self._editions)
        told.gap_s = max(told.gap_s, time.monotonic() - self._last)
        return told

    async def end(self) -> Figures:
        """Let every visitor finish the page that is coming, and go."""
        told = self.figures()
        self._leaving.set()
        gap_s = told.gap_s
        await asyncio.gather(*self._visitors)
        told = self.figures()
        told.gap_s = gap_s  # visitors who leave are no outage
        return told

    async def _visit(self) -> None:
        line: Line | None = None
        await self._think(CHOICE.random())
        while not self._leaving.is_set():
            if line is not None and line.over:  # as any client does that looks before it asks
                close(line)
                line = None
            opened_at, began = time.monotonic() if line is None else line.opened_at, time.monotonic()
            target = CHOICE.choice(self._order.targets).replace("*", secrets.token_hex(6))
            self._figures.requests += 1
            try:
                async with asyncio.timeout(PATIENCE_S):
                    line = line or await Line.open(self._order.address, self._order.port)
                    status, fields, body = await line.get(target)
            except (OSError, ValueError, EOFError, TimeoutError) as error:
                self._failed(Failure(f"{target}: {type(error).__name__} {error}", True, opened_at))
                close(line)
                line = None
            else:
                self._got(target, status, fields.get(b"x-layout-mutation", b"").decode(), body, opened_at)
                if (
                    fields.get(b"connection", b"").lower() == b"close"
                    or CHOICE.random() * self._order.loads_of_connection < 1
                ):
                    close(line)
                    line = None
            self._figures.wait_s = max(self._figures.wait_s, time.monotonic() - began)
            await self._think(CHOICE.uniform(0.5, 1.5))
        close(line)

    async def _think(self, share: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), self._order.think_s * share)

    def _got(self, target: str, status: int, verdict: str, body: bytes, opened_at: float) -> None:
        found = pages.judged(target.partition("?")[0], status, verdict, body)
        if found.startswith("!") or (found == "apology" and not self._order.apologies):
            self._failed(Failure(f"{target}: {found}", False, opened_at))
            return
        now = time.monotonic()
        self._figures.gap_s = max(self._figures.gap_s, now - self._last)
        self._last = now
        self._outcomes[found] += 1
        if found == "origin":
            self._passed[verdict.partition("reason=")[2]] += 1
        if found == "changed" and (edition := pages.edition_of(body)) is not None:
            self._editions.add(edition)

    def _failed(self, failure: Failure) -> None:
        self._figures.failed += 1
        self._figures.ended += failure.ended
        if len(self._figures.failures) < WORST_SHOWN or failure.ended:
            self._figures.failures.append(failure)


class Line:
    """A visitor's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened_at = time.monotonic()
        self._reader, self.writer = reader, writer

    @classmethod
    async def open(cls, address: str, port: int) -> "Line":
        """Connect."""
        return cls(*await asyncio.open_connection(address, port, limit=1024 * 1024))

    @property
    def over(self) -> bool:
        """Whether the server has ended it while nothing was asked."""
        return self._reader.at_eof()

    async def get(self, target: str) -> tuple[int, Mapping[bytes, bytes], bytes]:
        """Status, fields by their names in lower case, and the body."""
        accept = "Accept: text/html\r\nAccept-Encoding: gzip\r\n" if target.startswith("/odd/gzip") else ""
        self.writer.write(f"GET {target} HTTP/1.1\r\nHost: shop.example\r\n{accept}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        line, *rest = head[:-4].split(b"\r\n")
        pairs = (field.partition(b":") for field in rest)
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        if fields.get(b"transfer-encoding") == b"chunked":
            return int(line.split(b" ", 2)[1]), fields, await self._chunked()
        return int(line.split(b" ", 2)[1]), fields, await self._reader.readexactly(int(fields[b"content-length"]))

    async def _chunked(self) -> bytes:
        pieces = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readuntil(b"\r\n")
        return b"".join(pieces)


def close(line: Line | None) -> None:
    """Hang up, if there is anything to hang up."""
    if line is not None:
        line.writer.close()


async def main() -> None:
    """Obey until the orders end."""
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    crowd: Crowd | None = None
    while text := await orders.readline():
        order = msgspec.json.decode(text, type=Order)
        answer: Any = None
        if order.do == "begin":
            crowd = Crowd(order)
        elif crowd is not None:
            answer = crowd.figures() if order.do == "figures" else await crowd.end()
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())

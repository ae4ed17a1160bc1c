"""Raw sockets at both ends of the proxy: origins that misbehave on purpose, and clients that look at every byte.

Used by the tests of the data plane. Nothing here parses more of HTTP than it has to.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from rules.compiler import compile_table
from rules.group import Group
from rules.html import PassedThrough, Rewritten, apply_groups
from rules.model import decode_rules
from rules.table import DecisionTable
from service.events import AnyEvent, entry, read, sealed
from sidecar.app import Application
from sidecar.events.events import Events, Sink
from sidecar.rewriting.guard import Guard
from sidecar.rewriting.memo import MemoKey
from sidecar.rewriting.quarantine import MutationQuarantine, PageQuarantine
from sidecar.rewriting.verification import Verification
from sidecar.settings import SidecarSettings

PATIENCE_S = 5.0
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
UNIT = "00000000-0000-4000-8000-000000000001"


@dataclass
class Conversation:
    """One connection at the origin."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[bytes] = field(default_factory=list)

    async def head(self) -> bytes:
        """The next request's head, to the byte."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        self.heads.append(head)
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


Script = Callable[[Conversation], Awaitable[None]]


@dataclass
class Origin:
    """A server that follows a script for each connection."""

    port: int
    heads: list[bytes]
    closed: asyncio.Event

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def origin(script: Script) -> AsyncIterator[Origin]:
    """`script` runs once for each connection; `closed` is set when a peer has left."""
    heads: list[bytes] = []
    closed = asyncio.Event()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        conversation = Conversation(reader, writer, heads)
        try:
            await script(conversation)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)
            closed.set()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Origin(server.sockets[0].getsockname()[1], heads, closed)
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*responses: bytes) -> Script:
    """A script that answers each request with the same bytes (or the next of several), and keeps the connection."""

    async def script(conversation: Conversation) -> None:
        turn = 0
        while True:
            await conversation.head()
            await conversation.send(responses[min(turn, len(responses) - 1)])
            turn += 1

    return script


def response(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """A response with Content-Length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body


def html(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """A page."""
    return response(body, "Content-Type: text/html; charset=utf-8", *fields, status=status)


@dataclass
class Answer:
    """A response as the client got it."""

    line: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    raw: bytes

    @property
    def status(self) -> int:
        return int(self.line.split(b" ", 2)[1])

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: bytes) -> bytes | None:
        values = self.all(name)
        return values[0] if values else None

    @property
    def verdict(self) -> bytes | None:
        return self.get(b"X-Layout-Mutation")


class Client:
    """One connection to the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str = "shop.example") -> None:
        self.reader = reader
        self.writer = writer
        self.host = host

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)

    async def exactly(self, count: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), PATIENCE_S)

    async def rest(self) -> bytes:
        """Everything until the sidecar closes the connection."""
        return await asyncio.wait_for(self.reader.read(-1), PATIENCE_S)

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty for the last."""
        size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), PATIENCE_S), 16)
        data = await self.exactly(size + 2)
        return data[:-2]

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next response, body included."""
        head = await self.head()
        line, *lines = head[:-4].split(b"\r\n")
        pairs = [tuple(item.split(b": ", 1)) for item in lines]
        fields = [(pair[0], pair[1] if len(pair) > 1 else b"") for pair in pairs]
        answer = Answer(line, fields, b"", head)
        if bodiless or answer.status in {204, 304} or answer.status < 200:
            return answer
        if answer.get(b"Transfer-Encoding") == b"chunked":
            while piece := await self.chunk():
                answer.body += piece
        elif (length := answer.get(b"Content-Length")) is not None:
            answer.body = await self.exactly(int(length))
        else:
            answer.body = await self.rest()
        return answer

    async def get(self, target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> Answer:
        lines = [f"{method} {target} HTTP/1.1", *fields]
        if not any(item.lower().startswith("host:") for item in fields):
            lines.append(f"Host: {self.host}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return await self.answer(bodiless=method == "HEAD")


@asynccontextmanager
async def client(port: int, host: str = "shop.example") -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer, host)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class FixedTable:
    """A table that is simply there."""

    def __init__(self, table: DecisionTable | None = None) -> None:
        self.current = table

    def status(self) -> dict[str, object]:
        return {"version": self.current.version if self.current else None, "state": "ACK" if self.current else "none"}


class InlineRewriter:
    """Rewrites where it stands. `broken` makes it raise, as it never should."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.calls: list[MemoKey] = []

    async def rewrite(self, key: MemoKey, body: bytes, groups: tuple[Group, ...]) -> Rewritten | PassedThrough:
        self.calls.append(key)
        if self.broken:
            raise RuntimeError("broken on purpose")
        return apply_groups(body, groups, charset=key.charset, nonce=key.nonce, script=key.script)

    def coded(self, key: MemoKey, page: bytes, coding: str) -> bytes | None:
        return None

    def keep_coded(self, key: MemoKey, page: bytes, coding: str, coded: bytes) -> None:
        return

    def status(self) -> dict[str, object]:
        return {"ready": True}


def table(
    *mutations: Mapping[str, Any],
    experiments: Sequence[Mapping[str, Any]] = (),
    attributes: Sequence[Mapping[str, Any]] = (),
    version: int = 7,
) -> DecisionTable:
    """A compiled table."""
    written = {"mutations": list(mutations), "experiments": list(experiments), "attributes": list(attributes)}
    file = decode_rules(msgspec.json.encode(written))
    return compile_table(file, version=version, now=NOON)


def unverified(source: FixedTable) -> Verification:
    """A second opinion that nobody is asked for."""
    return Verification(
        share=0, quarantine=MutationQuarantine(time.monotonic), table=lambda: source.current, entropy=random.Random(1)
    )


def guarding(source: FixedTable, verification: Verification | None = None) -> Guard:
    """A guard of a worker that holds nothing yet."""
    quarantine = (verification or unverified(source)).quarantine
    return Guard(quarantine, PageQuarantine(), table=lambda: source.current, clock=time.monotonic)


def telling(sink: Sink | None = None, **settings: Any) -> Events:
    """The events of a worker, in the order of their numbers."""
    given = SidecarSettings(upstream="http://127.0.0.1:1", **settings)
    return Events(given, sink, now=lambda: NOON, entropy=random.Random(1), run="run")


def headline(text: str = "New", **fields: Any) -> dict[str, Any]:
    """A mutation that sets the text of every h1."""
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    return {"id": "headline", "mutationType": "set", "mutationPayload": {"operations": [operation]}, **fields}


class Told:
    """Keeps what is told. `broken` makes it raise, as it never should."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self._events: list[AnyEvent] = []
        self._tell: Callable[[int], bool] = lambda _: False
        self.dropped: Counter[str] = Counter()

    def put(self, line: bytes) -> None:
        if self.broken:
            raise RuntimeError("broken on purpose")
        batch = read(entry(sealed([line])))
        assert batch.unknown == 0, line
        self._events += batch.events

    @property
    def events(self) -> list[AnyEvent]:
        """All events so far, in the order of their ids."""
        while self._tell(1):
            continue
        return self._events

    def draw_from(self, tell: Callable[[int], bool]) -> None:
        self._tell = tell

    def drop(self, reason: str, count: int = 1) -> None:
        self.dropped[reason] += count

    def status(self) -> dict[str, object]:
        zeros = dict.fromkeys(("sent", "waiting", "waitingBytes", "spoolEvents", "spoolBytes"), 0)
        return {**zeros, "dropped": dict(self.dropped)}


@dataclass
class Sidecar:
    """A worker's application on a port."""

    port: int
    application: Application
    rewriter: InlineRewriter
    tables: FixedTable
    told: Told


@asynccontextmanager
async def serving(
    upstream: str,
    *,
    tables: DecisionTable | None = None,
    rewriter: InlineRewriter | None = None,
    told: Told | None = None,
    now: Callable[[], datetime] = lambda: NOON,
    **settings: Any,
) -> AsyncIterator[Sidecar]:
    """A sidecar in front of `upstream`, with doubles for the table's keeper and the page rewriter."""
    source, pages, sink = FixedTable(tables), rewriter or InlineRewriter(), told or Told()
    given = SidecarSettings(upstream=upstream, **{"drain_s": 1.0, **settings})
    verification = unverified(source)
    application = Application(
        given,
        tables=source,
        rewriting=pages,
        verification=verification,
        guard=guarding(source, verification),
        outbox=sink if given.events else None,
        now=now,
        new_unit=lambda: UNIT,
    )
    application.sites.start()
    server = await asyncio.get_running_loop().create_server(application.server, "127.0.0.1", 0)
    try:
        yield Sidecar(server.sockets[0].getsockname()[1], application, pages, source, sink)
    finally:
        server.close()
        await application.close()

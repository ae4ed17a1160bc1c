"""Visitors of a site on raw sockets: one that looks at every byte, and several that count what goes wrong.

Counterpart: `site.py` is the origin at the other end. Never: a retry, or a failure that is not counted.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO, Self

PATIENCE_S = 10.0
PACE_S = 0.01
"""Between two page loads of one visitor: enough traffic to notice an outage, and room for whoever is being tested."""
LOADS_PER_CONNECTION = 5

HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-connection"}
FRAMING = {b"content-length", b"transfer-encoding"}
OWN = b"x-layout-mutation"


class BrokenAnswerError(Exception):
    """The connection ended in the middle of an answer, or what came is not HTTP."""


@dataclass(frozen=True)
class Answer:
    """A response as it came: the status line, the fields in order, the body without its framing."""

    line: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.line.split(b" ", 2)[1])

    @property
    def verdict(self) -> str:
        """What the sidecar says it did."""
        return (self.get(OWN) or b"").decode("ascii")

    @property
    def end_to_end(self) -> list[tuple[bytes, bytes]]:
        """The fields that are the origin's own: order, spelling and repetitions as they came."""
        others = HOP_BY_HOP | FRAMING | {OWN}
        return [pair for pair in self.fields if pair[0].lower() not in others]

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


class Line:
    """One connection to a server on this machine, from one of its addresses."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.opened_at = time.monotonic()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(address, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file: BinaryIO = self._socket.makefile("rb")
        self.over = False
        """The server ends the connection after the last answer."""

    def get(self, target: str = "/", *fields: str) -> Answer:
        """Load a page; raises OSError or BrokenAnswerError."""
        return self.ask(target, *fields)

    def ask(self, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> Answer:
        """Any request; `fields` say the length of a body, or how else it ends. Raises OSError or BrokenAnswerError."""
        host = () if any(field.lower().startswith("host:") for field in fields) else ("Host: shop.example",)
        lines = [f"{method} {target} HTTP/1.1", *host, *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)
        return self.answer(bodiless=method == "HEAD")

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._socket.sendall(data)

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next response, be it one of 1xx; `bodiless` for one to HEAD."""
        head = self.head()
        body = b"" if bodiless or head.status in {204, 304} or head.status < 200 else self._body(head)
        self.over = self.over or (head.get(b"Connection") or b"").lower() == b"close"
        return Answer(head.line, head.fields, body)

    def head(self) -> Answer:
        """The head of the next response, as an answer without its body."""
        line, pairs = self._head()
        return Answer(line, tuple(pairs), b"")

    def rest(self) -> bytes:
        """What comes until the connection ends."""
        return self._file.read()

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _head(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        line = self._next_line()
        pairs: list[tuple[bytes, bytes]] = []
        while text := self._next_line():
            name, colon, value = text.partition(b":")
            if not colon:
                raise BrokenAnswerError(f"no field: {text[:80]!r}")
            pairs.append((name, value.strip(b" \t")))
        if not line.startswith(b"HTTP/1.1 "):
            raise BrokenAnswerError(f"no status line: {line[:80]!r}")
        return line, pairs

    def _next_line(self) -> bytes:
        line = self._file.readline(1024 * 1024)
        if not line.endswith(b"\r\n"):
            raise BrokenAnswerError(f"the connection ended in the head, after {line[:80]!r}")
        return line[:-2]

    def _body(self, answer: Answer) -> bytes:
        if (answer.get(b"Transfer-Encoding") or b"").lower() == b"chunked":
            pieces = []
            while piece := self.chunk():
                pieces.append(piece)
            return b"".join(pieces)
        length = answer.get(b"Content-Length")
        if length is not None:
            return self.exactly(int(length))
        self.over = True
        return self._file.read()

    def chunk(self) -> bytes:
        """One chunk of a chunked body; empty for the last, with whose trailers the body ends."""
        size = int(self._next_line().partition(b";")[0], 16)
        if size:
            return self.exactly(size + 2)[:-2]
        while self._next_line():
            pass
        return b""

    def exactly(self, count: int) -> bytes:
        """So many bytes; BrokenAnswerError where the connection ends before."""
        data = self._file.read(count)
        if len(data) < count:
            raise BrokenAnswerError(f"the connection ended {count - len(data)} bytes too early")
        return data


def load(port: int, target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> Answer:
    """One page load (or another request) on a connection of its own."""
    with Line(port) as line:
        return line.ask(target, *fields, method=method, body=body)


@dataclass(frozen=True)
class Failure:
    """A page load that went wrong, and when its connection was opened (`time.monotonic`)."""

    why: str
    is_reset: bool
    opened_at: float


@dataclass
class Visitors:
    """A few people who keep loading a page while something else happens.

    `right` says whether an answer is one that a visitor may get; everything else is a failure.
    """

    port: int
    right: Callable[[Answer], bool]
    targets: tuple[str, ...] = ("/",)
    people: int = 2
    loads: int = 0
    failures: list[Failure] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._leave = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(self.people)]
        for thread in self._threads:
            thread.start()
        self.wait_for(2 * self.people)
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_S)

    def wait_for(self, loads: int, within_s: float = PATIENCE_S) -> None:
        """Wait until so many more pages have been loaded."""
        with self._more:
            wanted = self.loads + loads
            assert self._more.wait_for(lambda: self.loads >= wanted, within_s), f"few pages load: {self.failures[-3:]}"

    def _visit(self) -> None:
        line: Line | None = None
        turn = 0
        while not self._leave.is_set():
            turn += 1
            opened_at = time.monotonic() if line is None else line.opened_at
            try:
                line = line or Line(self.port)
                answer = line.get(self.targets[turn % len(self.targets)])
            except (OSError, BrokenAnswerError) as error:
                self._failed(Failure(f"{type(error).__name__}: {error}", True, opened_at))
                _close(line)
                line = None
            else:
                if not self.right(answer):
                    what = f"{answer.line!r} {answer.verdict} {answer.body[:60]!r}"
                    self._failed(Failure(what, False, line.opened_at))
                with self._more:
                    self.loads += 1
                    self._more.notify_all()
                if line.over or turn % LOADS_PER_CONNECTION == 0:
                    _close(line)
                    line = None
            self._leave.wait(PACE_S)
        _close(line)

    def _failed(self, failure: Failure) -> None:
        with self._more:
            self.failures.append(failure)


def _close(line: Line | None) -> None:
    if line is not None:
        with contextlib.suppress(OSError):
            line.close()

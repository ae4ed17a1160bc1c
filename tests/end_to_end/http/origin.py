"""An origin that does to a connection whatever a test has written down: plain sockets, a thread for each connection.

A test puts a script at a path of its own. Counterpart: `visitor.Line` is the other end of the sidecar.
Never: HTTP beyond the end of a head; a body is read, and an answer made, by the script that wants it.
"""

import contextlib
import io
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

PATIENCE_S = 10.0

Script = Callable[["Talk"], bool]
"""Answers one request; whether the connection goes on afterwards."""


@dataclass
class Talk:
    """One request, and the connection that it came on."""

    head: bytes
    connection: int
    socket: socket.socket
    reader: io.RawIOBase
    ended: threading.Event
    """The connection is over, at this end or the other."""

    def send(self, data: bytes) -> None:
        """All of it at once: up to some 60 KB the other end reads it in one go."""
        self.socket.sendall(data)

    def exactly(self, count: int) -> bytes:
        """So many bytes of the request's body; fewer where the other end hangs up."""
        data = b""
        while len(data) < count and (piece := self.reader.read(count - len(data))):
            data += piece
        return data

    def until(self, end: bytes) -> bytes:
        """Bytes of the request's body up to and with `end`, or all that come."""
        data = b""
        while not data.endswith(end) and (piece := self.reader.read(1)):
            data += piece
        return data

    def rest(self) -> bytes:
        """What comes until the other end hangs up."""
        return self.until(b"\0no such end\0")

    def reset(self) -> None:
        """End the connection without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answering(response: bytes) -> Script:
    """The same bytes each time; the connection goes on."""

    def script(talk: Talk) -> bool:
        talk.send(response)
        return True

    return script


def ending(response: bytes) -> Script:
    """The same bytes each time, then the end of the connection."""

    def script(talk: Talk) -> bool:
        talk.send(response)
        return False

    return script


def dripping(response: bytes) -> Script:
    """One byte at a time, each in a packet of its own."""

    def script(talk: Talk) -> bool:
        for at in range(len(response)):
            talk.send(response[at : at + 1])
        return True

    return script


@dataclass
class Origin:
    """Serves `scripts` by path; the query is not looked at. `asked` has every request, by path, in its order."""

    scripts: dict[str, Script] = field(default_factory=dict)
    asked: dict[str, list[Talk]] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str, script: Script | bytes) -> None:
        """Serve this path from now on."""
        self.scripts[path] = answering(script) if isinstance(script, bytes) else script
        self.asked[path] = []

    def heads(self, path: str) -> list[bytes]:
        """The heads of the requests for this path."""
        return [talk.head for talk in self.asked[path]]

    def connections(self, path: str) -> list[int]:
        """The number of the connection that each request for this path came on."""
        return [talk.connection for talk in self.asked[path]]

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        number = 0
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                number += 1
                threading.Thread(target=self._converse, args=(connection, number), daemon=True).start()

    def _converse(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(PATIENCE_S)
        ended = threading.Event()
        with contextlib.suppress(OSError), connection, connection.makefile("rb", buffering=0) as reader:
            goes_on = True
            while goes_on and (head := _head(reader)):
                path = head.split(b" ", 2)[1].partition(b"?")[0].decode("latin-1")
                talk = Talk(head, number, connection, reader, ended)
                self.asked.setdefault(path, []).append(talk)
                goes_on = self.scripts[path](talk)
        ended.set()


def _head(reader: io.RawIOBase) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n") and (byte := reader.read(1)):
        head += byte
    return head

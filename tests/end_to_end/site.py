"""An origin that sends bytes exactly as a test has written them: a plain web server in a thread of its own.

Counterpart: `visitor.py` is the other end of the proxy. Never: a field, a date or a coding of its own making.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Self

START_S_MAX = 40.0

Response = bytes | Callable[[], bytes]
"""A whole response, head and body; a function for one that differs each time."""

NOWHERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnothing\n"


class Site:
    """Serves `responses` by path; the query is not looked at. A response without framing ends with the connection."""

    def __init__(self) -> None:
        self.responses: dict[str, Response] = {}
        self.served = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="site", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, body: bytes, *fields: str) -> None:
        """Serve `body` as HTML of UTF-8 with its length."""
        self.responses[path] = page(body, *fields)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(START_S_MAX), "the origin does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_S_MAX)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0, limit=1024 * 1024, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stopping.wait()
        server.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other; requests have no body here."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            keep = True
            while keep:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1].decode("latin-1")
                found = self.responses.get(target.partition("?")[0], NOWHERE)
                response = found if isinstance(found, bytes) else found()
                writer.write(response)
                await writer.drain()
                self.served += 1
                fields = response.partition(b"\r\n\r\n")[0].lower()
                keep = b"\r\ncontent-length:" in fields or b"\r\ntransfer-encoding:" in fields
        writer.close()


def page(body: bytes, *fields: str) -> bytes:
    """A response with `body` as HTML of UTF-8."""
    return response(body, "Content-Type: text/html; charset=utf-8", *fields)


def response(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """A response with Content-Length."""
    return head(status, *fields, f"Content-Length: {len(body)}") + body


def head(status: str, *fields: str) -> bytes:
    """A response's head; a field may hold any Latin-1 characters."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1")

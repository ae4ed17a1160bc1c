"""Origins that die and come back at the same address, hang, refuse, break off, and say who they are.

Used by the tests of several origins. Counterpart: `wire`, whose sidecar and client stand in front of them.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.sidecar.wire import PATIENCE_S, Client, response


class Replica:
    """One origin on a port of its own. Every answer's body is its name."""

    def __init__(self, name: str, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.port = 0
        self.status = "200 OK"
        self.hangs = False
        """Reads requests and does not answer."""
        self.says: bytes | None = None
        """What it sends before it closes the connection, in place of an answer."""
        self.heads: list[bytes] = []
        self.connections = 0
        self.server_names: list[str | None] = []
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, where it listened before."""
        if self._tls is not None:
            self._tls.sni_callback = lambda _, name, __: self.server_names.append(name)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone: nobody listens, and every connection is reset."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        serving = dict(self._open)
        for task, writer in serving.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if self.hangs:
                    await reader.read(-1)
                    return
                if self.says is not None:
                    writer.write(self.says)
                    await writer.drain()
                    return
                writer.write(response(self.name.encode(), status=self.status))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._open.pop(task, None)
            writer.close()


@asynccontextmanager
async def replicas(*names: str) -> AsyncIterator[list[Replica]]:
    """Started origins of these names, stopped afterwards."""
    made = [Replica(name) for name in names]
    try:
        for one in made:
            await one.start()
        yield made
    finally:
        for one in made:
            await one.stop()


async def bodies(visitor: Client, count: int, *fields: str) -> list[str]:
    """Who answers `count` requests, one after the other; an error is its status."""
    found = []
    for _ in range(count):
        answer = await visitor.get("/", *fields)
        found.append(answer.body.decode() if answer.status == 200 else str(answer.status))
    return found


async def until_answered_by(visitor: Client, name: str) -> list[str]:
    """Ask until `name` answers, with a deadline; who answered before."""
    before: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while True:
            [body] = await bodies(visitor, 1)
            if body == name:
                return before
            before.append(body)
            await asyncio.sleep(0.01)

"""`python -m tests.end_to_end.faults.origin ADDRESS PORT`: the shop of `pages`, a process of its own that can be killed.

Counterpart: `stage.Origin` starts and ends it. `/odd/slow` comes in two halves, `/odd/reset` not at all.
"""

import asyncio
import sys

import uvloop

from tests.end_to_end.faults import pages

SLOW_S = 1.0
"""Between the halves of a slow page: longer than the sidecar waits for one."""


class Conversation(asyncio.Protocol):
    """One connection; requests have no body."""

    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1].decode("latin-1").partition("?")[0])

    def _answer(self, path: str) -> None:
        transport = self._transport
        if path.startswith("/odd/reset"):
            transport.abort()  # type: ignore[attr-defined] # uvloop's transport is one by its methods only
            return
        response = pages.response(path)
        if path.startswith("/odd/slow"):
            half = len(response) // 2
            transport.write(response[:half])  # type: ignore[attr-defined]
            asyncio.get_running_loop().call_later(SLOW_S, transport.write, response[half:])  # type: ignore[attr-defined]
            return
        transport.write(response)  # type: ignore[attr-defined]


async def serve(address: str, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Conversation, address, port, backlog=4096)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))

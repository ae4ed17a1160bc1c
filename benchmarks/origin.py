"""A web server that costs as little as one in Python can: the site behind the proxies that are measured.

It answers any GET with a page made beforehand, whole, in one write: `/same/100` gives 100 KB, the same each time, and so
does `/plain/100`, for which there are no rules; in `/token/100` one token differs in each response. `/same/100/7` is a page
of another address. It shares a core with
the load, and both together must be faster than what is measured: the row `origin, direct` shows by how much.
Counterpart: `pages` makes what is served. Never: a complete HTTP server; it believes that each request is a GET.
"""

import argparse
import asyncio
import itertools
from typing import cast

import uvloop

from benchmarks import pages

_END = b"\r\n\r\n"


class Responses:
    """Whole responses by kind and size."""

    def __init__(self) -> None:
        self._whole: dict[bytes, bytes] = {}
        self._halves: dict[bytes, tuple[bytes, bytes]] = {}
        self._tokens = itertools.count(1)

    def to(self, target: bytes) -> bytes:
        """The response to a request target such as `/token/100`; unknown ones get 404."""
        known = self._whole.get(target)
        if known is not None:
            return known
        halves = self._halves.get(target)
        if halves is not None:
            return b"%s%016x%s" % (halves[0], next(self._tokens), halves[1])
        _, kind, size, *_ = (*target.decode("latin-1").split("/"), "", "")
        if kind not in {"plain", "same", "token"} or not size.isdigit():
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        page = pages.listing(int(size))
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(page)
        if kind == "token":
            before, _, after = page.partition(pages.TOKEN)
            self._halves[target] = (head + before, after)
        else:
            self._whole[target] = head + page
        return self.to(target)


class Connection(asyncio.Protocol):
    """One client; requests may be pipelined, their bodies may not exist."""

    def __init__(self, responses: Responses) -> None:
        self._responses = responses
        self._transport: asyncio.WriteTransport | None = None
        self._inbox = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        *heads, self._inbox = (self._inbox + data).split(_END)
        for head in heads:
            self._transport.write(self._responses.to(head.split(b" ", 2)[1]))


async def _serve(port: int) -> None:
    responses = Responses()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(responses), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """`python -m benchmarks.origin [PORT]`; says its port on the first line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.origin", description="Serves pages of given sizes.")
    parser.add_argument("port", nargs="?", type=int, default=0, help="0 takes a free one")
    uvloop.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()

"""A bare proxy on aiohttp and uvloop: the least that a proxy on this stack costs, and nothing that one is for.

It reads the origin's response whole and answers with the same status, fields and body. No streaming, no correctness
beyond what a benchmark sees. What the sidecar reaches of its speed is the price of everything that the sidecar does.
Counterpart: `proxy` measures both. Never: a proxy to use.
"""

import argparse
import asyncio

import aiohttp
import uvloop
from aiohttp import web

_FOR_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length"})


async def _serve(upstream: str, port: int) -> None:
    session = aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
    )

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked = [field for field in request.headers.items() if field[0].lower() not in _FOR_ONE_CONNECTION]
        async with session.request(request.method, upstream + request.raw_path, headers=asked) as origin:
            answer = web.Response(status=origin.status, body=await origin.read())
            for name, value in origin.headers.items():
                if name.lower() not in _FOR_ONE_CONNECTION:
                    answer.headers[name] = value
        return answer

    server = await asyncio.get_running_loop().create_server(
        web.Server(handle, access_log=None), "127.0.0.1", port, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """`python -m benchmarks.floor UPSTREAM [PORT]`; says its port on the first line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floor", description="A bare aiohttp proxy.")
    parser.add_argument("upstream", help="for example http://127.0.0.1:9100")
    parser.add_argument("port", nargs="?", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args()
    uvloop.run(_serve(options.upstream, options.port))


if __name__ == "__main__":
    main()

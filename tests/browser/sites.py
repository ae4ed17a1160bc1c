"""A site of one page behind a sidecar: what the tests of the browser script visit."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from rules.compiler import compile_table
from rules.model import decode_rules
from rules.table import DecisionTable
from tests.sidecar.wire import NOON, serving


def table_of(*mutations: Mapping[str, Any]) -> DecisionTable:
    """A compiled table of mutations of type `set`: `{"operations": …}` and any fields of a mutation beside it."""
    whole = [
        {"id": f"m{index}", "mutationType": "set", "mutationPayload": {"operations": operations}, **fields}
        for index, mutation in enumerate(mutations)
        for operations, fields in [(mutation["operations"], {k: v for k, v in mutation.items() if k != "operations"})]
    ]
    return compile_table(decode_rules(msgspec.json.encode({"mutations": whole})), version=1, now=NOON)


@asynccontextmanager
async def site(html: str, table: DecisionTable, *, script: str = "", policy: str = "") -> AsyncIterator[str]:
    """The page at every path through a sidecar, and its script at `/client.js`; the URL. `policy`: its Content-Security-Policy."""

    async def page(_: web.Request) -> web.Response:
        sent = {"Content-Security-Policy": policy} if policy else {}
        return web.Response(text=html, content_type="text/html", headers=sent)

    async def client(_: web.Request) -> web.Response:
        return web.Response(text=script, content_type="text/javascript")

    app = web.Application()
    app.add_routes([web.get("/client.js", client), web.get("/{path:.*}", page)])
    async with TestServer(app) as server:
        origin = str(server.make_url("")).rstrip("/")
        async with serving(origin, tables=table, drain_s=0.0) as sidecar:  # a browser keeps its connection
            yield f"http://127.0.0.1:{sidecar.port}/"

"""`python -m tests.soak.visitors PORT SECONDS`: sixty visitors who do everything that browsers do, and look at every byte.

Prints what they did and what went wrong, as JSON. Counterpart: `shop` is the site behind the sidecar; `EDITS` are its rules.
Never: a retry.
"""

import asyncio
import gzip
import hashlib
import json
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache
from typing import Any

import aiohttp
import msgspec

from rules.html import Rewritten, rewrite
from rules.model import decode_operations
from tests.soak import shop

PEOPLE = 60
PATIENCE_S = 60.0
THINK_S = 0.15
EDITS = [
    {"verb": "addClass", "target": {"selector": "body"}, "names": ["soaked"]},
    {"verb": "setText", "target": {"selector": "title"}, "content": {"text": "Soaked"}},
    {"verb": "append", "target": {"selector": "body"}, "content": {"html": "<p>soaked</p>"}},
]
CHOICE = random.Random()
Visit = Callable[[aiohttp.ClientSession, str], Coroutine[Any, Any, None]]


@cache
def changed(number: int) -> bytes:
    """A real page with its edits."""
    return edited(shop.real_pages()[number])


def edited(body: bytes) -> bytes:
    """A page with its edits, as the engine makes them: what is carried is in question here, not what is made."""
    result = rewrite(body, decode_operations(msgspec.json.encode(EDITS)), charset="utf-8")
    return result.page if isinstance(result, Rewritten) else body


async def fetch(session: aiohttp.ClientSession, target: str) -> tuple[bytes, bool]:
    """A page without its coding, and whether it was changed."""
    fields = {"Accept-Encoding": "gzip"} if CHOICE.random() < 0.5 else {"Accept-Encoding": "identity"}
    async with session.get(target, headers=fields) as response:
        body = await response.read()
        assert response.status == 200, response.status
    if response.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return body, response.headers["X-Layout-Mutation"].startswith("applied; ")


async def page(session: aiohttp.ClientSession, site: str) -> None:
    number = CHOICE.randrange(len(shop.real_pages()))
    body, was_changed = await fetch(session, f"{site}/page/{number}")
    assert body == (changed(number) if was_changed else shop.real_pages()[number]), f"page {number} is mixed"


async def token(session: aiohttp.ClientSession, site: str) -> None:
    body, was_changed = await fetch(session, f"{site}/token")
    known = body.partition(b"content=")[2][:32]
    original = shop.TOKEN_PAGE.replace(b"TOKEN", known)
    assert len(known) == 32
    assert body == (edited(original) if was_changed else original), "a page of one token is mixed"


async def download(session: aiohttp.ClientSession, site: str) -> None:
    async with session.get(f"{site}/download") as response:
        body = await response.read()
    assert body == shop.PIECE * shop.PIECES_OF_DOWNLOAD, "a download is not whole"


async def upload(session: aiohttp.ClientSession, site: str) -> None:
    body = secrets.token_bytes(CHOICE.choice((100, 20_000, 2_000_000)))
    async with session.post(f"{site}/upload", data=body) as response:
        assert await response.text() == hashlib.sha256(body).hexdigest(), "an upload is not whole"


async def events(session: aiohttp.ClientSession, site: str) -> None:
    async with session.get(f"{site}/events") as response:
        body = await response.read()
    assert body == b"".join(b"data: %d\n\n" % number for number in range(shop.EVENTS)), "events are missing"


async def socket(session: aiohttp.ClientSession, site: str) -> None:
    async with session.ws_connect(f"{site}/socket") as line:
        for _ in range(10):
            said = secrets.token_bytes(CHOICE.choice((10, 1000, 70_000)))
            await line.send_bytes(said)
            assert await line.receive_bytes() == said, "a WebSocket says something else"


async def leave_early(session: aiohttp.ClientSession, site: str) -> None:
    """A visitor who goes in the middle of a page, a download, a stream or a WebSocket."""
    target = CHOICE.choice(("download", "events", f"page/{CHOICE.randrange(len(shop.real_pages()))}", "socket"))
    if target == "socket":
        line = await session.ws_connect(f"{site}/socket")
        await line.send_bytes(b"half a conversation")
        response = line._response
    else:
        response = await session.get(f"{site}/{target}")
        await response.content.readany()
    response.close()


async def leave_upload(session: aiohttp.ClientSession, site: str) -> None:
    """A visitor who goes in the middle of an upload."""

    async def half() -> AsyncIterator[bytes]:
        yield bytes(50_000)
        raise ConnectionError("the visitor leaves")

    try:
        async with session.post(f"{site}/upload", data=half()):
            raise AssertionError("half an upload was answered")
    except (aiohttp.ClientError, ConnectionError):
        return


VISITS: tuple[tuple[Visit, int], ...] = (
    (page, 50),
    (token, 20),
    (upload, 8),
    (download, 3),
    (events, 4),
    (socket, 5),
    (leave_early, 6),
    (leave_upload, 4),
)
"""What a visitor does, and how often of a hundred times."""


async def visitor(site: str, until: float, done: Counter[str], failures: list[str]) -> None:
    kinds, weights = zip(*VISITS, strict=True)
    while time.monotonic() < until:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(PATIENCE_S)
        ) as session:
            for _ in range(CHOICE.randint(1, 30)):
                [visit] = CHOICE.choices(kinds, weights)
                done[visit.__name__] += 1
                try:
                    await visit(session, site)
                except (aiohttp.ClientError, OSError, AssertionError, TimeoutError, KeyError, TypeError) as error:
                    failures.append(f"{visit.__name__}: {type(error).__name__} {error}")
                if time.monotonic() >= until:
                    break
                await asyncio.sleep(CHOICE.uniform(0, 2 * THINK_S))


async def main(port: int, seconds: float) -> None:
    """Let them come for so many seconds."""
    done, failures, until = Counter[str](), list[str](), time.monotonic() + seconds
    site = f"http://127.0.0.1:{port}"
    await asyncio.gather(*(visitor(site, until, done, failures) for _ in range(PEOPLE)))
    sys.stdout.write(json.dumps({"done": done, "failures": failures[:20], "failed": len(failures)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))

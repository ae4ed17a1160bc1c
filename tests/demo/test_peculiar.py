"""The awkward answers: slow, old encodings, strict policy, events, a download."""

import asyncio
import codecs
import re
from collections.abc import Callable
from typing import Protocol

import html5lib
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from selectolax.lexbor import LexborHTMLParser

from demo.app import CHUNK_PAUSE_S

Shop = TestClient[web.Request, web.Application]
DEADLINE_S = 10


class Tap(Protocol):
    """What conftest's tap offers."""

    pour: Callable[[], None]


async def test_the_slow_page_comes_in_chunks(shop: Shop, tap: Tap) -> None:
    async with asyncio.timeout(DEADLINE_S):
        response = await shop.get("/slow")
        first = await response.content.readuntil(b"a cup at a time")
        assert not response.content.at_eof()
        chunks = 1
        body = first
        while not response.content.at_eof():
            tap.pour()
            chunks += 1
            body += await response.content.readany()
    text = body.decode()
    assert text.endswith("</html>")
    assert "all night" in text
    html5lib.HTMLParser(strict=True).parse(text)
    assert 12 <= chunks <= 18
    assert 2 <= (chunks - 2) * CHUNK_PAUSE_S <= 4


async def test_the_slow_page_has_headers_too(shop: Shop) -> None:
    async with asyncio.timeout(DEADLINE_S):
        response = await shop.head("/slow")
        assert (response.status, await response.read()) == (200, b"")


async def test_utf_16_has_its_mark_and_decodes(shop: Shop) -> None:
    response = await shop.get("/utf-16")
    body = await response.read()
    assert response.headers["Content-Type"] == "text/html; charset=utf-16"
    assert body.startswith(codecs.BOM_UTF16_LE)
    text = body.decode("utf-16")
    assert "霧の朝、蒸気の午後" in text
    assert "<meta charset" not in text


async def test_latin_1_decodes_and_refers_to_what_it_lacks(shop: Shop) -> None:
    response = await shop.get("/latin-1")
    body = await response.read()
    assert response.headers["Content-Type"] == "text/html; charset=iso-8859-1"
    assert b'<meta charset="iso-8859-1">' in body
    with pytest.raises(UnicodeDecodeError):
        body.decode("utf-8")
    assert "Le thé, la pluie et l&#8217;été" in body.decode("iso-8859-1")
    heading = LexborHTMLParser(body.decode("iso-8859-1")).css("h1")[0]
    assert heading.text() == "Le thé, la pluie et l\u2019été à Locmaria"


async def test_the_account_runs_only_what_its_nonce_vouches_for(shop: Shop) -> None:
    response = await shop.get("/account")
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    script = re.fullmatch(r"'nonce-([\w-]{22,})'", policy["script-src"])
    assert script
    assert policy["style-src"] == f"'self' 'nonce-{script[1]}'"
    page = LexborHTMLParser(await response.text())
    assert len(page.css("style")) == 2
    assert {node.attributes.get("nonce") for node in page.css("script, style")} == {script[1]}
    assert page.css("[style]") == []
    attributes = {name for node in page.css("*") for name in node.attributes}
    assert [name for name in attributes if name.startswith("on")] == []


async def test_other_pages_have_no_policy(shop: Shop) -> None:
    assert "Content-Security-Policy" not in (await shop.get("/")).headers


async def test_events_are_few_and_end(shop: Shop) -> None:
    async with asyncio.timeout(DEADLINE_S):
        response = await shop.get("/events")
        text = await response.text()
    assert response.content_type == "text/event-stream"
    assert text.count("event: weather\n") == 3
    assert text.endswith("\n\n")


async def test_the_brewing_card_is_an_attachment_and_never_changes(shop: Shop) -> None:
    first, second = [await shop.get("/download") for _ in range(2)]
    assert first.content_type == "text/html"
    assert first.headers["Content-Disposition"].startswith("attachment;")
    assert await first.read() == await second.read()

"""Every page of the shop: there, the right size, well formed, linked, and different each time."""

import gzip
import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urldefrag

import html5lib
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from selectolax.lexbor import LexborHTMLParser

from demo.catalogue import load_catalogue
from demo.pages import accepts_gzip

CATALOGUE = load_catalogue()
MARKED = ["/", "/checkout", *(f"/product/{slug}" for slug in CATALOGUE.products)]
UNMARKED = [
    *(f"/category/{slug}" for slug in CATALOGUE.categories),
    "/quiz",
    "/quiz/result?window=fog&hour=dawn&shelf=herbs&walk=ridge&cup=plain",
    "/quiz/result?window=blue&cup=sweet",
    "/blog",
    *(f"/blog/{slug}" for slug in CATALOGUE.articles),
]
PECULIAR = ["/account", "/latin-1", "/utf-16", "/no/such/page"]
KIB = 1024

Shop = TestClient[web.Request, web.Application]


@pytest.mark.parametrize("path", MARKED + UNMARKED)
async def test_a_page_has_the_size_of_a_real_one(shop: Shop, path: str) -> None:
    response = await shop.get(path)
    assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
    assert 40 * KIB <= len(await response.read()) <= 120 * KIB


@pytest.mark.parametrize("path", MARKED)
async def test_modules_are_marked_where_a_redesign_was_planned_for(shop: Shop, path: str) -> None:
    page = LexborHTMLParser(await (await shop.get(path)).text())
    modules = {node.attributes["data-module"] for node in page.css("[data-module]")}
    assert {"offers", "testimonials", "newsletter", "cta"} <= modules
    assert path != "/" or "hero" in modules


@pytest.mark.parametrize("path", UNMARKED)
async def test_modules_are_not_marked_elsewhere(shop: Shop, path: str) -> None:
    assert "data-module" not in await (await shop.get(path)).text()


@pytest.mark.parametrize("path", ["/", "/category/black", "/product/hush", "/quiz", "/checkout", "/blog", "/account"])
async def test_no_two_responses_are_the_same(shop: Shop, path: str) -> None:
    first, second = [await (await shop.get(path)).text() for _ in range(2)]
    for name in ("csrf-token", "request-id", "rendered-at"):
        values = {LexborHTMLParser(text).css(f"meta[name={name}]")[0].attributes["content"] for text in (first, second)}
        assert len(values) == 2, name
    nonces = [set(re.findall(r'nonce="([^"]+)"', text)) for text in (first, second)]
    assert [len(found) for found in nonces] == [1, 1]
    assert nonces[0] != nonces[1]


@pytest.mark.parametrize("path", MARKED[:4] + UNMARKED + PECULIAR)
async def test_a_page_is_well_formed(shop: Shop, path: str) -> None:
    text = await (await shop.get(path)).text()
    html5lib.HTMLParser(strict=True).parse(text.removeprefix("\ufeff"))
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    page = LexborHTMLParser(text)
    assert len(page.css("h1")) == 1
    ids = Counter(node.attributes["id"] for node in page.css("[id]"))
    assert [name for name, times in ids.items() if times > 1] == []
    assert all(node.text(strip=True) for node in page.css("h1, h2, h3"))
    named = {
        node.attributes[attribute]
        for attribute in ("for", "aria-labelledby", "aria-describedby")
        for node in page.css(f"[{attribute}]")
    }
    assert named <= set(ids)


async def test_every_link_leads_somewhere(shop: Shop) -> None:
    seen: set[str] = set()
    waiting = ["/"]
    anchors: set[tuple[str, str]] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path == "/slow":
            continue
        response = await shop.get(path)
        assert response.status == 200, path
        if response.content_type != "text/html" or "Content-Disposition" in response.headers:
            continue
        page = LexborHTMLParser(await response.text())
        ids = {f"{path}#{node.attributes['id']}" for node in page.css("[id]")}
        for attribute in ("href", "src"):
            for node in page.css(f"[{attribute}]"):
                target, fragment = urldefrag(node.attributes[attribute] or "")
                assert not target or target.startswith("/"), target
                if fragment and target in ("", path):
                    assert f"{path}#{fragment}" in ids
                elif fragment:
                    anchors.add((target, fragment))
                if target:
                    waiting.append(target)
    for target, fragment in anchors:
        assert LexborHTMLParser(await (await shop.get(target)).text()).css(f"#{fragment}"), (target, fragment)
    assert {f"/product/{slug}" for slug in CATALOGUE.products} <= seen
    assert {f"/static/products/{slug}.svg" for slug in CATALOGUE.products} <= seen


@pytest.mark.parametrize(
    "path", ["/nowhere", "/category/gravel", "/product/none", "/blog/none", "/static/none", "/static/../app.py"]
)
async def test_an_unknown_address_gets_a_real_page(shop: Shop, path: str) -> None:
    response = await shop.get(path)
    assert (response.status, response.content_type) == (404, "text/html")
    text = await response.text()
    assert "only heather here" in text
    assert len(text) > 40 * KIB


@pytest.mark.parametrize("path", ["/blog", "/blog/how-to-read-a-kettle"])
async def test_the_journal_is_compressed_for_those_who_ask(shop: Shop, path: str) -> None:
    plain = await shop.get(path, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    shop.session._auto_decompress = False
    packed = await shop.get(path, headers={"Accept-Encoding": "br;q=0.5, gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    body = gzip.decompress(await packed.read())
    assert abs(len(body) - len(await plain.read())) < 100
    assert body.endswith(b"</html>")


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("gzip", True),
        ("GZIP;q=0.1, br", True),
        ("*", True),
        ("br, *;q=0", False),
        ("gzip;q=0, *", False),
        ("gzip;q=lots", False),
        ("x-gzip-like", False),
        ("", False),
    ],
)
def test_accept_encoding_is_weighed(accept_encoding: str, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


async def test_the_quiz_leads_to_the_sky_that_was_chosen(shop: Shop) -> None:
    fields = LexborHTMLParser(await (await shop.get("/quiz")).text())
    names = {node.attributes["name"] for node in fields.css("#quiz input[type=radio]")}
    assert len(names) == 5
    text = await (await shop.get("/quiz/result?walk=ridge&cup=black&hour=dawn")).text()
    assert "You are weather over the ridge" in text


async def test_the_result_without_answers_goes_back_to_the_questions(shop: Shop) -> None:
    response = await shop.get("/quiz/result?window=<script>", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "/quiz")


async def test_a_head_request_gets_the_headers_alone(shop: Shop) -> None:
    response = await shop.head("/")
    assert response.status == 200
    assert int(response.headers["Content-Length"]) > 40 * KIB
    assert await response.read() == b""


class Balance(HTMLParser):
    """Start and end tags must pair up as they were written: no parser's repairs are needed to read these pages."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

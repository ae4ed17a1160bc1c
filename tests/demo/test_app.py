"""Every address of the shop answers, and what is refused is a page of the shop too."""

import asyncio

import html5lib
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from demo.app import CHUNK_PAUSE_S, FORM_BYTES_MAX, REFUSALS, ROUTES, unhurried

Shop = TestClient[web.Request, web.Application]


def addresses() -> list[str]:
    """The GET addresses that need no name and come whole: `/slow` and `/events` have tests of their own."""
    gets = [route.path for route in ROUTES if route.method == "GET"]
    return [path for path in gets if "{" not in path and path not in ("/slow", "/events")]


@pytest.mark.parametrize("path", addresses())
async def test_every_address_answers(shop: Shop, path: str) -> None:
    response = await shop.get(path)
    assert response.status == 200
    assert await response.read()


@pytest.mark.parametrize("path", ["/nowhere", "/product/none", "/category/none", "/blog/none", "/static/none.css"])
async def test_what_is_not_there_is_a_page_with_a_way_back(shop: Shop, path: str) -> None:
    response = await shop.get(path)
    text = await response.text()
    assert (response.status, response.content_type) == (404, "text/html")
    assert REFUSALS[404]["title"] in text
    assert 'href="/"' in text
    html5lib.HTMLParser(strict=True).parse(text)


@pytest.mark.parametrize("path", ["/basket", "/checkout", "/newsletter"])
async def test_a_form_that_is_not_ours_is_a_page_too(shop: Shop, path: str) -> None:
    response = await shop.post(path, data={"csrf": "made up"})
    text = await response.text()
    assert (response.status, response.content_type) == (403, "text/html")
    assert REFUSALS[403]["title"] in text


async def test_a_form_beyond_the_bound_is_refused(shop: Shop) -> None:
    response = await shop.post("/newsletter", data={"email": "x" * FORM_BYTES_MAX})
    assert response.status == 413


async def test_another_method_is_refused_with_those_that_are_allowed(shop: Shop) -> None:
    response = await shop.delete("/basket")
    assert (response.status, response.headers["Allow"]) == (405, "POST")


async def test_the_open_shop_takes_its_time() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await unhurried()
    assert loop.time() - began >= CHUNK_PAUSE_S * 0.9

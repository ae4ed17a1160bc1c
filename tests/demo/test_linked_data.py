"""JSON-LD says what the page says, and stays inside its script element."""

import json
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient
from selectolax.lexbor import LexborHTMLParser

from demo.catalogue import load_catalogue

Shop = TestClient[web.Request, web.Application]
CATALOGUE = load_catalogue()


async def stated(shop: Shop, path: str) -> dict[str, dict[str, Any]]:
    page = LexborHTMLParser(await (await shop.get(path)).text())
    found = [json.loads(node.text()) for node in page.css('script[type="application/ld+json"]')]
    assert all(about["@context"] == "https://schema.org" for about in found)
    return {about["@type"]: about for about in found}


async def test_a_product_states_its_price_and_its_reviews(shop: Shop) -> None:
    product = CATALOGUE.products["peat-and-plum"]
    about = (await stated(shop, f"/product/{product.slug}"))["Product"]
    assert about["name"] == "Peat & Plum"
    assert about["offers"]["price"] == "11.80"
    assert len(about["review"]) == len(product.reviews)


async def test_lists_and_entries_state_themselves(shop: Shop) -> None:
    assert len((await stated(shop, "/category/black"))["ItemList"]["itemListElement"]) == 6
    assert (await stated(shop, "/blog/walking-teas"))["BlogPosting"]["headline"] == "Five teas for five walks"
    assert set(await stated(shop, "/quiz")) == {"Store"}

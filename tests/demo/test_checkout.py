"""What is sent to the shop: only by its own forms, and then it works."""

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

Shop = TestClient[web.Request, web.Application]
ORDER = {
    "email": "wren@example.org",
    "name": "Wren <b>",
    "street": "3 Chapel Row",
    "town": "Carrow",
    "postcode": "LA9 0ZZ",
}


async def token_from(shop: Shop, path: str = "/checkout") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', await (await shop.get(path)).text())
    assert found
    return found[1]


async def test_an_order_is_confirmed_and_the_basket_is_empty_after_it(shop: Shop) -> None:
    response = await shop.post("/checkout", data=ORDER | {"csrf": await token_from(shop)})
    text = await response.text()
    assert response.status == 200
    assert re.search(r"Order LM-\d{6}", text)
    assert "Thank you, Wren &lt;b&gt;" in text
    assert "£37.00" in text
    assert (await (await shop.get("/api/cart")).json())["count"] == 0
    assert "nothing in it yet" in await (await shop.get("/checkout")).text()


async def test_an_incomplete_order_says_what_is_missing_where(shop: Shop) -> None:
    order = ORDER | {"csrf": await token_from(shop), "town": " ", "email": "wren@"}
    response = await shop.post("/checkout", data=order)
    text = await response.text()
    assert response.status == 422
    assert set(re.findall(r'id="problem-(\w+)"', text)) == {"email", "town"}
    assert 'value="3 Chapel Row"' in text


@pytest.mark.parametrize("path", ["/checkout", "/basket", "/newsletter"])
@pytest.mark.parametrize("token", ["", "AAAA", "ü" * 64, "A" * 64, "A" * 4000])
async def test_a_form_from_elsewhere_is_refused(shop: Shop, path: str, token: str) -> None:
    await shop.get("/")
    response = await shop.post(path, data=ORDER | {"csrf": token, "slug": "hush"}, allow_redirects=False)
    assert response.status == 403
    assert "did not recognise that form" in await response.text()


async def test_a_token_is_worth_nothing_without_its_cookie(shop: Shop) -> None:
    token = await token_from(shop)
    shop.session.cookie_jar.clear()
    response = await shop.post("/newsletter", data={"csrf": token, "email": "wren@example.org"})
    assert response.status == 403


async def test_an_older_token_of_the_same_visitor_still_counts(shop: Shop) -> None:
    older = await token_from(shop)
    newer = await token_from(shop, "/product/hush")
    assert older != newer
    response = await shop.post("/newsletter", data={"csrf": older, "email": "wren@example.org"})
    assert response.status == 200
    assert "on its way" in await response.text()


async def test_the_secret_is_set_once_and_out_of_reach_of_scripts(shop: Shop) -> None:
    first = await shop.get("/")
    second = await shop.get("/quiz")
    cookie = first.cookies["larkmoor_csrf"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert "larkmoor_csrf" not in second.cookies
    assert cookie.value not in await first.text()


async def test_the_basket_takes_and_gives_back(shop: Shop) -> None:
    csrf = await token_from(shop)
    added = await shop.post("/basket", data={"csrf": csrf, "slug": "hush", "change": "add"}, allow_redirects=False)
    assert (added.status, added.headers["Location"]) == (303, "/checkout")
    await shop.post("/basket", data={"csrf": csrf, "slug": "burr-infuser", "change": "remove"})
    cart = await (await shop.get("/api/cart")).json()
    assert [(line["slug"], line["quantity"]) for line in cart["lines"]] == [("moorland-breakfast", 2), ("hush", 1)]
    assert (cart["goodsPence"], cart["deliveryPence"], cart["totalPence"]) == (2840, 395, 3235)


async def test_what_is_not_for_sale_cannot_be_put_in(shop: Shop) -> None:
    response = await shop.post("/basket", data={"csrf": await token_from(shop), "slug": "biscuit", "change": "add"})
    assert response.status == 404


async def test_an_unsupported_method_is_refused(shop: Shop) -> None:
    assert (await shop.post("/quiz")).status == 405

"""What is under /static, and that nobody fetches it twice."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

Shop = TestClient[web.Request, web.Application]


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/static/shop.css", "text/css"),
        ("/static/shop.js", "text/javascript"),
        ("/static/favicon.svg", "image/svg+xml"),
        ("/static/products/hush.svg", "image/svg+xml"),
        ("/static/articles/walking-teas.svg", "image/svg+xml"),
    ],
)
async def test_an_asset_is_not_sent_again(shop: Shop, path: str, content_type: str) -> None:
    first = await shop.get(path)
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    assert (first.status, first.content_type) == (200, content_type)
    assert len(await first.read()) > 100
    for condition in (
        {"If-None-Match": etag},
        {"If-None-Match": f'"other", W/{etag}'},
        {"If-Modified-Since": modified},
    ):
        again = await shop.get(path, headers=condition)
        assert again.status == 304, condition
        assert (again.headers["ETag"], again.headers["Last-Modified"]) == (etag, modified)
        assert await again.read() == b""


async def test_a_changed_asset_is_sent(shop: Shop) -> None:
    first = await shop.get("/static/shop.css")
    modified = first.headers["Last-Modified"]
    other = {"If-None-Match": '"other"', "If-Modified-Since": modified}
    assert (await shop.get("/static/shop.css", headers=other)).status == 200
    long_ago = {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}
    assert (await shop.get("/static/shop.css", headers=long_ago)).status == 200


async def test_assets_carry_no_cookie(shop: Shop) -> None:
    assert "Set-Cookie" not in (await shop.get("/static/shop.css")).headers

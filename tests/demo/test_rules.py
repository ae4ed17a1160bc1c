"""The rules that come with the shop, carried out on its pages by a sidecar."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

import demo
from rules.compiler import compile_table
from rules.model import decode_rules
from tests.demo.conftest import Shop
from tests.sidecar.wire import serving

RULES = compile_table(
    decode_rules((Path(demo.__file__).parent / "rules.json").read_bytes()),
    version=1,
    now=datetime(2026, 1, 1, tzinfo=UTC),
)
SPOON = "Straight from the quiz"


class Visitor:
    """Somebody whose browser keeps cookies."""

    def __init__(self, browser: aiohttp.ClientSession) -> None:
        self._browser = browser

    async def reads(self, path: str) -> str:
        async with self._browser.get(path) as page:
            assert page.status == 200
            return await page.text()


@pytest.fixture
async def visitor(shop: Shop) -> AsyncIterator[Visitor]:
    async with (
        serving(str(shop.make_url("")).rstrip("/"), tables=RULES, state_keys="demo-" * 8) as sidecar,
        aiohttp.ClientSession(f"http://127.0.0.1:{sidecar.port}", cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        yield Visitor(browser)


async def test_a_stranger_sees_nothing_of_the_quiz(visitor: Visitor) -> None:
    assert "Still in the mood" not in await visitor.reads("/")
    assert SPOON not in await visitor.reads("/product/moorland-breakfast")


async def test_who_took_the_quiz_is_known_again(visitor: Visitor) -> None:
    await visitor.reads("/quiz/result?window=fog&cup=plain")
    assert "Still in the mood for mist? Look out of the window again." in await visitor.reads("/")
    await visitor.reads("/quiz/result?window=blue")
    assert "Still in the mood for sunshine?" in await visitor.reads("/")


async def test_a_spoon_for_those_who_come_from_the_quiz(visitor: Visitor) -> None:
    await visitor.reads("/quiz/result?window=fog")
    assert SPOON not in await visitor.reads("/product/moorland-breakfast")
    await visitor.reads("/quiz")
    await visitor.reads("/quiz/result?window=fog")
    assert SPOON in await visitor.reads("/product/moorland-breakfast")


async def test_what_the_shop_hands_over_of_a_page_is_read(visitor: Visitor) -> None:
    few = await visitor.reads("/product/tarn-kettle")
    assert "Only 12 left, and the workshop is on holiday" in few
    assert "holiday" not in await visitor.reads("/product/moorland-breakfast")

"""The basket is whatever sense can be made of a cookie, within bounds."""

import pytest

from demo.basket import COUNT_MAX, DELIVERY_PENCE, FREE_DELIVERY_PENCE, LINES_MAX, STARTER, Basket, counts_from_cookie
from demo.catalogue import load_catalogue

CATALOGUE = load_catalogue()


@pytest.mark.parametrize("cookie", ["", "empty", "***", "biscuit*2", "hush*0", "hush*99", "hush*-1", "hush", ".*.*1"])
def test_an_unreadable_basket_is_an_empty_one(cookie: str) -> None:
    assert Basket(counts_from_cookie(cookie), CATALOGUE).lines == []


def test_a_first_visitor_finds_a_starter() -> None:
    assert counts_from_cookie(None) == STARTER


def test_a_basket_has_an_end() -> None:
    basket = Basket(dict.fromkeys(CATALOGUE.products, 9), CATALOGUE)
    assert len(basket.lines) == LINES_MAX
    assert len(basket.cookie()) < 400
    assert Basket(counts_from_cookie(basket.cookie() + ".hush*1"), CATALOGUE).lines == basket.lines


@pytest.mark.parametrize(("counts", "delivery"), [({}, 0), ({"hush": 1}, DELIVERY_PENCE), ({"tarn-kettle": 1}, 0)])
def test_delivery_is_free_from_a_sum(counts: dict[str, int], delivery: int) -> None:
    basket = Basket(counts, CATALOGUE)
    assert basket.delivery_pence == delivery
    assert basket.total_pence == basket.goods_pence + delivery
    assert basket.missing_pence == max(0, FREE_DELIVERY_PENCE - basket.goods_pence)


def test_a_basket_survives_its_cookie() -> None:
    basket = Basket({"hush": 2, "ember": 40}, CATALOGUE)
    again = Basket(counts_from_cookie(basket.cookie()), CATALOGUE)
    assert again.lines == basket.lines
    assert again.lines[1].quantity == COUNT_MAX

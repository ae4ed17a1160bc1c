"""The visitor's basket, kept whole in a cookie: `slug*count` joined by dots.

Counterpart: `checkout` changes it, the page frame and `/api/cart` show it. Never trusts the cookie: what is not for
sale is dropped, counts are bounded.
"""

from collections.abc import Mapping
from typing import NamedTuple

from demo.catalogue import Catalogue, Product

COUNT_MAX = 9
LINES_MAX = 12
"""Keeps the cookie under 400 bytes."""

FREE_DELIVERY_PENCE = 3500
DELIVERY_PENCE = 395

EMPTY = "empty"
STARTER = {"moorland-breakfast": 2, "burr-infuser": 1}
"""What a first visitor finds in the basket, so that the checkout has something to show."""


class Line(NamedTuple):
    """A product and how many of it."""

    product: Product
    quantity: int

    @property
    def pence(self) -> int:
        """Price of the line."""
        return self.product.price_pence * self.quantity


class Basket:
    """Lines in the order in which they were put in."""

    def __init__(self, counts: Mapping[str, int], catalogue: Catalogue) -> None:
        kept = [(slug, count) for slug, count in counts.items() if slug in catalogue.products][:LINES_MAX]
        self.lines = [Line(catalogue.products[slug], min(max(count, 1), COUNT_MAX)) for slug, count in kept]

    @property
    def count(self) -> int:
        """How many pieces."""
        return sum(line.quantity for line in self.lines)

    @property
    def goods_pence(self) -> int:
        """Price without delivery."""
        return sum(line.pence for line in self.lines)

    @property
    def delivery_pence(self) -> int:
        """Free from FREE_DELIVERY_PENCE, and for an empty basket."""
        return DELIVERY_PENCE if 0 < self.goods_pence < FREE_DELIVERY_PENCE else 0

    @property
    def total_pence(self) -> int:
        """What there is to pay."""
        return self.goods_pence + self.delivery_pence

    @property
    def missing_pence(self) -> int:
        """How much more would make delivery free; 0 if it is."""
        return max(0, FREE_DELIVERY_PENCE - self.goods_pence)

    def cookie(self) -> str:
        """The cookie's value."""
        return ".".join(f"{line.product.slug}*{line.quantity}" for line in self.lines) or EMPTY


def counts_from_cookie(cookie: str | None) -> dict[str, int]:
    """Product slugs and counts; the starter basket where there is no cookie. Unreadable parts are skipped."""
    if cookie is None:
        return dict(STARTER)
    counts: dict[str, int] = {}
    for part in cookie.split(".")[:LINES_MAX]:
        slug, _, count = part.partition("*")
        if slug and count in {"1", "2", "3", "4", "5", "6", "7", "8", "9"}:
            counts[slug] = int(count)
    return counts

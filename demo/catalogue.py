"""What the shop sells and writes: the shapes, and the two JSON files read into them.

Counterpart: `pages` and `checkout` show it. Never changes while the shop is open, and never depends on the visitor.
"""

from datetime import date
from functools import cache
from pathlib import Path

import msgspec

HERE = Path(__file__).parent


class Review(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one customer thought of one product."""

    author: str
    place: str
    stars: int
    date: date
    title: str
    text: str


class Brewing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a tea likes to be made, for one cup of 250 ml."""

    temperature_c: int
    minutes: int
    grams: int


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shelf of the shop."""

    slug: str
    name: str
    short: str
    strapline: str
    intro: str
    advice: str
    weather: str
    ground: str
    accent: str


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing for sale. `drawing` names a file in templates/drawings; the colours and the weather fill it in."""

    slug: str
    name: str
    category: str
    drawing: str
    weather: str
    ground: str
    body: str
    label: str
    price_pence: int
    was_pence: int | None
    size: str
    strapline: str
    description: list[str]
    notes: list[str]
    origin: str
    brew: Brewing | None
    strength: int
    caffeine: str
    stock: int
    reviews: list[Review]

    @property
    def rating(self) -> float:
        """Mean of the reviews' stars, 1 to 5."""
        return sum(review.stars for review in self.reviews) / len(self.reviews)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A heading of an article and what stands under it."""

    heading: str
    paragraphs: list[str]


class Comment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reader wrote under an article."""

    author: str
    date: date
    text: str


class Article(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of the journal. `products` are the slugs of what it mentions."""

    slug: str
    title: str
    date: date
    author: str
    minutes: int
    topic: str
    weather: str
    ground: str
    summary: str
    products: list[str]
    sections: list[Section]
    comments: list[Comment]


class Shelves(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file catalogue.json. `destinations` are the countries that parcels go to."""

    destinations: list[str]
    categories: list[Category]
    products: list[Product]


class Catalogue:
    """Everything there is to show, by slug, in the order of the shelves."""

    def __init__(self, shelves: Shelves, articles: list[Article]) -> None:
        self.destinations = shelves.destinations
        self.categories = {category.slug: category for category in shelves.categories}
        self.products = {product.slug: product for product in shelves.products}
        self.articles = {article.slug: article for article in articles}

    def shelf(self, category: str) -> list[Product]:
        """The products of a category."""
        return [product for product in self.products.values() if product.category == category]

    def offers(self) -> list[Product]:
        """What costs less than it did."""
        return [product for product in self.products.values() if product.was_pence is not None]

    def pick(self, slugs: list[str]) -> list[Product]:
        """The products of these slugs, in this order."""
        return [self.products[slug] for slug in slugs]

    def companions(self, product: Product, count: int) -> list[Product]:
        """Others to go with it: its neighbours on the shelf, then teaware, in a fixed order."""
        shelf = self.shelf(product.category)
        place = shelf.index(product)
        rest = shelf[place + 1 :] + shelf[:place]
        rest += [other for other in self.shelf("teaware") if other not in shelf]
        return rest[:count]


@cache
def load_catalogue() -> Catalogue:
    """Read the two files beside this module; msgspec.ValidationError names the path of a mistake in them."""
    shelves = msgspec.json.decode((HERE / "catalogue.json").read_bytes(), type=Shelves)
    articles = msgspec.json.decode((HERE / "journal.json").read_bytes(), type=list[Article])
    return Catalogue(shelves, articles)

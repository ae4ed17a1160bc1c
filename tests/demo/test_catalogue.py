"""The data hangs together: what refers to something refers to something that is there."""

from demo.catalogue import load_catalogue
from demo.checkout import ADD_ONS
from demo.pages import BEST_SELLERS
from demo.quiz import OUTCOMES

CATALOGUE = load_catalogue()


def test_every_reference_is_to_something_there_is() -> None:
    slugs = {*BEST_SELLERS, *ADD_ONS}
    slugs.update(slug for article in CATALOGUE.articles.values() for slug in article.products)
    slugs.update(slug for outcome in OUTCOMES.values() for slug in outcome.products)
    assert slugs <= CATALOGUE.products.keys()
    assert {product.category for product in CATALOGUE.products.values()} == CATALOGUE.categories.keys()


def test_the_figures_are_plausible() -> None:
    for product in CATALOGUE.products.values():
        assert 3 <= product.rating <= 5
        assert 0 < product.price_pence < (product.was_pence or 100_000)
        assert 0 <= product.strength <= 5
        assert (product.brew is None) == (product.category == "teaware")
        assert product.brew is None or 60 <= product.brew.temperature_c <= 100


def test_a_product_is_never_its_own_company() -> None:
    for product in CATALOGUE.products.values():
        companions = CATALOGUE.companions(product, 8)
        assert product not in companions
        assert len({other.slug for other in companions}) == len(companions) >= 4

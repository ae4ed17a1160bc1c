"""Rows found by address: the right ones, in order, and nobody else asked."""

from itertools import product

import pytest

from rules.errors import RulesError
from rules.page_index import PageIndex


def found(addresses: list[tuple[str, str]], site: str, path: str) -> list[tuple[str, str]]:
    return [addresses[row] for row in PageIndex(addresses).find(site, path)]


PAGES = ["*", "/", "/*", "/**", "/a", "/a/", "/a/*", "/a/**", "/*/b", "/**/b", "/a/**/c", "/a*", "/a**", "/*/b/*"]


@pytest.mark.parametrize(
    ("path", "pages"),
    [
        ("/", ["*", "/", "/**"]),
        ("", ["*", "/", "/**"]),
        ("/a", ["*", "/*", "/**", "/a", "/a/", "/a/**", "/a*", "/a**"]),
        ("/a/", ["*", "/*", "/**", "/a", "/a/", "/a/**", "/a*", "/a**"]),
        ("/a/b", ["*", "/**", "/a/*", "/a/**", "/*/b", "/**/b", "/a**"]),
        ("/x/b/c", ["*", "/**", "/*/b/*"]),
        ("/a/x/c", ["*", "/**", "/a/**", "/a/**/c", "/a**"]),
        ("//b", ["*", "/**", "/**/b"]),
        ("a", ["*"]),
        ("/b\udc80", ["*"]),
    ],
)
def test_pages(path: str, pages: list[str]) -> None:
    assert found([("*", page) for page in PAGES], "shop.example", path) == [("*", page) for page in pages]


def test_a_path_that_is_no_text_has_exact_pages_only() -> None:
    addresses = list(product(["*"], ["/a", "/\u00e9/*", "/*", "/**"]))
    assert found(addresses, "shop.example", "/\u00e9/x") == [("*", "/\u00e9/*"), ("*", "/**")]
    assert found(addresses, "shop.example", "/\u00e9/\udc80") == []


SITES = ["*", "shop.example", "SHOP.example.", "*.example", "*.shop.example", "*.b.c", ".example", "other.example"]


@pytest.mark.parametrize(
    ("site", "sites"),
    [
        ("shop.example", ["*", "shop.example", "SHOP.example.", "*.example"]),
        ("a.shop.example", ["*", "*.example", "*.shop.example"]),
        ("example", ["*"]),
        (".example", ["*", "*.example", ".example"]),
        ("a.b.c", ["*", "*.b.c"]),
        ("b.c", ["*"]),
        ("", ["*"]),
        (".".join("a" * 2000) + ".example", ["*", "*.example"]),
    ],
)
def test_sites(site: str, sites: list[str]) -> None:
    assert found([(one, "/a") for one in SITES], site, "/a") == [(one, "/a") for one in sites]


def test_rows_come_in_their_order_whatever_lists_they_are_in() -> None:
    addresses = [("*", "/a/*"), ("shop.example", "/a/b"), ("*.example", "*"), ("*", "/a/b"), ("shop.example", "*")]
    assert found(addresses * 2, "shop.example", "/a/b") == addresses * 2


def test_no_rows() -> None:
    assert list(PageIndex([]).find("shop.example", "/")) == []


@pytest.mark.parametrize("address", [("a/b", "/"), ("*", "here"), ("*", "/a?b"), ("*.", "*b")])
def test_what_is_no_address_is_refused(address: tuple[str, str]) -> None:
    with pytest.raises(RulesError):
        PageIndex([address])


def test_nobody_is_asked_about_pages_that_an_address_does_not_reach() -> None:
    """Ten thousand pages with expressions below other sections: none of their nodes is visited."""
    index = PageIndex([("*", f"/section-{number}/off*") for number in range(1_000)])
    assert list(index.find("shop.example", "/section-7/offers")) == [7]
    index._everywhere._root.literals = {"section-7": index._everywhere._root.literals["section-7"]}
    assert list(index.find("shop.example", "/section-7/offers")) == [7]

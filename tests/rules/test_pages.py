"""Sites and page patterns."""

import pytest

from rules.errors import RulesError
from rules.pages import compile_page, compile_site


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", ["/", "/a/b", ""], []),
        ("/", ["/", "", "//"], ["/a"]),
        ("/offers", ["/offers", "/offers/"], ["/offers/x", "/Offers", "/offersx"]),
        ("/offers/", ["/offers", "/offers/"], ["/offers/x"]),
        ("/offers/*", ["/offers/x", "/offers/x/"], ["/offers", "/offers/", "/offers/x/y"]),
        ("/*", ["/a", "/a/"], ["/", "/a/b"]),
        ("/blog/**", ["/blog", "/blog/", "/blog/a", "/blog/a/b"], ["/blogs", "/"]),
        ("/**", ["/", "/a/b"], []),
        ("/a/**/z", ["/a/z", "/a/b/z", "/a/b/c/z"], ["/a/bz", "/a/z/b"]),
        ("/*/reviews", ["/shoes/reviews"], ["/reviews", "/a/b/reviews"]),
        ("/p-*.html", ["/p-1.html", "/p-.html"], ["/p-1xhtml", "/p-1/2.html"]),
        ("/a.b(c)", ["/a.b(c)"], ["/aXb(c)"]),
        ("/größe/*", ["/größe/x"], ["/grosse/x"]),
    ],
)
def test_a_page_pattern(pattern: str, matching: list[str], other: list[str]) -> None:
    matches = compile_page(pattern, "$")
    assert [path for path in matching if not matches(path)] == []
    assert [path for path in other if matches(path)] == []


def test_a_path_that_is_no_text_matches_nothing() -> None:
    assert not compile_page("/a/*", "$")("/a/\udc80")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", ["shop.example", ""], []),
        ("shop.example", ["shop.example"], ["www.shop.example", "shop.example.org"]),
        ("Shop.Example.", ["shop.example"], []),
        ("*.example", ["shop.example", "www.shop.example"], ["example", "notexample"]),
    ],
)
def test_a_site(pattern: str, matching: list[str], other: list[str]) -> None:
    matches = compile_site(pattern, "$")
    assert [site for site in matching if not matches(site)] == []
    assert [site for site in other if matches(site)] == []


@pytest.mark.parametrize("pattern", ["", "a b", "shop/x", "shop:80", "*.", "*.*.example", "sh*p"])
def test_no_site(pattern: str) -> None:
    if pattern:
        with pytest.raises(RulesError):
            compile_site(pattern, "$.site")


@pytest.mark.parametrize("pattern", ["offers", "/a?b", "/a#b", "**"])
def test_no_page(pattern: str) -> None:
    with pytest.raises(RulesError):
        compile_page(pattern, "$.pageSlug")

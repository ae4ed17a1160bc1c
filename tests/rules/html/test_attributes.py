"""What a placeholder is in an attribute, or why it can't stand there. `M` is the placeholder."""

import pytest

from rules.errors import RulesError
from rules.html.attributes import Place, position_in
from rules.templates import Position


def found(tag: str, name: str, value: str, *, fallback: bool = False) -> Position:
    return position_in(Place(tag, name, value), "lmx0q", ["lmx0q", "lmx1q"], fallback)


@pytest.mark.parametrize(
    ("tag", "name", "value", "position"),
    [
        ("p", "title", "M", Position.PLAIN),
        ("p", "DATA-x", "a M", Position.PLAIN),
        ("p", "aria-label", "M", Position.PLAIN),
        ("p", "id", "offer-M", Position.PLAIN),
        ("p", "xml:lang", "M", Position.PLAIN),
        ("p", "style", "color: M", Position.STYLE),
        ("rect", "fill", "M", Position.STYLE),
        ("g", "CURSOR", "M, auto", Position.STYLE),
        ("a", "href", " \tM", Position.ADDRESS),
        ("a", "href", "M/x", Position.ADDRESS),
        ("", "href", "M", Position.ADDRESS),
        ("img", "src", "M?x", Position.ADDRESS),
        ("a", "href", "/M", Position.ADDRESS_PART),
        ("a", "href", "?a=M", Position.ADDRESS_PART),
        ("a", "href", "x/M:y", Position.ADDRESS_PART),
        ("a", "href", "https://x.example/M", Position.ADDRESS_PART),
        ("a", "href", "//x.example?M", Position.ADDRESS_PART),
        ("a", "href", "mailto:M", Position.ADDRESS_PART),
        ("form", "action", "/search/M", Position.ADDRESS_PART),
        ("img", "srcset", "/M.png 1x, /a.png 2x", Position.ADDRESS_PART),
    ],
)
def test_positions(tag: str, name: str, value: str, position: Position) -> None:
    assert found(tag, name, value.replace("M", "lmx0q")) is position


@pytest.mark.parametrize(
    ("tag", "name", "value", "part"),
    [
        ("p", "onclick", "M", "a script could run it"),
        ("p", "@click", "M", "a script could run it"),
        ("p", "x-data", "M", "a script could run it"),
        ("p", ":class", "M", "a script could run it"),
        ("p", "hx-vals", "M", "a script could run it"),
        ("iframe", "srcdoc", "M", "a script could run it"),
        ("script", "type", "M", "decides what runs"),
        ("template", "shadowrootmode", "M", "decides what runs"),
        ("set", "to", "M", "decides what runs"),
        ("p", "id", "M", "text must stand before"),
        ("p", "style", "M", "a declaration's value only"),
        ("rect", "filter", "url(#M)", "an address that a style loads"),
        ("link", "href", "M", "it loads or sends"),
        ("iframe", "src", "M/x", "it loads or sends"),
        ("button", "formaction", "M", "it loads or sends"),
        ("img", "srcset", "/a 1x, M 2x", "it loads or sends"),
        ("a", "href", "M:x", "behind a placeholder that begins an address"),
        ("a", "href", "Mx", "behind a placeholder that begins an address"),
        ("a", "href", "javaM:x", "the scheme of an address"),
        ("a", "href", "blob:M", "a blob: address"),
        ("a", "href", "https://M/x", "the host of an address"),
        ("a", "href", "https://a.M", "the host of an address"),
        ("a", "href", "ht\ntps:/\\M/x", "the host of an address"),
        ("a", "href", "//lmx1q/M", "the host of an address"),
        ("a", "href", "/M/x", "give the placeholder a fallback"),
        ("a", "href", "/lmx1qM\\x", "give the placeholder a fallback"),
    ],
)
def test_no_place_for_a_placeholder(tag: str, name: str, value: str, part: str) -> None:
    with pytest.raises(RulesError, match=part):
        found(tag, name, value.replace("M", "lmx0q"))


def test_with_a_fallback_the_path_has_something_in_it() -> None:
    assert found("a", "href", "/lmx0q/x", fallback=True) is Position.ADDRESS_PART

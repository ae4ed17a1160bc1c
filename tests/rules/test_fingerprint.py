"""What makes a module itself, and how it is found on a page that was designed anew."""

import pytest
from turbohtml import Element

from rules.fingerprint import (
    LIKENESS_MIN,
    find_again,
    fingerprint,
    is_same_module,
    likeness,
    normal_selector,
    selector_of,
)
from rules.html.charset import Charset
from rules.html.document import Document
from rules.model import Module

UTF_8 = Charset("UTF-8", "utf-8", 0)
OLD = """
<header class="top"><a href="/">Tea &amp; Co</a></header>
<main>
  <section id="hero" class="hero css-1x2y3z"><h1>Fresh tea from Assam</h1><p>Picked this May, in small lots.</p>
    <a class="button" href="/offers">See the offers</a></section>
  <section class="teaser"><h2>Green tea</h2><p>From Uji.</p><a class="button" href="/green">More</a></section>
  <section class="teaser"><h2>Black tea</h2><p>From Darjeeling.</p><a class="button" href="/black">More</a></section>
</main>
"""
NEW = """
<div class="layout"><header class="top"><a href="/">Tea &amp; Co</a></header>
<main class="page"><div class="grid">
  <section class="teaser"><h2>Green tea</h2><p>From Uji.</p><a class="button" href="/green">More</a></section>
  <section class="teaser"><h2>Black tea</h2><p>From Darjeeling.</p><a class="button" href="/black">More</a></section></div>
  <section class="hero css-9zz8Qa wide"><div><h1>Fresh tea from Assam</h1><p>Picked this June, in small lots.</p>
    <a class="button primary" href="/offers">See all offers</a></div></section>
</main></div>
"""


def page(body: str, charset: Charset = UTF_8) -> Document:
    return Document(f"<!doctype html><html><body>{body}</body></html>".encode(charset.codec), charset)


def of(document: Document, selector: str) -> Element:
    return document.select(selector)[0]


def test_it_is_found_again_after_a_redesign() -> None:
    old, new = page(OLD), page(NEW)
    known = fingerprint(of(old, "#hero"), old)
    found = find_again(known, new)
    assert found is not None
    assert found.selector == "section.hero"
    assert LIKENESS_MIN <= found.likeness < 1
    assert new.select(found.selector) == [of(new, "main > section")]


def test_one_of_two_alike_is_not_guessed() -> None:
    document = page("<p class=a>More</p><p class=a>More</p>")
    assert find_again(fingerprint(of(document, "p"), document), document) is None


def test_what_is_gone_is_not_found() -> None:
    old = page(OLD)
    known = fingerprint(of(old, "#hero"), old)
    assert find_again(known, page('<main><section class="teaser"><h2>Coffee</h2></section></main>')) is None
    assert find_again(known, page("")) is None


def test_itself_is_found_for_certain_and_around_it_is_no_rival() -> None:
    old = page(OLD)
    known = fingerprint(of(old, "#hero"), old)
    found = find_again(known, old)
    assert found is not None
    assert (found.selector, found.likeness, found.fingerprint) == ('[id="hero"]', 1.0, known)


def test_words_are_the_same_in_every_charset() -> None:
    body = '<div class="a">Grüße aus Köln</div>'
    one, other = page(body), page(body, Charset("windows-1252", "cp1252", 0))
    known = fingerprint(of(one, "div"), one)
    assert known.words == {"grüße", "aus", "köln"}
    assert fingerprint(of(other, "div"), other) == known


def test_generated_classes_do_not_count() -> None:
    document = page('<div class="css-1abc Button__a8X3k menu a1B2c3D4"></div>')
    assert fingerprint(of(document, "div"), document).names == {".menu"}


def test_likeness_is_between_nothing_and_all() -> None:
    document = page('<p class="a">tea</p><p class="b">coffee</p><i></i><b></b>')
    first, second, i, b = (fingerprint(of(document, name), document) for name in (".a", ".b", "i", "b"))
    assert likeness(first, first) == 1
    assert likeness(first, second) == likeness(second, first)
    assert 0 < likeness(first, second) < LIKENESS_MIN  # they stand in one place
    assert likeness(i, b) < likeness(i, i)


def test_a_selector_is_this_element_and_no_other() -> None:
    document = page('<div><p class="x">1</p><p class="x">2</p></div><p class="x y">3</p>')
    for element in document.root.find_all():
        selector = selector_of(element, document)
        assert selector is not None
        assert document.select(selector) == [element]
    assert selector_of(of(document, ".y"), document) == "p.y"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Module(id="a", selector="main >  h1"), Module(id="b", selector="main>h1"), True),
        (Module(id="a", selector="[data-x='1']"), Module(id="b", selector='[data-x="1"]'), True),
        (Module(id="a", selector="#a"), Module(id="b", selector="#b"), False),
        (Module(id="a"), Module(id="b"), False),
        (Module(id="a"), Module(id="b", selector='[data-module="a"]'), True),
        (Module(id="a", template="<p class=x>Hi</p>"), Module(id="b", template="<p class=x>Hi</p>"), True),
        (Module(id="a", template="<p>Hi</p>"), Module(id="b", template="<b>Other</b>"), False),
        (Module(id="a", selector="h1", template="<p>Hi</p>"), Module(id="b", selector="h1"), False),
        (
            Module(id="a", selector="h1", template="<p>Hi</p>"),
            Module(id="b", selector="h1", template="<b>x</b>"),
            False,
        ),
    ],
)
def test_two_ids_of_one_module(one: Module, other: Module, same: bool) -> None:
    assert is_same_module(one, other) is is_same_module(other, one) is same


def test_a_selector_is_written_one_way() -> None:
    assert normal_selector(Module(id="a", selector="  main  > h1 ,\n h2[lang = en ]")) == 'main>h1,h2[lang ="en"]'
    assert normal_selector(Module(id="a")) == '[data-module="a"]'

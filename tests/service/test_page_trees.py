"""Trees of two parsers, and where they differ first."""

import pytest
import turbohtml

from service.page_trees import Branch, Leaf, SelectolaxPage, SelectorError, by_turbohtml, first_difference, fragment

PAGE = (
    "<!doctype html><!-- a --><html lang=en><head><noscript><img></noscript><title>t</title></head><body class='a  b'>"
    "<p>x<b>y</b><template id=t><p>in<template><i>deeper</i></template></template><svg viewBox='0 0 1 1'><path/></svg>"
    "<noscript><p>no</noscript></body></html><!--z-->"
)


def tree(page: str) -> Branch:
    return SelectolaxPage(page).root


def test_both_parsers_make_the_same_tree() -> None:
    ours = by_turbohtml(turbohtml.parse(PAGE, scripting=True))
    assert first_difference(ours, tree(PAGE)) is None
    assert [element.tag for element in ours.walk()] == [element.tag for element in tree(PAGE).walk()]
    assert "i" in [element.tag for element in ours.walk()], "what is inside templates belongs to the tree"


def test_elements_are_found_in_tree_order_and_none_inside_templates() -> None:
    page = SelectolaxPage("<div><p>1</div><template><p>2</template><p>3")
    assert [element.path() for element in page.select("p, div, p")] == [(0, 1, 0), (0, 1, 0, 0), (0, 1, 2)]
    with pytest.raises(SelectorError):
        page.select("p:nonsense")


def test_the_selectors_go_on_looking_at_the_page_as_it_came() -> None:
    page = SelectolaxPage("<p class=a>x")
    (found,) = page.select("p")
    found.attributes.clear()
    assert page.select(".a") == [found]


@pytest.mark.parametrize(
    ("parent", "html", "tags"),
    [
        ("div", "a<b>x</b>", ["b"]),
        ("tbody", "<tr><td>x", ["tr", "td"]),
        ("x-own", "<p>x<li>y", ["p", "li"]),
        ("select", "<option>x", ["option"]),
        ("div", "", []),
    ],
)
def test_a_fragment_is_parsed_for_its_place(parent: str, html: str, tags: list[str]) -> None:
    root = Branch("#fragment")
    root.add(*fragment(html, Branch(parent)))
    assert [element.tag for element in root.walk()] == tags


def test_a_fragment_inside_a_drawing() -> None:
    drawing = Branch("svg")
    drawing.add(own := Branch("x-own"), inside := Branch("foreignObject"))
    inside.add(text := Branch("p"))
    assert [child.tag for child in fragment("<clippath/>", own) if isinstance(child, Branch)] == ["clipPath"]
    assert [child.tag for child in fragment("<clippath>", text) if isinstance(child, Branch)] == ["clippath"]


@pytest.mark.parametrize(
    ("page", "difference"),
    [
        ("<p>x<i>y</i>", None),
        ("<p class=' a  b'>x<i>y</i>", "html > body > p [class]: expected nothing, found ' a  b'"),
        ("<p>x<i>z</i>", "html > body > p > i: expected text 'y', found text 'z'"),
        ("<p>x<i>y</i><i></i>", "html > body > p: expected nothing, found <i>"),
        ("<p>x", "html > body > p: expected <i>, found nothing"),
        ("<p>x<!--c--><i>y</i>", "html > body > p: expected <i>, found comment 'c'"),
        ("<p>w<i>z</i>", "html > body > p: expected text 'x', found text 'w'"),
    ],
)
def test_the_first_difference_is_named(page: str, difference: str | None) -> None:
    found = first_difference(tree("<p>x<i>y</i>"), tree(page))
    assert (None if found is None else str(found)) == difference


def test_the_first_one_in_tree_order_is_named_though_a_later_one_is_nearer_to_the_root() -> None:
    found = first_difference(tree("<ul><li>1<li>2</ul>"), tree("<ul><li>one<li>2</ul>more"))
    assert str(found) == "html > body > ul > li:1: expected text '1', found text 'one'"


def test_neighbouring_texts_are_one_and_a_long_way_is_cut() -> None:
    left, right = Branch("p"), Branch("p")
    left.add(Leaf("text", "a"), Leaf("text", ""), Leaf("text", "b"))
    right.add(Leaf("text", "ab"))
    assert first_difference(left, right) is None
    deep = first_difference(tree("<div>" * 9), tree("<div>" * 9 + "x"))
    assert deep is not None
    assert deep.where == "… > div > div > div > div > div > div"


def test_space_behind_the_body_s_end() -> None:
    left, right = tree("<body>\n<p>x</p>new\n"), tree("<body>\n<p>x</p>\nnew")
    assert first_difference(left, right) is not None
    assert first_difference(left, right, tidy_body=True) is None
    assert first_difference(left, tree("<body><p>x</p>now"), tidy_body=True) is not None


def test_deep_trees_are_no_matter() -> None:
    deep = tree("<div>" * 400)
    assert first_difference(tree("<div>" * 5_000), tree("<div>" * 5_000)) is None
    assert first_difference(by_turbohtml(turbohtml.parse("<div>" * 400, scripting=True)), deep) is None

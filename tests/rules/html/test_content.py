"""What may be written where."""

import pytest

from rules import model
from rules.html.content import (
    closes_ancestor,
    elements,
    escape_attribute,
    escape_text,
    fits,
    is_balanced,
    markup_of,
    own_fits,
    stays_whole,
)
from tests.rules.html.making import document

DIV, TABLE, PARAGRAPH = ("html", "body", "div"), ("html", "body", "table"), ("html", "body", "p")


@pytest.mark.parametrize(
    ("ancestors", "markup", "want"),
    [
        (DIV, "<p>x</p>", True),
        (DIV, "text", True),
        (DIV, "", True),
        (DIV, "<td>x</td>", False),
        (DIV, "</div>", False),
        (DIV, "<!-- c -->", True),
        (PARAGRAPH, "<b>x</b>", True),
        (PARAGRAPH, "<div>x</div>", False),
        (TABLE, "<tr><td>x</td></tr>", False),
        (TABLE, "<caption>x</caption>", True),
        (TABLE, "<p>x</p>", False),
        (("html", "body", "table", "tbody"), "<tr></tr>", True),
        (("html", "head"), "<style>a</style>", True),
        (("html", "head"), "<p>x</p>", False),
        (("html", "body", "svg"), "<circle/>", True),
        (("html", "body", "svg"), "<p>x</p>", False),
    ],
)
def test_a_fragment_stays_whole_in_its_place(ancestors: tuple[str, ...], markup: str, want: bool) -> None:
    assert fits(ancestors, markup) is want


def test_the_pages_own_markup_may_do_what_content_may_not() -> None:
    for own in ("<script>s</script>", '<b onclick="s">x</b>'):
        assert own_fits(DIV, own)
        assert not fits(DIV, own)
    assert not own_fits(PARAGRAPH, "<div>x</div>")


@pytest.mark.parametrize("markup", ["", "a & b", "<br>", "<td>x</td>", "<option>x</option>", "<li>x</li>", "<p>x</p>"])
def test_balanced(markup: str) -> None:
    assert is_balanced(markup)


@pytest.mark.parametrize("markup", ["<p>", "</p>", "<b><i></b></i>", "<!--", "<p/>", "<textarea>", "a <b", "<body>"])
def test_not_balanced(markup: str) -> None:
    assert not is_balanced(markup)


def test_escaping() -> None:
    assert escape_text('a & <b> "c"') == 'a &amp; &lt;b&gt; "c"'
    assert escape_attribute('a & <b> "c"') == "a &amp; <b> &quot;c&quot;"


def test_content_is_written_with_plain_line_ends() -> None:
    assert markup_of(model.Content(text="<\r\n\r")) == "&lt;\n\n"
    assert markup_of(model.Content(html="<b>\r\n</b>")) == "<b>\n</b>"


def test_elements_of_any_context() -> None:
    assert [element.tag for element in elements("<tr><td><a>x</a></td></tr>")] == ["tr", "td", "a"]


def test_a_link_closes_a_link() -> None:
    assert closes_ancestor(("html", "body", "a", "b"), "<i><a>x</a></i>")
    assert not closes_ancestor(("html", "body", "b"), "<a>x</a>")


@pytest.mark.parametrize(
    ("ancestors", "source", "want"),
    [
        (DIV, "<p>x</p>", True),
        (DIV, "<p>x<script>y</script></p>", True),
        (DIV, "<p>x", False),
        (PARAGRAPH, "<div>x</div>", False),
        (PARAGRAPH, "<b>x</b>", True),
        (TABLE, "<p>x</p>", False),
        (("html", "body", "a", "b"), "<i><a>x</a></i>", False),
    ],
)
def test_an_element_of_a_page_in_another_place(ancestors: tuple[str, ...], source: str, want: bool) -> None:
    (element,) = document(f"<section>{source}</section>").select("section > *")
    assert stays_whole(ancestors, source, element) is want

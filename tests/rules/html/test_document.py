"""Spans are certain or absent."""

import pytest
import turbohtml
from turbohtml import Text

from rules.html.charset import Charset
from rules.html.document import HOLDING_TEXT, Document, context_of, window_of
from tests.rules.html.making import document


def inner(page: str, selector: str) -> str | None:
    found = document(page)
    span = found.inner(found.select(selector)[0])
    return None if span is None else found.source[slice(*span)]


def outer(page: str, selector: str) -> str | None:
    found = document(page)
    span = found.outer(found.select(selector)[0])
    return None if span is None else found.source[slice(*span)]


@pytest.mark.parametrize(
    ("page", "selector", "want"),
    [
        ("<p>a</p>b", "p", "a"),
        ("<p>a<p>b", "p", "a"),
        ("<p>a<p>b", "p + p", "b"),
        ("<p></p>", "p", ""),
        ("<ul><li>a <li>b</ul>", "li", "a "),
        ("<table><tr><td>a<td>b</table>", "td", "a"),
        ("<my-card><b>x</b></my-card>", "my-card", "<b>x</b>"),
        ("<pre>\n\nx</pre>", "pre", "\n\nx"),
        ("<svg><g><path/></g></svg>", "g", "<path/>"),
        ("<template><p>a</p></template>", "template", "<p>a</p>"),
        ("<body><p>a</p>\n</body>\n</html>\n", "body", "<p>a</p>\n"),
        ("<head><title>t</title></head>", "head", "<title>t</title>"),
        ("<br>", "br", None),
        ("<svg><path/></svg>", "path", None),
        ("<title>t</title>", "head", None),
        ("<head><title>t</title> <p>x</p>y", "head", "<title>t</title> "),
        ("<head><title>t</title><!--c-->x<p>y", "head", None),
        ("<head><title>t</title></p><p>x", "head", "<title>t</title>"),
        ("<head></html><p>x", "head", ""),
        ("<head><title>t</title>\n", "head", "<title>t</title>\n"),
        ("<p><b>a</p>b", "p + b", None),
        ("<table>x<tr><td>y</table>", "table", None),
    ],
)
def test_what_is_between_the_tags(page: str, selector: str, want: str | None) -> None:
    assert inner(page, selector) == want


@pytest.mark.parametrize(
    ("page", "selector", "want"),
    [
        ("x<p>a</p>y", "p", "<p>a</p>"),
        ("x<br/>y", "br", "<br/>"),
        ("<p>a<p>b", "p", "<p>a"),
        ("<svg><path/><g/></svg>", "path", "<path/>"),
        ("<body><p>x</p></body>", "body", None),
    ],
)
def test_the_whole_element(page: str, selector: str, want: str | None) -> None:
    assert outer(page, selector) == want


@pytest.mark.parametrize("tag", sorted(HOLDING_TEXT))
@pytest.mark.parametrize("text", ["", "x", " \n", "\nx > ;\t\f", "\xe4\x80\x0b\x1f", "#0;", "]]>--!>"])
def test_what_is_not_parsed_again_would_come_out_as_it_is(tag: str, text: str) -> None:
    children = turbohtml.parse_fragment(text, tag, scripting=True).children
    assert [child.data if isinstance(child, Text) else child for child in children] == ([text] if text else [])


def test_text_that_is_less_than_an_element_holds() -> None:
    assert inner("<p><b>a</p><h1>t</h1>", "h1") is None
    assert inner("<p><b>a</p><h1></h1>", "h1") == ""
    assert inner("<p><b>a</p><h1></h1>x", "h1") == ""


def test_offsets_are_bytes_behind_the_mark() -> None:
    found = Document(b"\xef\xbb\xbf<p>\xc3\xa4\r\n</p>", Charset("UTF-8", "utf-8", 3))
    assert found.inner(found.select("p")[0]) == (3, 7)
    assert found.base == 3
    assert len(found.source) == 13 - 0 - 2


def test_line_ends_keep_their_length() -> None:
    assert window_of(b"a\r\nb\rc\n") == "a \nb\nc\n"


def test_templates_are_not_searched() -> None:
    found = document("<template><p>a</p></template><p>b</p>")
    assert len(found.select("p")) == 1
    assert found.select("p") is found.select("p")


def test_misnested_formatting_is_noticed() -> None:
    assert document("<p><b>a<p>b</b>").is_misnested
    assert not document("<p><b>a</b><b>a</b>").is_misnested
    found = document("<p><b>a</p><p>c</p>")
    assert found.leaves_formatting_open(found.select("p")[0])
    closed = document("<p><b>a</b></p>")
    assert not closed.leaves_formatting_open(closed.select("p")[0])


@pytest.mark.parametrize("others", [0, 20])
def test_formatting_left_open_elsewhere_is_no_matter(others: int) -> None:
    found = document("<p><b>a</b></p><div><i>b</div>" + "<u>" * others)
    assert [found.leaves_formatting_open(element) for element in found.select("p, div")] == [False, True]


def test_ancestors_and_contexts() -> None:
    found = document("<svg><x-y></x-y><g></g></svg><x-y></x-y><math><mi></mi></math>")
    assert found.chain(found.select("g")[0]) == ("html", "body", "svg", "g")
    assert [context_of(element) for element in found.select("g, body > x-y, mi")] == ["svg g", "div", "math mi"]


def test_a_page_is_read_again_so_often_and_no_more() -> None:
    page = "<div>" * 100 + "<p>x</p>" * 100 + "</div>" * 100
    found = document(page)
    certain = [found.inner(element) is not None for element in found.select("div")]
    assert certain == sorted(certain, reverse=True)
    assert 30 < sum(certain) < 100

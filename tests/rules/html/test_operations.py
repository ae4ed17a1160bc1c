"""Each verb, and why it is refused. Exact pages are in tests/corpus; here the reasons, and what a workspace keeps."""

import pytest

from rules import model
from rules.reasons import Reason
from tests.rules.html.making import at, html, reasons, rewritten, text

POLICY = '<head><meta http-equiv="Content-Security-Policy" content="style-src \'self\'"></head>'
NEW = html("<b>n</b>")


@pytest.mark.parametrize(
    ("page", "operation", "reason"),
    [
        ("<script>a</script>", model.SetText(target=at("script"), content=text("x")), Reason.UNSAFE_TARGET),
        ("<style>a</style>", model.Append(target=at("style"), content=text("x")), Reason.UNSAFE_TARGET),
        ("<noscript>a</noscript>", model.RemoveAndKeepContent(target=at("noscript")), Reason.UNSAFE_TARGET),
        ("<title>a</title>", model.Append(target=at("title"), content=NEW), Reason.UNSAFE_TARGET),
        ("<ul><li>a</ul>", model.Before(target=at("li"), content=html("<td>x</td>")), Reason.UNSAFE_TARGET),
        ("<p>a</p>", model.Append(target=at("p"), content=html("<div>x</div>")), Reason.UNSAFE_TARGET),
        ("<a><b>x</b></a>", model.Append(target=at("b"), content=html("<a>y</a>")), Reason.UNSAFE_TARGET),
        ("<body><p>x</p></body>", model.Remove(target=at("body")), Reason.UNSAFE_TARGET),
        ("<body><p>x</p></body>", model.RemoveAndKeepContent(target=at("body")), Reason.UNSAFE_TARGET),
        ("<body><p>x</p></body>", model.After(target=at("body"), content=NEW), Reason.UNSAFE_TARGET),
        (
            "<html><head></head><body><p>a\r</p></body></html>",
            model.Append(target=at("p"), content=html("\n<b>n</b>")),
            Reason.AMBIGUOUS_SPAN,
        ),
        (
            "<html><head></head><body><p>a\r<b>x</b>\nc</p></body></html>",
            model.Remove(target=at("b")),
            Reason.AMBIGUOUS_SPAN,
        ),
        ("<br>", model.Prepend(target=at("br"), content=NEW), Reason.UNSAFE_TARGET),
        ("<br>", model.RemoveAndKeepContent(target=at("br")), Reason.UNSAFE_TARGET),
        ("<table><tr><td>x</table>", model.RemoveAndKeepContent(target=at("table")), Reason.UNSAFE_TARGET),
        ("<p integrity=x>a</p>", model.SetText(target=at("p"), content=text("x")), Reason.UNSAFE_TARGET),
        ("<input type=text>", model.SetAttribute(target=at("input"), name="TYPE", value="x"), Reason.UNSAFE_TARGET),
        ("<p>x", model.SetAttribute(target=at("html"), name="id", value="x"), Reason.AMBIGUOUS_SPAN),
        ("<b><p>x</b>y</p>", model.AddClass(target=at("p b"), names=["a"]), Reason.AMBIGUOUS_SPAN),
        ("<table>x<tr><td>y</table>", model.Before(target=at("table"), content=NEW), Reason.AMBIGUOUS_SPAN),
        ("<p><b>a</p>c", model.SetText(target=at("p"), content=text("x")), Reason.AMBIGUOUS_SPAN),
        ("<p style='a:(b'>x", model.SetStyle(target=at("p"), properties={"top": "0"}), Reason.AMBIGUOUS_SPAN),
        (
            "<body><p>x<body style=a:b>",
            model.SetStyle(target=at("body"), properties={"top": "0"}),
            Reason.AMBIGUOUS_SPAN,
        ),
        ("<p style='top:0'>x", model.SetStyle(target=at("p"), properties={"top": "0"}), Reason.NO_CHANGE),
        (
            "<script style>x</script>",
            model.SetStyle(target=at("script"), properties={"top": "0"}),
            Reason.UNSAFE_TARGET,
        ),
        ("<p>x", model.SetParameters(target=at("p"), parameters={"a": "b"}), Reason.UNSAFE_TARGET),
        ("<a>x", model.SetParameters(target=at("a"), parameters={"a": "b"}), Reason.UNSAFE_TARGET),
        ("<a href='#x'>x", model.SetParameters(target=at("a"), parameters={"a": "b"}), Reason.UNSAFE_TARGET),
        ("<a href='tel:1'>x", model.SetParameters(target=at("a"), parameters={"a": "b"}), Reason.UNSAFE_TARGET),
        ("<link href='/x'>", model.SetParameters(target=at("link"), parameters={"a": "b"}), Reason.UNSAFE_TARGET),
        ("<svg><a href='/x'/>", model.SetParameters(target=at("a"), parameters={"a": "b"}), Reason.UNSAFE_TARGET),
        ("<a href='/?a=b'>x", model.SetParameters(target=at("a"), parameters={"a": "b"}), Reason.NO_CHANGE),
        (POLICY, model.Remove(target=at("meta")), Reason.UNSAFE_TARGET),
        (POLICY, model.Replace(target=at("meta"), content=text("x")), Reason.UNSAFE_TARGET),
        (POLICY, model.Before(target=at("meta"), content=html("<link>")), Reason.UNSAFE_TARGET),
        (POLICY, model.SetAttribute(target=at("meta"), name="content", value=""), Reason.UNSAFE_TARGET),
        ("<p>x", model.SetTokens(tokens={"--a": "1"}), Reason.AMBIGUOUS_SPAN),
        ("<body><script>a('", model.Append(target=at("body"), content=NEW), Reason.AMBIGUOUS_SPAN),
        ("<p class=a>x", model.AddClass(target=at("p"), names=["a"]), Reason.NO_CHANGE),
    ],
)
def test_a_refusal(page: str, operation: model.Operation, reason: Reason) -> None:
    assert reasons(page, operation) == [reason]
    assert rewritten(page, operation) == page


@pytest.mark.parametrize(
    ("page", "want"),
    [
        ("<p>a<p>b", "<p>a</p><i>n</i><p>b"),
        ("<p>a</p>b", "<p>a</p><i>n</i>b"),
        ("<div><p>a</div>", "<div><p>a</p><i>n</i></div>"),
        ("<p>a\n<p>b", "<p>a\n</p><i>n</i><p>b"),
    ],
)
def test_what_stands_behind_an_open_element_gives_it_an_end_tag(page: str, want: str) -> None:
    assert rewritten(page, model.After(target=at("p:first-child"), content=html("<i>n</i>"))) == want


def test_a_page_keeps_its_own_scripts_when_tags_around_them_go() -> None:
    page = "<main><div><script>s()</script><b onclick='s()'>x</b></div></main>"
    want = page.replace("<div>", "").replace("</div>", "")
    assert rewritten(page, model.RemoveAndKeepContent(target=at("div"))) == want


def test_tags_go_both_or_not_at_all() -> None:
    page = "<html><head></head><body><h1>y</h1><p>a <b>x <</b>i> c</p></body></html>"
    gone = model.RemoveAndKeepContent(target=at("b"))
    assert reasons(page, gone) == [Reason.AMBIGUOUS_SPAN]
    assert rewritten(page, gone, model.Remove(target=at("h1"))) == page.replace("<h1>y</h1>", "")


def test_an_end_tag_goes_with_its_element() -> None:
    after, gone = model.After(target=at("#a"), content=html("<i>n</i>")), model.Remove(target=at("#a"))
    assert rewritten("<p id=a>a<p>b", after, gone) == "<i>n</i><p>b"


def test_a_second_body_adds_attributes_that_no_one_edits() -> None:
    page = "<body id=a><p>x</p><body id=b class=c>"
    assert reasons(page, model.AddClass(target=at("body"), names=["n"])) == ["ambiguous_span"]
    assert reasons(page, model.RemoveAttribute(target=at("body"), name="class")) == ["ambiguous_span"]
    assert reasons(page, model.RemoveAttribute(target=at("body"), name="id")) == ["ambiguous_span"]
    assert rewritten(page, model.SetAttribute(target=at("body"), name="class", value="n")) == page.replace(
        "<body id=a>", '<body class="n" id=a>'
    )

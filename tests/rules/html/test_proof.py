"""The proof: true for what the operations ask, false for a page that is anything else."""

import pytest

from rules import model
from rules.html import proof
from rules.html.edits import splice
from rules.html.operations import perform
from rules.html.workspace import Workspace
from rules.reasons import Reason
from tests.rules.html.making import at, document, html, reasons, rewritten, text


def worked(page: str, operation: model.Operation) -> tuple[Workspace, bytes]:
    work = Workspace(document(page))
    for element in work.document.select(operation.target.selector or ""):
        assert perform(work, operation, element) is None
    return work, splice(page.encode(), work.finished())


OPERATIONS = [
    model.Before(target=at("p"), content=html("<b>n</b>")),
    model.After(target=at("p"), content=text("n")),
    model.Prepend(target=at("p"), content=text("n")),
    model.Append(target=at("p"), content=text("ü")),
    model.SetText(target=at("p"), content=text("a < b")),
    model.SetInnerContent(target=at("p"), content=html("")),
    model.Replace(target=at("p"), content=html("<h1>n</h1>")),
    model.Remove(target=at("p")),
    model.RemoveAndKeepContent(target=at("p")),
    model.SetAttribute(target=at("p"), name="id", value='"é"'),
    model.RemoveAttribute(target=at("p"), name="class"),
    model.AddClass(target=at("p"), names=["z"]),
    model.SetStyle(target=at("p"), properties={"color": "'é'", "--a": "b"}),
    model.SetStyle(target=at("svg"), properties={"color": "red"}),
    model.SetParameters(target=at("p a"), parameters={"u": "é &"}),
    model.Append(target=at("body"), content=html("<footer>f</footer>")),
    model.SetAttribute(target=at("svg"), name="viewbox", value="1"),
]
PAGE = "<body><p class='a b' style='color:red;top:0'>x<i>y</i><a href='/?u=1&amp;v#w'>z</a></p><template><b>t</b></template><svg viewBox=0></svg>\n</body>\n</html>\n"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{type(one).__name__} {one.target.selector}")
def test_what_was_asked_holds_and_nothing_else(operation: model.Operation) -> None:
    work, page = worked(PAGE, operation)
    assert proof.holds(work.document, work.carried, work.tags, page)
    for other in (PAGE.encode(), page + b"<p>more</p>", page.replace(b"<svg", b"<svg id=x"), b""):
        again, _ = worked(PAGE, operation)
        assert not proof.holds(again.document, again.carried, again.tags, other)


def test_several_changes_of_one_tag() -> None:
    work = Workspace(document("<p class=a id=b>x</p>"))
    (p,) = work.document.select("p")
    for operation in (
        model.SetAttribute(target=at("p"), name="id", value="c"),
        model.SetAttribute(target=at("p"), name="title", value="t"),
        model.AddClass(target=at("p"), names=["z"]),
    ):
        assert perform(work, operation, p) is None
    page = splice(work.document.page, work.finished())
    assert page == b'<p title="t" class="a z" id="c">x</p>'
    assert proof.holds(work.document, work.carried, work.tags, page)


FILLED = "<!doctype html><html><head></head><body>{}</body></html>"


@pytest.mark.parametrize(
    ("inside", "operation"),
    [
        ("<p>a <<b>y</b>img src=x onerror=x()> c</p>", model.Remove(target=at("b"))),
        ("<p>a <<b>y</b>!-- c</p>", model.Remove(target=at("b"))),
        ("<div>a <<p>y</p></div>", model.Before(target=at("p"), content=text("x"))),
        ("<div>a <<p>y</p></div>", model.Replace(target=at("p"), content=text("x"))),
        ("<p>a <</p>", model.Append(target=at("p"), content=text("img src=x onerror=x()"))),
        ("<div>a &<p>y</p>lt; c</div>", model.Remove(target=at("p"))),
        ("<div>a &#<p>y</p>60; c</div>", model.Remove(target=at("p"))),
        ("<div>a &#6<p>y</p></div>", model.Before(target=at("p"), content=text("0"))),
        ("<div>a &am<p>y</p></div>", model.Before(target=at("p"), content=text("p;"))),
        ("<p>a &</p>", model.Append(target=at("p"), content=text("copy"))),
        ("<p>a <b>y</b>lt; c</p>", model.After(target=at("b"), content=html("x &"))),
        ("<p>img src=x> c</p>", model.Prepend(target=at("p"), content=html("x <"))),
        ("<p>a\r</p>", model.Append(target=at("p"), content=html("\n<i>n</i>"))),
        ("<p>a\r<b>y</b>\nc</p>", model.Remove(target=at("b"))),
    ],
)
def test_what_an_edit_would_join_to_a_tag_or_a_reference_is_refused(inside: str, operation: model.Operation) -> None:
    page = FILLED.format(inside)
    assert reasons(page, operation) == [Reason.AMBIGUOUS_SPAN]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tag", ["pre", "listing class='a'"])
def test_a_line_end_that_would_become_the_first_of_a_pre_is_refused(end: str, tag: str) -> None:
    page = FILLED.format(f"<{tag}><b>1</b>{end}x</{tag.split(maxsplit=1)[0]}><p>y</p><pre>{end}z</pre>")
    assert reasons(page, model.Remove(target=at("b"))) == [Reason.AMBIGUOUS_SPAN]
    assert reasons(page, model.MoveAfter(target=at("b"), anchor=at("p"))) == [Reason.AMBIGUOUS_SPAN]
    assert reasons(page, model.MoveBefore(target=at("p"), anchor=at("listing, pre"))) == [Reason.APPLIED]


def test_two_edits_that_would_join_are_refused_together() -> None:
    page = FILLED.format("<p>a <<b>y</b><i>z</i></p>")
    gone, written = model.Remove(target=at("b")), model.Before(target=at("i"), content=text("img src=x onerror=x()"))
    assert rewritten(page, written) == page.replace("<i>", "img src=x onerror=x()<i>")
    assert "<img" not in rewritten(page, gone, written)


@pytest.mark.parametrize(
    "inside", ["<p>a < <b>y</b> c</p>", "<p>R&D <b>y</b>c</p>", "<p>R&D<b>y</b> c</p>", "<p><b>y</b>lt;</p>"]
)
def test_what_joins_nothing_is_done(inside: str) -> None:
    page = FILLED.format(inside)
    assert rewritten(page, model.Remove(target=at("b"))) == page.replace("<b>y</b>", "")

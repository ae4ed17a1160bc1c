"""Moves: where things may stand, what goes along, what excludes what. Exact pages are in tests/corpus."""

import pytest

from rules import model
from rules.html import proof
from rules.html.edits import splice
from rules.html.operations import perform
from rules.html.reach import needs_proof
from rules.html.workspace import Workspace
from rules.reasons import Reason
from tests.rules.html.making import at, document, html, reasons, rewritten, text


def before(target: str, anchor: str) -> model.MoveBefore:
    return model.MoveBefore(target=at(target), anchor=at(anchor))


def into(target: str, anchor: str) -> model.MoveAppend:
    return model.MoveAppend(target=at(target), anchor=at(anchor))


def ordered(container: str, *order: str, adopt: bool = False, leaving: str | None = None) -> model.ReorderChildren:
    return model.ReorderChildren(
        target=at(container), order=[*map(at, order)], adopt=adopt, leaving=[at(leaving)] if leaving else []
    )


@pytest.mark.parametrize(
    ("page", "operation", "reason"),
    [
        ("<p>a</p><h1>b</h1>", before("h1", "h6"), Reason.TARGET_NOT_FOUND),
        ("<p>a</p><h1>b</h1>", before("h1", "h1"), Reason.NO_CHANGE),
        ("<p>a</p><h1>b</h1>", into("h1", "h1"), Reason.UNSAFE_TARGET),
        ("<div><p>a</p></div>", before("div", "p"), Reason.UNSAFE_TARGET),
        ("<div>a</div><p>b</p>", into("div", "p"), Reason.UNSAFE_TARGET),
        ("<a>a</a><a><b>b</b></a>", into("a:first-child", "b"), Reason.UNSAFE_TARGET),
        ("<form></form><form><p>b</p></form>", into("form:first-child", "p"), Reason.UNSAFE_TARGET),
        ("<ul><li>a</ul><select><option>b</select>", into("li", "select"), Reason.UNSAFE_TARGET),
        ("<b>a</b><textarea></textarea>", into("b", "textarea"), Reason.UNSAFE_TARGET),
        ("<b>a</b><script></script>", into("b", "script"), Reason.UNSAFE_TARGET),
        ("<b>a</b><br>", into("b", "br"), Reason.UNSAFE_TARGET),
        ("<b>a</b><p integrity=x>b</p>", into("b", "p"), Reason.UNSAFE_TARGET),
        ("<p integrity=x>b</p><b>a</b>", before("b", "p"), None),
        ("<p><base href=/></p><b>a</b>", before("p", "b"), Reason.UNSAFE_TARGET),
        ("<div><b>a</div><p>b</p>", before("div", "p"), Reason.AMBIGUOUS_SPAN),
        ("<table><tr><td>a</table><table><tr><td>b</table>", before("tr", "tbody"), Reason.AMBIGUOUS_SPAN),
        ("<ul><li>a<li>b</ul>", ordered("ul", "p"), Reason.TARGET_NOT_FOUND),
        ("<ul><li>a<li>b</ul>", ordered("ul", "li"), Reason.NO_CHANGE),
        ("<p>a<br></p>", ordered("br", "p"), Reason.UNSAFE_TARGET),
        ("<head><title>a</title><style></style>", ordered("head", "style"), Reason.UNSAFE_TARGET),
        ("<p>a<p>b", ordered("body", "p + p"), Reason.AMBIGUOUS_SPAN),
        ("<body><p>a<p>b", ordered("body", "p + p"), None),
        ("<div><p>a</p><p integrity=x>b</p></div>", ordered("div", "p + p"), Reason.UNSAFE_TARGET),
        ("<div><p><b>a</p><p>b</p></div>", ordered("div", "p + p"), Reason.AMBIGUOUS_SPAN),
        ("<p>x</p><div><p>a</p><i>b</i></div>", ordered("div", "p:first-child", adopt=True), None),
    ],
)
def test_what_may_stand_where(page: str, operation: model.Operation, reason: Reason | None) -> None:
    assert reasons(page, operation) == [reason or Reason.APPLIED]
    assert (rewritten(page, operation) == page) is (reason is not None)


def test_an_order_names_how_many() -> None:
    few = model.ReorderChildren(target=at("ul"), order=[model.Target(selector="li", max_matches=1)])
    assert reasons("<ul><li>a<li>b</ul>", few) == [Reason.TOO_MANY_MATCHES]
    needed = model.ReorderChildren(target=at("ul"), order=[model.Target(selector="p", required=True), at("li + li")])
    assert reasons("<ul><li>a<li>b</ul>", needed) == [Reason.TARGET_NOT_FOUND]


ROW = "<div><p id=a>a</p><p id=b>b</p><p id=c>c</p></div><hr>"


@pytest.mark.parametrize(
    ("operations", "want"),
    [
        ([before("#c", "#a"), ordered("div", "#b")], "<p id=b>b</p><p id=c>c</p><p id=a>a</p>"),
        ([ordered("div", "#c"), before("#b", "#a")], "<p id=c>c</p><p id=a>a</p><p id=b>b</p>"),
        ([ordered("div", "#a", "#c"), before("#a", "hr")], "<p id=a>a</p><p id=c>c</p><p id=b>b</p>"),
        ([ordered("div", "#c", leaving="#a"), before("#a", "hr")], "<p id=c>c</p><p id=b>b</p>"),
        ([before("hr", "#a"), ordered("div", "#b", "hr", adopt=True)], "<p id=b>b</p><hr><p id=a>a</p><p id=c>"),
        ([model.SetText(target=at("#a"), content=text("x")), ordered("div", "#b", "#a")], "b</p><p id=a>x</p>"),
        ([model.Replace(target=at("#a"), content=html("<i>x</i>")), ordered("div", "#c")], "<i>x</i><p id=c>c</p>"),
    ],
)
def test_who_decided_first_where_a_child_stands(operations: list[model.Operation], want: str) -> None:
    assert want in rewritten(ROW, *operations)


def test_a_thousand_elements_stay_in_their_order() -> None:
    page = "<ul>" + "".join(f"<li>{number}" for number in range(1000)) + "</ul><ol><li>x</ol>"
    moved = rewritten(page, model.MoveAfter(target=at("ul li"), anchor=at("ol li")))
    assert moved == "<ul></ul><ol><li>x</li>" + "".join(f"<li>{n}</li>" for n in range(1000)) + "</ol>"


def test_a_chain_of_moves_is_carried_out_however_long() -> None:
    numbers = range(300)
    page = "<div>" + "".join(f"<i id=e{n}></i>" for n in numbers) + "</div>"
    chain = [before(f"#e{n + 1}", f"#e{n}") for n in numbers[:-1]]
    assert rewritten(page, *chain) == "<div>" + "".join(f"<i id=e{n}></i>" for n in reversed(numbers)) + "</div>"


def test_refused_moves_leave_no_trace() -> None:
    work = Workspace(document("<ul><li>a<li>b<li>c</ul><hr>"))
    (ul,), items = work.document.select("ul"), work.document.select("li")
    assert work.finished() == ()
    mark = work.mark()
    assert perform(work, before("ul", "li"), ul) is Reason.UNSAFE_TARGET
    assert perform(work, ordered("ul", "li:last-child"), ul) is None
    assert perform(work, before("li + li", "li"), items[1]) is Reason.SHADOWED
    assert work.order_of(ul) is not None
    work.rollback(mark)
    assert (work.moves, work.settled, work.orders, work.closings, work.finished()) == ({}, {}, {}, {}, ())
    assert perform(work, before("li + li", "li"), items[1]) is None


def test_a_parent_and_a_chain_are_those_after_the_moves() -> None:
    work = Workspace(document("<div><i>x</i></div><section><p>y</p></section>"))
    (i,), (p,), (div,) = (work.document.select(selector) for selector in ("i", "p", "div"))
    assert perform(work, before("i", "p"), i) is None
    assert work.parent(i) is p.parent
    assert work.chain(i) == ("html", "body", "section", "i")
    assert perform(work, into("div", "p"), div) is Reason.UNSAFE_TARGET


@pytest.mark.parametrize(
    "operation",
    [before("p + p", "p"), into("p", "li"), ordered("div", "p + p"), ordered("div", "p + p", "li", adopt=True)],
)
def test_a_move_is_always_proven(operation: model.Operation) -> None:
    page = "<body><div><p>a</p>\n<p>b</p></div><ul><li>c</li></ul></body>"
    work = Workspace(document(page))
    for element in work.document.select(operation.target.selector or ""):
        perform(work, operation, element)
    assert work.moves
    assert needs_proof(work.document, work.carried)
    moved = splice(page.encode(), work.finished())
    assert proof.holds(work.document, work.carried, work.tags, moved, [*work.moves.values()])
    for other in (page.encode(), moved + b"<p>more</p>", moved.replace(b"<p>", b"<p id=x>", 1)):
        again = Workspace(document(page))
        for element in again.document.select(operation.target.selector or ""):
            perform(again, operation, element)
        assert not proof.holds(again.document, again.carried, again.tags, other, [*again.moves.values()])

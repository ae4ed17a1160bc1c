"""What a page being edited keeps, gives back, and refuses beside what it has accepted."""

from rules import model
from rules.html.edits import Side
from rules.html.operations import perform
from rules.html.workspace import Workspace
from rules.reasons import Reason
from tests.rules.html.making import at, document, html, text


def test_a_workspace_comes_back_to_a_mark() -> None:
    work = Workspace(document("<head></head><h1></h1><p class=a>x<p>y"))
    h1, first, second = work.document.select("h1, p")
    mark = work.mark()
    assert perform(work, model.SetText(target=at("h1"), content=text("n")), h1) is None
    assert perform(work, model.AddClass(target=at("p"), names=["b"]), first) is None
    assert perform(work, model.Before(target=at("p"), content=html("<i>n</i>")), second) is None
    assert perform(work, model.HideByStyle(target=at("h1")), h1) is None
    assert work.finished() != ()
    work.rollback(mark)
    assert work.finished() == ()
    assert (work.styles, work.tags, work.closings, work.filled, work.carried) == ({}, {}, {}, set(), [])
    assert perform(work, model.SetText(target=at("h1"), content=text("n")), h1) is None


def test_an_edit_inside_an_accepted_one_is_shadowed() -> None:
    work = Workspace(document("<p>abc</p>"))
    (p,) = work.document.select("p")
    assert work.place(0, 10, "x", Side.RANGE, p) is None
    assert work.place(3, 6, "y", Side.RANGE, p) is Reason.SHADOWED
    assert work.place(4, 4, "y", Side.BEFORE, p) is Reason.SHADOWED
    assert work.change_tag(p, lambda changes: changes.set("id", "a")) is Reason.SHADOWED


def test_one_property_of_one_selector_has_one_value() -> None:
    work = Workspace(document("<head></head><p>"))
    assert work.style("p", {"order": "1", "color": "red"}) is None
    mark = work.mark()
    assert work.style("p", {"order": "1", "margin": "0"}) is None
    assert work.style("p", {"order": "2"}) is Reason.SHADOWED
    assert work.style("p, a", {"order": "2"}) is None
    work.rollback(mark)
    assert work.styles == {("p", "order"): "1", ("p", "color"): "red"}


def test_a_style_needs_a_head_that_is_certain() -> None:
    assert Workspace(document("<p>")).style("p", {"order": "1"}) is Reason.AMBIGUOUS_SPAN

"""What a page being edited keeps, gives back, and refuses beside what it has accepted."""

import pytest

from rules import model
from rules.html.edits import Side, splice
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


def head(*policies: str, attributes: str = "") -> str:
    metas = "".join(f'<meta http-equiv="{kind}"{attributes} content="{one}">' for kind, one in map(named, policies))
    return f"<head>{metas}</head><p>x</p>"


def named(policy: str) -> tuple[str, str]:
    kind, colon, told = policy.partition(":")
    return (kind, told) if colon else ("content-security-POLICY", policy)


def permitted(page: str, nonce: str | None = None) -> tuple[str | None, str]:
    """The nonce, and the page with its policies told to let a style block pass."""
    work = Workspace(document(page), nonce)
    assert work.style("p", {"order": "1"}) is None
    work.permit("H=")
    return work.nonce, splice(page.encode(), work.finished()).decode()


def test_a_policy_in_meta_is_told_of_the_style_block() -> None:
    assert permitted(head("style-src &#39;self&#39;; x")) == (
        None,
        head("style-src &#39;self&#39; 'sha256-H='; x"),
    )
    assert permitted(head("default-src 'none'", "style-src 'self'")) == (
        None,
        head("default-src 'none'; style-src 'sha256-H='", "style-src 'self' 'sha256-H='"),
    )


def test_a_nonce_in_meta_is_reused_and_the_heads_goes_first() -> None:
    page = head("style-src 'nonce-a'", "style-src 'self'")
    assert permitted(page) == ("a", head("style-src 'nonce-a'", "style-src 'self' 'sha256-H='"))
    assert permitted(page, "b") == ("b", head("style-src 'nonce-a' 'sha256-H='", "style-src 'self' 'sha256-H='"))


@pytest.mark.parametrize(
    "page",
    [
        head("style-src 'unsafe-inline'"),
        head("script-src 'none'"),
        head("content-security-policy-report-only:style-src 'none'"),
        head("refresh:style-src 'none'"),
        "<head></head><p>x</p><meta http-equiv=content-security-policy content=\"style-src 'none'\">",
        "<head><meta http-equiv=content-security-policy></head><p>x</p>",
    ],
)
def test_a_policy_that_has_no_say_stays(page: str) -> None:
    assert permitted(page) == (None, page)


def test_a_policy_that_cant_be_read_for_certain_keeps_the_style_away() -> None:
    work = Workspace(document('<head><meta http-equiv=content-security-policy content="style-src a\0"></head><p>x'))
    assert work.style("p", {"order": "1"}) is Reason.AMBIGUOUS_SPAN

"""Places: an offset for each, and what stands before it; or a reason."""

import pytest

from rules.html import places
from rules.html.places import Spot, SpotOf, Where, is_protected
from rules.reasons import Reason
from tests.rules.html.making import document


@pytest.mark.parametrize(
    ("page", "spot_of", "at", "behind"),
    [
        ("<b>x</b><p>y</p>", places.before, 8, "b"),
        ("<b>x</b><p>y</p>", places.slot, 8, "b"),
        ("<p>y</p>z", places.after, 8, "p"),
        ("<p><i>y</i></p>", places.prepend, 3, None),
        ("<p>x<i>y</i></p>", places.append, 12, "i"),
        ("<p></p>", places.append, 3, None),
        ("<div><p>x</div>", places.after, 9, "p"),
    ],
)
def test_a_place(page: str, spot_of: SpotOf, at: int, behind: str | None) -> None:
    read = document(page)
    (p,) = read.select("p")
    spot = spot_of(read, p)
    assert isinstance(spot, Spot)
    assert (spot.element, spot.at, getattr(spot.behind, "tag", None)) == (p, at, behind)


@pytest.mark.parametrize(("newline", "at"), [("", 5), ("\n", 6), ("\r\n", 7), ("\n\n", 6)])
def test_a_newline_that_is_no_content_is_passed(newline: str, at: int) -> None:
    read = document(f"<pre>{newline}x</pre>")
    spot = places.prepend(read, read.select("pre")[0])
    assert isinstance(spot, Spot)
    assert spot.at == at


@pytest.mark.parametrize(
    ("page", "selector", "spot_of", "reason"),
    [
        ("<p>x</p>", "body", places.before, Reason.UNSAFE_TARGET),
        ("<p>x</p>", "body", places.after, Reason.UNSAFE_TARGET),
        ("<p>x</p>", "body", places.slot, Reason.UNSAFE_TARGET),
        ("<table><tr></table>", "tbody", places.before, Reason.AMBIGUOUS_SPAN),
        ("<table><tr></table>", "tbody", places.prepend, Reason.AMBIGUOUS_SPAN),
        ("<table><tr></table>", "tbody", places.append, Reason.AMBIGUOUS_SPAN),
        ("<table><tr></table>", "tbody", places.slot, Reason.AMBIGUOUS_SPAN),
        ("<br>", "br", places.prepend, Reason.UNSAFE_TARGET),
        ("<br>", "br", places.append, Reason.UNSAFE_TARGET),
        ("<html><p>x</p></html>", "html", places.append, Reason.AMBIGUOUS_SPAN),
        ("<div><p><b>x</p></div>", "p", places.after, Reason.AMBIGUOUS_SPAN),
        ("<div><b>x</div>", "div", places.append, Reason.AMBIGUOUS_SPAN),
        ("<b><p>x</b>y</p>", "p", places.before, Reason.AMBIGUOUS_SPAN),
    ],
)
def test_no_place(page: str, selector: str, spot_of: SpotOf, reason: Reason) -> None:
    read = document(page)
    assert spot_of(read, read.select(selector)[0]) is reason


def test_what_comes_later_stands_nearer_behind_and_first_inside() -> None:
    assert [where for where in Where if where.is_nearest_first] == [Where.AFTER, Where.PREPEND]


def test_what_has_been_measured_is_protected() -> None:
    read = document("<p integrity=x></p><p data-turbo-track></p><p id=x></p>")
    assert [is_protected(p) for p in read.select("p")] == [True, True, False]

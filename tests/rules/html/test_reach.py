"""Which edits stay in their place: true only where the parser is behind an edit what it was before."""

import pytest

from rules import model
from rules.html import Rewritten, rewrite
from rules.html.proof import Carried
from rules.html.reach import needs_proof
from rules.reasons import Reason
from tests.rules.html.making import at, document, html, text

REMOVE, RENAME = model.Remove(target=at("#x")), model.SetAttribute(target=at("#x"), name="title", value="t")
SAY = model.SetText(target=at("#x"), content=model.Content(text="other"))
WHOLE = "<html><head></head><body>%s</body></html>"


@pytest.mark.parametrize(
    ("inside", "operation", "needed"),
    [
        ("<div><p id=x>a</p></div>", REMOVE, False),
        ("<div><p id=x>a</p></div>", RENAME, False),
        ("<div><p>a<p id=x>b</p></div>", REMOVE, True),
        ("<div><p id=x>a</div>", REMOVE, True),
        ("<table><tr><td id=x>a</td></tr></table>", REMOVE, True),
        ("<table><tr><td id=x>a</td></tr></table>", RENAME, False),
        ("<p><b>a</p><div><p id=x>b</p></div>", REMOVE, True),
        ("<p><b>a</p><div><p id=x>b</p></div>", RENAME, False),
        ("<table><div><p id=x>b</p></div></table>", REMOVE, True),
        ("<div><p id=x>b</p></div><FRAMESET>", REMOVE, False),
        ("<div><p><b id=x>a</b><p>c</div>", SAY, False),
        ("<p><b>a</p><div><p id=x>b</p></div>", SAY, True),
        ("<p><b>a</b></p><i>b<p>c</i>d</p><h1 id=x>e</h1>", SAY, False),
        ("<table><div><p id=x>b</p></div></table>", SAY, False),
        ("<h1 id=x>a<i>b</i></h1><p><b>c<p>d", SAY, True),
        ("<form id=x></form>", REMOVE, True),
        ("<div><p id=x>a</p></div>", model.RemoveAndKeepContent(target=at("#x")), True),
        ("<div><p id=x>a</p></div>", model.Append(target=at("#x"), content=html("<form></form>")), True),
        ("", model.Append(target=at("head"), content=html("<style></style>")), False),
        ("", model.RemoveAttribute(target=at("body"), name="class"), True),
    ],
)
def test_where_a_proof_is_needed(inside: str, operation: model.Operation, needed: bool) -> None:
    page = document(WHOLE % inside)
    carried = [Carried(operation, element) for element in page.select(operation.target.selector or "")]
    assert carried
    assert needs_proof(page, carried) is needed


def test_a_frameset_matters_where_the_body_is_implied() -> None:
    page = document("<html><head></head><div><p id=x>b</p></div><FRAMESET></html>")
    carried = [Carried(REMOVE, element) for element in page.select("#x")]
    assert needs_proof(page, carried)


COPIES = "<select><button><selectedcontent></button><option>X<option selected>Y</select>"


@pytest.mark.parametrize(
    ("page", "change"),
    [
        ("<svg><font color=red></font></svg>", model.RemoveAttribute(target=at("font"), name="color")),
        ("<svg><font></font></svg>", model.SetAttribute(target=at("font"), name="color", value="red")),
        (COPIES, model.RemoveAttribute(target=at("option"), name="selected")),
    ],
)
def test_an_attribute_that_decides_about_other_elements_is_proven(page: str, change: model.Operation) -> None:
    (outcome,) = rewrite(page.encode(), [change]).outcomes
    assert outcome.reason is Reason.AMBIGUOUS_SPAN
    for left_out in ("svg>", "selectedcontent>"):
        page = page.replace(left_out, "p>")
    assert isinstance(rewrite(page.encode(), [change]), Rewritten)


N = html("<p>n</p>")
AT_X = at("#x")


@pytest.mark.parametrize(
    ("inside", "operation"),
    [
        ("<p><b>a</p><hr><div id=x></div>", model.Before(target=AT_X, content=N)),
        ("<p><b>a</p><hr><div id=x></div>", model.After(target=AT_X, content=N)),
        ("<p><b>a</p><hr><div id=x></div>", model.Prepend(target=AT_X, content=N)),
        ("<p><b>a</p><hr><div id=x></div>", model.Append(target=AT_X, content=N)),
        ("<p><b>a</p><hr><div id=x><hr></div>", model.SetInnerContent(target=AT_X, content=N)),
        ("<p><b>a</p><hr><div id=x></div></b>", model.Replace(target=AT_X, content=N)),
        ("<form>a<div id=x></form></div><p>b</p>", REMOVE),
        ("<form>a<div id=x>b</form></div><p>c</p>", model.SetInnerContent(target=AT_X, content=N)),
        ("<form><span id=x>a<b></form></b></span></form>", model.After(target=AT_X, content=text(" "))),
        ("<form id=x><div></form>a</div>", model.After(target=AT_X, content=N)),
        ("<div id=x><form>a</div><form>b</form>", REMOVE),
        ("a <div id=x></div>", model.Before(target=AT_X, content=html("<p><b>n</p>"))),
        ("a <div id=x></div>b", model.After(target=AT_X, content=html("<p>n<table><tr><td>1</table>"))),
        ("a <div id=x></div>amp; b", model.After(target=AT_X, content=html("n &"))),
        ("a &<div id=x></div>lt; b", REMOVE),
        ("a <<div id=x></div>", model.Before(target=AT_X, content=text("b"))),
        ("<b><b>a<i id=x>b</i>c</b></b>", model.Append(target=AT_X, content=html("<b><b>n</b></b>"))),
        ("<table><p></p></p></table><hr id=x>", model.After(target=AT_X, content=N)),
        ("a</body> <i id=x>b</i> ", REMOVE),
    ],
)
def test_what_reaches_further_than_it_seems_is_proven(inside: str, operation: model.Operation) -> None:
    page = document(WHOLE % inside)
    assert needs_proof(page, [Carried(operation, element) for element in page.select("#x")])


@pytest.mark.parametrize(
    ("inside", "operation"),
    [
        ("<div><b>a</b></div><footer id=x></footer>", model.Before(target=AT_X, content=N)),
        ("<p>a<p>b<div id=x>c</div>", model.After(target=AT_X, content=N)),
        ("<b>a<p>b</b>c</p> <div id=x>d</div>", model.After(target=AT_X, content=N)),
        ("<b>a<p>b</b>c</p> <div id=x>d</div>", REMOVE),
        ("<a href=/>a <h1 id=x>b</h1></a>", model.After(target=AT_X, content=N)),
        ("<div id=x><form>a</form> <form>b</form></div><form>c</form>", REMOVE),
        ("<form>a<p id=x>b</p> </form>", model.Before(target=AT_X, content=N)),
        ("<table><tr><td>a <h1 id=x>b</h1></td></tr></table>", model.After(target=AT_X, content=N)),
        ("<script>'</body>'</script><div><i>a</i> <p id=x>b</p></div>", REMOVE),
        ("<svg><title id=x>a</title></svg>", SAY),
        ("a</body>b<p id=x></p>", model.Prepend(target=at("body"), content=N)),
    ],
)
def test_what_stays_in_its_place_is_not_proven(inside: str, operation: model.Operation) -> None:
    page = document(WHOLE % inside)
    carried = [Carried(operation, element) for element in page.select(operation.target.selector or "")]
    assert carried
    assert not needs_proof(page, carried)


STYLE = model.Append(target=at("head"), content=html("<style>a{}</style>"))


@pytest.mark.parametrize(
    ("page", "needed"),
    [
        ("<html><head><title>t</title><body>a", False),
        ("<head><script></script>\n<iframe></iframe>a", False),
        ("<head><script></script><tr><iframe></iframe>a", True),
        ("<head><script></script>a", True),
        ("<head></head><frameset></frameset>", False),
    ],
)
def test_a_style_at_the_end_of_a_head_whose_end_is_certain(page: str, needed: bool) -> None:
    parsed = document(page)
    assert needs_proof(parsed, [Carried(STYLE, element) for element in parsed.select("head")]) is needed


def test_the_title_is_text_wherever_it_stands() -> None:
    page = document("<title></title><table><p>a</table>")
    said = model.SetText(target=at("title"), content=text("n"))
    assert not needs_proof(page, [Carried(said, element) for element in page.select("title")])

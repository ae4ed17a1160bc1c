"""Where placeholders may stand in HTML, and that filling them does nothing but fill."""

import pytest

from rules.errors import RulesError
from rules.html.marked import Marked
from rules.html.positions import html_template
from rules.placeholders import parts_of
from rules.templates import Blank, Position, Template


def template(markup: str) -> Template:
    return html_template(parts_of(markup, "$"), "$.html")


@pytest.mark.parametrize(
    ("markup", "position"),
    [
        ("{{a}}", Position.TEXT),
        ("<p>Hi <b>{{a}}</b></p>", Position.TEXT),
        ("<tr><td>{{a}}</td></tr>", Position.TEXT),
        ("<option>{{a}}</option>", Position.TEXT),
        ("<svg><text>{{a}}</text></svg>", Position.TEXT),
        ("<math><mi>{{a}}</mi></math>", Position.TEXT),
        ("<template><p>{{a}}</p></template>", Position.TEXT),
        ("<pre>{{a}}</pre>", Position.TEXT),
        ("<title>{{a}}</title>", Position.PLAIN),
        ("<textarea>{{a}}</textarea>", Position.PLAIN),
        ("<p title='{{a}}'>x</p>", Position.PLAIN),
        ('<p class="a {{a}} b" data-x=y>x</p>', Position.PLAIN),
        ("<a rel=x href='{{a}}'>x</a>", Position.ADDRESS),
        ("<a href='/x/{{a}}'>x</a>", Position.ADDRESS_PART),
        ("<p style='color:{{a}}'>x</p>", Position.STYLE),
        ("<style>.x{color:{{a}}}</style>", Position.STYLE),
        ("<svg><style>.x{color:{{a}}}</style></svg>", Position.STYLE),
        ('<script type=\'application/json\'>{"a": "{{a}}"}</script>', Position.JSON),
        ('<script type=application/ld+json>["<b>{{a}}</b>"]</script>', Position.JSON),
    ],
)
def test_positions(markup: str, position: Position) -> None:
    assert [blank.position for blank in template(markup).blanks] == [position]


@pytest.mark.parametrize(
    ("markup", "part"),
    [
        ("<{{a}}>x</{{a}}>", "the name of a tag"),
        ("<p {{a}}>x</p>", "the name of a tag or an attribute"),
        ("<p {{a}}=x>x</p>", "the name of a tag or an attribute"),
        ("<!-- {{a}} -->", "in a comment"),
        ("<p title={{a}}>x</p>", "attributes need quotes"),
        ("<p title={{a}} lang=x>x</p>", "attributes need quotes"),
        ("<tr>{{a}}</tr>", "put it into a cell"),
        ("<table>{{a}}<tr><td>x</td></tr></table>", "a table's text a cell"),
        ("<xmp>{{a}}</xmp>", "inside <xmp>"),
        ("<noscript>{{a}}</noscript>", "inside <noscript>"),
        ("<iframe>{{a}}</iframe>", "inside <iframe>"),
        ("<svg><![CDATA[{{a}}]]></svg>", "more than its place"),
        ("<p>x</p {{a}}>", "drops or writes twice"),
        ("<p title=a title='{{a}}'>x</p>", "drops or writes twice"),
        ("<script>{{a}}</script>", "<script> is not allowed"),
        ("<script type='{{a}}'>1</script>", "<script> is not allowed"),
        ("<script type='application/json' src='{{a}}'>1</script>", "<script> is not allowed"),
        ("<script type='application/json'>{{a}}</script>", "a data block must hold JSON"),
        ("<script type='application/json'>{\"{{a}}\": 1}</script>", "not in a name"),
        ("<b onclick='{{a}}'>x</b>", "`onclick` is not allowed"),
        ("<iframe srcdoc='{{a}}'></iframe>", "`srcdoc` is not allowed"),
        ("<a href='{{a|data:x}}'>x</a>", "'data:x' is no part of an address"),
        ("<p>{{a}}", "not balanced"),
        ("<b>{{a}}</b></p>", "not balanced"),
    ],
)
def test_out_of_place(markup: str, part: str) -> None:
    with pytest.raises(RulesError) as caught:
        template(markup)
    assert caught.value.path == "$.html"
    assert part in caught.value.problem


def test_a_newline_behind_pre_is_the_values() -> None:
    found = template("<pre>{{a}}</pre><TEXTAREA rows=2>{{a}}</TEXTAREA><pre>\n{{a}}</pre><pre> {{a}}</pre>")
    written = found.filled(found.fitting(["\n1"] * 4))
    assert written == "<pre>\n\n1</pre><TEXTAREA rows=2>\n\n1</TEXTAREA><pre>\n\n1</pre><pre> \n1</pre>"


def test_the_proof_sees_a_value_that_is_not_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marked, "template", lambda *_, **__: Template(("<p>", BLANK, "</p>"), is_markup=False))
    with pytest.raises(RulesError, match="more than its place"):
        template("<p>{{a}}</p>")


BLANK = Blank(("a",), "", Position.TEXT)


def test_without_placeholders_it_is_what_it_was() -> None:
    assert template("<p>\r\n{x}</p>").parts == ("<p>\n{x}</p>",)

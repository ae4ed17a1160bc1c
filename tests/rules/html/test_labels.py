"""What is inserted can be found again."""

import pytest

from rules import model
from rules.html.checks import check_operation
from rules.html.labels import labelled
from rules.model import Content
from tests.rules.html.making import at, html, text

LABEL = ' data-layout-mutation="m/0"'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (html("<p>x</p>"), f"<p{LABEL}>x</p>"),
        (html("<p class=a>x</p>\n<br/><!-- c -->"), f"<p{LABEL} class=a>x</p>\n<br{LABEL}/><!-- c -->"),
        (html("<tr><td>x</td></tr>"), f"<tr{LABEL}><td>x</td></tr>"),
        (html("<svg><path/></svg>"), f"<svg{LABEL}><path/></svg>"),
        (html("a <b>b</b>"), f"<span{LABEL}>a <b>b</b></span>"),
        (html("<!-- c -->"), f"<span{LABEL}><!-- c --></span>"),
        (text("1 < 2"), f"<span{LABEL}>1 &lt; 2</span>"),
    ],
)
def test_each_outer_element_is_labelled_or_one_round_all(content: Content, expected: str) -> None:
    operation = labelled(model.After(target=at("p"), content=content), "m/0")
    assert operation == model.After(target=at("p"), content=html(expected))
    check_operation(operation, "$")


def test_what_only_replaces_text_or_inserts_nothing_has_no_label() -> None:
    plain: list[model.Operation] = [
        model.SetText(target=at("p"), content=text("x")),
        model.SetInnerContent(target=at("p"), content=text("x")),
        model.Remove(target=at("p")),
    ]
    assert [labelled(operation, "m/0") for operation in plain] == plain
    inner = labelled(model.SetInnerContent(target=at("p"), content=html("<i>x</i>")), "m/0")
    assert inner == model.SetInnerContent(target=at("p"), content=html(f"<i{LABEL}>x</i>"))

"""Marks in the place of placeholders, and templates of what is no HTML."""

import pytest

from rules.errors import RulesError
from rules.html.marked import Marked, style_template, text_template, value_template
from rules.placeholders import parts_of
from rules.templates import Position


def test_a_mark_is_a_word_that_the_text_does_not_have() -> None:
    marked = Marked.of(parts_of("LMX0q lmxx {{a}}{{b}}", "$"))
    assert marked.marks == ["lmxxx0q", "lmxxx1q"]
    assert marked.text == "LMX0q lmxx lmxxx0qlmxxx1q"


def test_templates_of_text_attributes_and_styles() -> None:
    assert [blank.position for blank in text_template(parts_of("a {{b}}", "$"), "$").blanks] == [Position.TEXT]
    address = value_template(parts_of("{{a|/}}?b={{c}}", "$"), "href", "$")
    assert [blank.position for blank in address.blanks] == [Position.ADDRESS, Position.ADDRESS_PART]
    assert address.filled(address.fitting(["", "&"])) == "/?b=%26"
    style = style_template(parts_of("1px solid {{a|red}}", "$"), "$")
    assert style.filled(style.fitting([";"])) == "1px solid \\3b "


@pytest.mark.parametrize(
    ("text", "name", "part"),
    [
        ("{{a|javascript:x}}", "href", "'javascript:x' is no part of an address"),
        ("{{a}}", "onload", "{{a}}: a placeholder"),
    ],
)
def test_refusals_name_the_placeholder_and_the_path(text: str, name: str, part: str) -> None:
    with pytest.raises(RulesError) as caught:
        value_template(parts_of(text, "$"), name, "$.value")
    assert caught.value.path == "$.value"
    assert part in caught.value.problem
    with pytest.raises(RulesError, match="an address that a style loads"):
        style_template(parts_of("url({{a}})", "$"), "$")

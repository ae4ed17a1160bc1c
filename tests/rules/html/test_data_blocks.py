"""JSON in content: data that runs nothing, in ASCII."""

import pytest

from rules.errors import RulesError
from rules.html.data_blocks import check_mark, in_ascii


def test_what_is_not_ascii_is_escaped_in_data_only() -> None:
    markup = '<p>é</p><script type="application/json">{"é": "漢"}</script><svg><title>é</title></svg>'
    assert in_ascii(markup, "$") == (
        '<p>é</p><script type="application/json">{"\\u00e9": "\\u6f22"}</script><svg><title>é</title></svg>'
    )
    assert in_ascii("<p>é</p>", "$") == "<p>é</p>"


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "<!-- {} -->", '{"a": 1};', "[" * 5000])
def test_data_must_be_json(text: str) -> None:
    with pytest.raises(RulesError, match="a data block must hold JSON"):
        in_ascii(f'<script type="application/json">{text}</script>', "$")


def test_marks_stand_in_strings_that_are_values() -> None:
    check_mark('{"a": ["x m0", {"b": 1}]}', "m0")
    for text in ('{"m0": 1}', '{"a": "m0", "b": "m0"}'):
        with pytest.raises(RulesError, match="inside a string that is a value"):
            check_mark(text, "m0")

"""From an attribute's value to text that fits where it stands."""

import json
from typing import Any

import pytest

from rules import limits
from rules.templates import Blank, Position, Template, cleaned, escaped, is_web_address, json_in_ascii, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"), ("", ""), (True, "true"), (False, "false"), (0, "0"), (-3, "-3"), (2.5, "2.5"), (4.0, "4"),
        (1e300, "1e+300"), (10**15, ""), (10**5000, ""), (float("nan"), ""), (float("inf"), ""), (None, ""), ([], ""),
        ({"a": 1}, ""), (["x"], ""), ("a\r\nb\rc", "a\nb\nc"), ("\0\ud800\x80", "\ufffd" * 3),
        ("x" * limits.PLACEHOLDER_VALUE_CHARACTERS_MAX, "x" * limits.PLACEHOLDER_VALUE_CHARACTERS_MAX),
        ("x" * (limits.PLACEHOLDER_VALUE_CHARACTERS_MAX + 1), ""), ("a {{b}}", ""), ("{a", ""), ("a{", ""), ("a{b", "a{b"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_can_be_shown(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("position", "text", "written"),
    [
        (Position.TEXT, "<&\"'", "<&\"'"),
        (Position.ADDRESS, "https://a.example/?b", "https://a.example/?b"),
        (Position.ADDRESS, "javascript:x", None),
        (Position.ADDRESS_PART, "a b/ü?&=#:", "a%20b%2F%C3%BC%3F%26%3D%23%3A"),
        (Position.ADDRESS_PART, "..", None),
        (Position.ADDRESS_PART, ".a", ".a"),
        (Position.STYLE, "-1.5rem", "-1.5rem"),
        (Position.STYLE, "50%", "50%"),
        (Position.STYLE, "#0aF", "#0aF"),
        (Position.STYLE, "a;b", "a\\3b b"),
        (Position.STYLE, "1.5.5", "1\\2e 5\\2e 5"),
        (Position.STYLE, "😀", "\\1f600 "),
        (Position.JSON, '"\\\n', "\\u0022\\\\\\n"),
        (Position.JSON, "</é😀", "\\u003c/\\u00e9\\ud83d\\ude00"),
    ],
)
def test_each_position_has_its_escape(position: Position, text: str, written: str | None) -> None:
    assert escaped(text, position) == written


@pytest.mark.parametrize(
    "address", ["", "/a", "a:b/c"[:1], "//host/x", "HTTP://x", " https:x", "?a=javascript:", "é:x"]
)
def test_addresses_of_the_web(address: str) -> None:
    assert is_web_address(address)


@pytest.mark.parametrize(
    "address",
    ["javascript:x", " \x01java\tscr\nipt:x", "data:,x", "mailto:a", "VBScript:x", "a.b:c", "a;javascript :x"],
)
def test_addresses_of_something_else(address: str) -> None:
    assert not is_web_address(address)


def test_a_template_is_filled_and_falls_back() -> None:
    blanks = (Blank(("a",), "A&", Position.TEXT), Blank(("b", "c"), "/", Position.ADDRESS))
    markup = Template(("<", blanks[0], "|", blanks[1], ">"), is_markup=True)
    assert markup.reads == {"a", "b"}
    assert markup.filled(markup.values({"a": "<", "b": {"c": "/x'"}})) == "<&lt;|/x&#39;>"
    assert markup.filled(markup.values({"b": {"c": "data:x"}})) == "<A&amp;|/>"
    text = Template((blanks[0],), is_markup=False)
    assert text.filled(text.values({"a": "<"})) == "<"


def test_no_control_of_a_visitors_reaches_a_page() -> None:
    """Some browsers take a page without an encoding for ISO-2022-JP where it has its escapes: what follows is no markup then."""
    assert text_of("\x1b$B\x1b(J") == "\ufffd$B\ufffd(J"
    controls = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
    assert set(text_of(controls)) == {"\t", "\n", "\f", "\ufffd"}


def test_json_means_the_same_in_ascii() -> None:
    text = '{"é": ["漢 😀\\n", 1]}'
    assert json_in_ascii(text).isascii()
    assert json.loads(json_in_ascii(text)) == json.loads(text)
    assert cleaned("a\x9f") == "a\ufffd"

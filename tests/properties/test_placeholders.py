"""Whatever a visitor sends: it is one value in its place, by the judgement of parsers that have nothing to do with ours."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import turbohtml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.compiler import compile_table
from rules.context import Context
from rules.decision import Decision, decide
from rules.errors import RulesError
from rules.html import Rewritten, apply_groups
from rules.html.harm import harm_of
from rules.html.positions import html_template
from rules.model import decode_rules
from rules.placeholders import parts_of
from rules.templates import Position, cleaned, escaped, text_of
from tests.trees import ORACLES, Shape, shape, with_classes_split

bounded = settings(max_examples=150, deadline=None)

PAGE = b"""<!doctype html><html><head><title>t</title></head><body>
<h1>x</h1><p id=p>y</p><a href=/z>z</a><ul><li>1<li>2</ul></body></html>"""
MARKUP = """<div title="{{v}}" data-x='a {{v}} b' class="{{v}} k" style="color: {{v}}; --x: '{{v}}'"><pre>{{v}}</pre>{{v}}
<i>{{v}}{{v}}</i><a href="{{v|/home}}">a</a><img alt="{{v}}" src='/i/{{v|x}}.png?{{v}}'><textarea>{{v}}</textarea>
<table><tr><td>{{v}}</td></tr></table><select><option>{{v}}</option></select><svg><text>{{v}}</text></svg>
<style>.s{color:{{v}}}</style><script type="application/json">{"a": ["{{v}}"]}</script></div>"""
RULES: dict[str, Any] = {
    "mutations": [
        {
            "id": "m",
            "mutationType": "set",
            "mutationPayload": {
                "operations": [
                    {"verb": "setText", "target": {"selector": "title"}, "content": {"text": "{{v}} - t"}},
                    {"verb": "setInnerContent", "target": {"selector": "h1"}, "content": {"text": "a {{v}} b"}},
                    {"verb": "after", "target": {"selector": "h1"}, "content": {"html": MARKUP}},
                    {"verb": "setAttribute", "target": {"selector": "p"}, "name": "title", "value": "{{v}}"},
                    {"verb": "setAttribute", "target": {"selector": "a"}, "name": "href", "value": "/q?{{v}}"},
                    {
                        "verb": "append",
                        "target": {"selector": "ul"},
                        "content": {"component": "item", "props": {"what": "of {{v}}"}},
                    },
                ]
            },
        }
    ],
    "modules": [{"id": "item", "template": '<li title="{{props.what}}">{{props.what}} {{v}}</li>'}],
}
TABLE = compile_table(decode_rules(msgspec.json.encode(RULES)), version=1, now=datetime(2026, 1, 1, tzinfo=UTC))
HARMLESS = "zqz"
NASTY = st.sampled_from(
    [
        "\"", "'", "`", "<", ">", "&", "\0", "\n", "\r\n", "\r", "\x0c", "=", "/", "\\", ";", "{", "}", "{{", "}}", "%", "#",
        "javascript:", "data:", "//", "</script", "</style>", "</textarea>", "</title>", "</pre>", "]]>", "-->", "<!--",
        "<script>", "<img src=x onerror=x()>", "</p><p>", "&lt;", "&#0;", "\u202e", "\u2066", "\ud800", "\udc80", "\ufffe",
        "\x80", "\u2028", "\U0001f600", "x", "expression(", "url(", "*/", "1px", "#fff", ".", "..", " ",
    ]
)  # fmt: skip
TEXTS = st.lists(NASTY | st.text(st.characters(exclude_categories=()), max_size=4), max_size=8).map("".join)
VALUES = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.none(), max_size=2)


def decided(value: Any) -> Decision:
    return decide(TABLE, Context(site="shop.example", path="/", attributes={"v": value}))


def page_with(value: Any) -> str:
    result = apply_groups(PAGE, decided(value).groups, charset="utf-8", prove_all=True)
    assert isinstance(result, Rewritten)
    assert result.outcomes[0].detail == "6 elements"
    return result.page.decode()


def root_of(page: str) -> turbohtml.Element:
    root = turbohtml.parse(page, scripting=True).root
    assert root is not None
    return root


def fitting(value: Any, position: Position, fallback: str = "") -> str:
    text = text_of(value)
    part = escaped(text, position) if text else None
    return part if part is not None else (escaped(fallback, position) or "")


def put(tree: Shape, value: Any, inside: str = "") -> Any:
    """The harmless tree with a value in place of the harmless one, as each place has it."""
    if len(tree) == 2:
        return (tree[0], tree[1].replace(HARMLESS, fitting(value, _IN_TEXT.get(inside, Position.TEXT))))
    tag, attributes, children = tree
    changed = tuple((name, _attribute(name, text, value)) for name, text in attributes)
    below = [put(child, value, tag) for child in children]
    return (tag, changed, tuple(child for child in below if len(child) > 2 or child[1]))


_IN_TEXT = {"style": Position.STYLE, "script": Position.JSON}


def _attribute(name: str, text: str, value: Any) -> str:
    if name == "href" and text == HARMLESS:
        return fitting(value, Position.ADDRESS, "/home")
    if name == "src":
        first, _, last = text.rpartition(HARMLESS)
        first = first.replace(HARMLESS, fitting(value, Position.ADDRESS_PART, "x"))
        return first + fitting(value, Position.ADDRESS_PART) + last
    position = {"href": Position.ADDRESS_PART, "style": Position.STYLE}.get(name, Position.PLAIN)
    return text.replace(HARMLESS, fitting(value, position))


@bounded
@given(VALUES)
@example("\n")
@example(" ")
def test_a_value_is_one_value_whatever_it_is(value: Any) -> None:
    harmless, page = page_with(HARMLESS), page_with(value)
    for oracle in ORACLES:
        wanted = put(shape(oracle(harmless)), value)
        assert with_classes_split(shape(oracle(page))) == with_classes_split(wanted)


@bounded
@given(VALUES)
def test_nothing_does_harm(value: Any) -> None:
    written = root_of(page_with(value))
    assert harm_of(element for element in written.find_all() if element.tag not in ("html", "head", "body")) == ""


@bounded
@given(TEXTS)
def test_text_and_attributes_come_back_as_they_were(value: str) -> None:
    root = root_of(page_with(value))
    text, shown = root.select("li")[-1], text_of(value)
    assert shown in ("", cleaned(value))
    assert text.text == f"of {shown} {shown}"
    assert text.attrs["title"] == f"of {shown}"
    (data,) = root.select("script")
    assert json.loads(data.text) == {"a": [shown]}
    assert root.select("pre")[0].text == shown


@bounded
@given(VALUES, VALUES)
def test_keys_are_equal_exactly_for_equal_pages(one: Any, other: Any) -> None:
    same = page_with(one) == page_with(other)
    assert (decided(one).key == decided(other).key) is same


@bounded
@given(
    st.lists(st.sampled_from("{{ }} { | a a.b . \\ x <b> </b> \" ' = <p title= > / :".split(" ")), max_size=12).map(
        "".join
    )
)
def test_any_content_becomes_a_template_or_one_line(text: str) -> None:
    error, found = None, None
    try:
        found = html_template(parts_of(text, "$"), "$")
    except RulesError as refusal:
        error = refusal
    assert error is None or "\n" not in str(error)
    assert found is None or len(found.blanks) == text.count("{{") - text.count("\\{{")

"""Templates of modules with their props."""

from typing import Any

import pytest

from rules import limits
from rules.errors import RulesError
from rules.html.components import Component, compile_component, html_parts
from rules.model import Content, Module
from rules.placeholders import Parts, Placeholder

MODULES = {
    "card": '<p class="c {{props.tone|plain}}"><a href="{{props.to|/}}">{{props.title}}</a>{{name|you}}{{props.more|}}</p>',
    "box": "<div>{{props.inside}}</div>",
    "twice": "<div>{{props.inside}}{{props.inside}}</div>",
    "search": '<a href="/s?q={{props.q}}" style="color: {{props.colour|red}}">x</a>',
    "bare": "",
}
LIBRARY = {name: compile_component(Module(id=name, template=text), "$") for name, text in MODULES.items()}


def rendered(name: str, **props: Any) -> Parts:
    return html_parts(Content(component=name, props=props), LIBRARY, "$.content")


def text(parts: Parts) -> str:
    return "".join(part if isinstance(part, str) else f"[{part.name}|{part.fallback}]" for part in parts)


def test_a_template_has_props_and_what_a_visit_fills() -> None:
    card = LIBRARY["card"]
    assert isinstance(card, Component)
    assert list(card.props) == ["tone", "to", "title", "more"]
    assert LIBRARY["bare"] is None
    assert text(rendered("card", title="T")) == '<p class="c plain"><a href="/">T</a>[name|you]</p>'


def test_props_are_escaped_for_where_they_stand() -> None:
    assert text(rendered("card", title="<&>", tone='"', to="/x?a&b", more=2.5)) == (
        '<p class="c &quot;"><a href="/x?a&amp;b">&lt;&amp;&gt;</a>[name|you]2.5</p>'
    )
    assert text(rendered("search", q="a&b/ü", colour="a;b")) == (
        '<a href="/s?q=a%26b%2F%C3%BC" style="color: a\\3b b">x</a>'
    )
    assert text(rendered("box", inside=True)) == "<div>true</div>"


def test_placeholders_in_props_are_left_to_the_visit() -> None:
    assert rendered("box", inside="Hi {{a.b|x}} \\{{") == (
        "<div>",
        "Hi ",
        Placeholder(("a", "b"), "x"),
        " {{",
        "</div>",
    )


def test_content_makes_a_tree() -> None:
    inside = [
        Content(text="a < {{b}}"),
        Content(html="<i>{{c}}</i>"),
        Content(component="box", props={"inside": Content(component="card", props={"title": "T"})}),
    ]
    assert text(rendered("box", inside=inside)) == (
        '<div>a &lt; [b|None]<i>[c|None]</i><div><p class="c plain"><a href="/">T</a>[name|you]</p></div></div>'
    )


@pytest.mark.parametrize(
    ("name", "props", "path", "part"),
    [
        ("none", {}, "$.content.component", "there is no module 'none'; components: box, card, search, twice"),
        ("bare", {}, "$.content.component", "the module 'bare' has no template"),
        ("card", {}, "$.content.props", "needs the prop 'title'"),
        ("card", {"title": "", "titel": ""}, "$.content.props.titel", "no prop 'titel'; it has: tone, to, title, more"),
        ("card", {"title": "{{props.x}}"}, "$.content.props.title", "in a module's template only"),
        ("card", {"title": "{{"}, "$.content.props.title", "is no placeholder"),
        ("card", {"title": "", "tone": Content(text="x")}, "$.content.props.tone", "content can't stand here"),
        ("search", {"q": [Content(text="x")]}, "$.content.props.q", "content can't stand here"),
        ("box", {"inside": 10**15}, "$.content.props.inside", "give it as a text"),
        ("search", {"q": ".."}, "$.content.props.q", "no part of an address"),
        ("box", {"inside": Content(html="<b>")}, "$.content.props.inside.html", "not balanced"),
        ("box", {"inside": [Content(text="{{")]}, "$.content.props.inside[0].text", "is no placeholder"),
        ("box", {"inside": Content(component="x")}, "$.content.props.inside.component", "there is no module 'x'"),
    ],
)
def test_what_does_not_fit_is_named(name: str, props: dict[str, Any], path: str, part: str) -> None:
    with pytest.raises(RulesError) as caught:
        rendered(name, **props)
    assert caught.value.path == path
    assert part in caught.value.problem


def nested(name: str, depth: int, inside: Content) -> Content:
    for _ in range(depth):
        inside = Content(component=name, props={"inside": inside})
    return inside


def test_depth_and_size_have_an_end() -> None:
    html_parts(nested("box", limits.COMPONENT_DEPTH_MAX, Content(text="x")), LIBRARY, "$")
    with pytest.raises(RulesError, match="nested more than 10 deep"):
        html_parts(nested("box", limits.COMPONENT_DEPTH_MAX + 1, Content(text="x")), LIBRARY, "$")
    with pytest.raises(RulesError, match="becomes longer than"):
        html_parts(nested("twice", limits.COMPONENT_DEPTH_MAX, Content(text="x" * 100)), LIBRARY, "$")


@pytest.mark.parametrize(
    ("markup", "part"),
    [
        ("<p>{{props}}</p>", "a prop has one name"),
        ("<p>{{props.a.b}}</p>", "a prop has one name"),
        ("<p>", "not balanced"),
        ("<p title={{props.a}}>x</p>", "attributes need quotes"),
        ("<script>{{props.a}}</script>", "is not allowed"),
    ],
)
def test_a_template_is_checked_by_itself(markup: str, part: str) -> None:
    with pytest.raises(RulesError, match=part) as caught:
        compile_component(Module(id="m", template=markup), "$.modules[0].template")
    assert caught.value.path == "$.modules[0].template"

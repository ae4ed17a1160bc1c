"""Malformed rules files: each is refused with one line that has the exact path and what is wrong or allowed there."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rules.compiler import compile_table
from rules.errors import RulesError
from rules.model import decode_rules

HEADLINE = {"selector": "h1"}
REMOVE = {"verb": "remove", "target": HEADLINE}
EXPERIMENT = {"id": "e", "variations": [{"key": "a"}, {"key": "b"}]}
FIRST, OPERATION = "$.mutations[0]", "$.mutations[0].mutationPayload.operations[0]"


def of(**fields: Any) -> dict[str, Any]:
    """A rules file with one mutation of type `set`."""
    mutation = {"id": "m", "mutationType": "set", "mutationPayload": {"operations": [REMOVE]}} | fields
    return {"mutations": [mutation]}


def doing(operation: dict[str, Any]) -> dict[str, Any]:
    """A rules file with one operation."""
    return of(mutationPayload={"operations": [operation]})


def writing(**content: Any) -> dict[str, Any]:
    return doing({"verb": "append", "target": HEADLINE, "content": content})


def attribute(name: str, value: str) -> dict[str, Any]:
    return doing({"verb": "setAttribute", "target": HEADLINE, "name": name, "value": value})


def card(template: str, **props: Any) -> dict[str, Any]:
    """A rules file with a component, and one operation that uses it."""
    return writing(component="card", props=props) | {"modules": [{"id": "card", "template": template}]}


def writes(text: str) -> dict[str, Any]:
    """The operations of one case."""
    return {"operations": [{"verb": "setText", "target": HEADLINE, "content": {"text": text}}]}


EMOTION = {"joy": writes("x")}


def emotions(**payload: Any) -> dict[str, Any]:
    return of(mutationType="emotionMap", mutationPayload={"cases": EMOTION} | payload)


def ordering(order: list[dict[str, Any]]) -> dict[str, Any]:
    return doing({"verb": "reorderChildren", "target": HEADLINE, "order": order})


def layout(regions: dict[str, Any]) -> dict[str, Any]:
    return of(mutationType="layout", mutationPayload={"regions": regions})


def styling(properties: dict[str, str]) -> dict[str, Any]:
    return doing({"verb": "setStyle", "target": HEADLINE, "properties": properties})


def variant(variations: dict[str, Any], experiment: str = "e") -> dict[str, Any]:
    payload = {"experimentId": experiment, "variations": variations}
    return of(mutationType="variant", mutationPayload=payload) | {"experiments": [EXPERIMENT]}


def experiment(**fields: Any) -> dict[str, Any]:
    return {"experiments": [EXPERIMENT | fields]}


TABLE: list[tuple[Any, str, str]] = [
    (b"", "$", "the file is empty"),
    (b'{"mutations": [}', "$", "not JSON"),
    (b"1 2", "$", "not JSON"),
    (b'{"mutations": ["\xff"]}', "$", "not JSON"),
    (b"[" * 100_000, "$", "nested too deeply"),
    ([], "$", "Expected `object`, got `array`"),
    ({"mutation": []}, "$", "did you mean `mutations`?"),
    ({"mutations": {}}, "$.mutations", "Expected `array`"),
    ({"mutations": [{}]}, FIRST, "one of set, insert, replace, hide, remove, move"),
    (of(id=""), f"{FIRST}.id", "1 to 64 letters"),
    (of(id="a b"), f"{FIRST}.id", "1 to 64 letters"),
    (of(mutationType="sett"), f"{FIRST}.mutationType", "did you mean `set`?"),
    (of(prioritie=1), FIRST, "did you mean `priority`?"),
    (of(priority="1"), f"{FIRST}.priority", "Expected `int`, got `str`"),
    (of(version=0), f"{FIRST}.version", ">= 1"),
    (of(status="activ"), f"{FIRST}.status", "did you mean `active`?"),
    (of(layer="macro"), f"{FIRST}.layer", "global, page, module, micro"),
    (of(trigger={"on": "pageload"}), f"{FIRST}.trigger.on", "did you mean `pageLoad`?"),
    (of(trigger={"on": "segment"}), f"{FIRST}.trigger", "missing required field `segment`"),
    (of(trigger={"on": "segment", "segment": "s"}), f"{FIRST}.trigger.segment", "known: none"),
    (of(site="shop.example/"), f"{FIRST}.site", "a site is a host"),
    (of(site="*.*"), f"{FIRST}.site", "a site is a host"),
    (of(pageSlug="offers"), f"{FIRST}.pageSlug", "/offers/*"),
    (of(pageSlug="/offers?x=1"), f"{FIRST}.pageSlug", "/offers/*"),
    (of(schedule={"timezone": "Mars/Base"}), f"{FIRST}.schedule.timezone", "Europe/Berlin"),
    (of(schedule={"timezone": "../../etc/passwd"}), f"{FIRST}.schedule.timezone", "unknown time zone"),
    (of(schedule={"startsAt": "2026-01-02T00:00:00"}), f"{FIRST}.schedule.startsAt", "timezone"),
    (
        of(schedule={"startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"}),
        f"{FIRST}.schedule",
        "`startsAt` must be earlier than `endsAt`",
    ),
    (of(schedule={"daysOfWeek": ["monday"]}), f"{FIRST}.schedule.daysOfWeek[0]", "did you mean `mon`?"),
    (of(schedule={"hours": {"from": "9:00", "to": "10:00"}}), f"{FIRST}.schedule.hours.from", "HH:MM"),
    (of(schedule={"hours": {"from": "09:00", "to": "09:00"}}), f"{FIRST}.schedule.hours", "must differ"),
    (of(conditions=[]), f"{FIRST}.conditions", "Expected `object`, got `array`"),
    (of(conditions={"a": {"$foo": 1}}), f"{FIRST}.conditions.a.$foo", "unknown operator `$foo`; allowed: $all"),
    (of(conditions={"$foo": []}), f"{FIRST}.conditions.$foo", "allowed: $and, $or, $nor, $not"),
    (of(conditions={"a": {"$regex": "("}}), f"{FIRST}.conditions.a.$regex", "RE2"),
    (of(conditions={"a": {"$regex": "(?=x)"}}), f"{FIRST}.conditions.a.$regex", "RE2"),
    (of(conditions={"a": {"$in": "x"}}), f"{FIRST}.conditions.a.$in", "takes a list"),
    (of(conditions={"$or": [{"a": {"$size": "x"}}]}), f"{FIRST}.conditions.$or[0].a.$size", "takes a number"),
    (of(conditions={"a": {"$inGroup": "vip"}}), f"{FIRST}.conditions.a.$inGroup", 'unknown group "vip"'),
    (of(conditions={"a": {"$type": "text"}}), f"{FIRST}.conditions.a.$type", "string, number, boolean"),
    ({"mutations": of()["mutations"] * 2}, "$.mutations[1].id", "already used by $.mutations[0]"),
    (of(mutationPayload={"operations": []}), f"{FIRST}.mutationPayload.operations", "length >= 1"),
    (doing({"verb": "setTxt", "target": HEADLINE}), f"{OPERATION}.verb", "did you mean `setText`?"),
    (doing({"target": HEADLINE}), OPERATION, "missing required field `verb`, one of before"),
    (doing({"verb": "remove", "target": {}}), f"{OPERATION}.target", "either `selector` or `moduleId`"),
    (
        doing({"verb": "remove", "target": {"selector": "a", "moduleId": "b"}}),
        f"{OPERATION}.target",
        "either `selector` or `moduleId`",
    ),
    (doing({"verb": "remove", "target": {"selector": "h1["}}), f"{OPERATION}.target.selector", "main > h1"),
    (
        doing({"verb": "remove", "target": {"selector": "p", "maxMatches": 0}}),
        f"{OPERATION}.target.maxMatches",
        ">= 1",
    ),
    (
        doing({"verb": "hideByStyle", "target": {"selector": "p", "maxMatches": 2}}),
        f"{OPERATION}.target.maxMatches",
        "hides every match",
    ),
    (
        doing({"verb": "hideByStyle", "target": {"selector": "[a='<']"}}),
        f"{OPERATION}.target.selector",
        "can't stand in a style block",
    ),
    (styling({}), f"{OPERATION}.properties", "length >= 1"),
    (styling({"color": "{{c}}"}), f"{OPERATION}.properties.color", "a value is expected"),
    (styling({"background": "url({{c|x}})"}), f"{OPERATION}.properties.background", "an address that a style loads"),
    (
        of(mutationType="theme", mutationPayload={"css": "{{a|b}}{c:d}"}),
        f"{FIRST}.mutationPayload.css.content.html",
        "{{a}}",
    ),
    (
        of(mutationType="cta", mutationPayload={"target": HEADLINE, "href": "/{{a|b}}", "tracking": {"u": "1"}}),
        f"{FIRST}.mutationPayload.href",
        "without placeholders",
    ),
    (styling({"Color": "red"}), f"{OPERATION}.properties", "regex"),
    (styling({"color": ""}), f"{OPERATION}.properties.color", "length >= 1"),
    (styling({"color": "red;top:0"}), f"{OPERATION}.properties.color", "is not allowed in a value"),
    (styling({"color": "calc(1px"}), f"{OPERATION}.properties.color", "must be closed"),
    (styling({"background": "url(javascript:x)"}), f"{OPERATION}.properties.background", "runs a script"),
    (styling({"background": "url('data:text/html,x')"}), f"{OPERATION}.properties.background", "data:"),
    (styling({"width": "expression(1)"}), f"{OPERATION}.properties.width", "runs a script"),
    (doing({"verb": "setTokens", "tokens": {"brand": "red"}}), f"{OPERATION}.tokens", "regex"),
    (doing({"verb": "setTokens", "tokens": {"--a": "url(x)"}}), f"{OPERATION}.tokens.--a", "loads nothing"),
    (doing({"verb": "setTokens", "tokens": {"--a": "}</style>"}}), f"{OPERATION}.tokens.--a", "not allowed"),
    (
        doing({"verb": "setTokens", "tokens": {"--a": "1"}, "target": {"selector": "p", "maxMatches": 1}}),
        f"{OPERATION}.target.maxMatches",
        "styles every match",
    ),
    (
        doing({"verb": "setParameters", "target": HEADLINE, "parameters": {"a b": ""}}),
        f"{OPERATION}.parameters",
        "regex",
    ),
    (of(mutationType="theme", mutationPayload={}), f"{FIRST}.mutationPayload", "needs `tokens`, `classes`"),
    (of(mutationType="theme", mutationPayload={"css": "a{"}), f"{FIRST}.mutationPayload.css", "not balanced"),
    (of(mutationType="theme", mutationPayload={"css": "@import 'a';"}), f"{FIRST}.mutationPayload.css", "@import"),
    (
        of(mutationType="theme", mutationPayload={"stylesheet": "theme.css"}),
        f"{FIRST}.mutationPayload.stylesheet",
        "a path such as",
    ),
    (
        of(mutationType="theme", mutationPayload={"tokens": {"--a": "src('x')"}}),
        f"{FIRST}.mutationPayload.tokens.--a",
        "loads nothing",
    ),
    (of(mutationType="cta", mutationPayload={"target": HEADLINE}), f"{FIRST}.mutationPayload", "needs `label`"),
    (
        of(mutationType="cta", mutationPayload={"target": HEADLINE, "attributes": {"HREF": "/"}}),
        f"{FIRST}.mutationPayload",
        "is written in `href`",
    ),
    (
        of(mutationType="cta", mutationPayload={"target": HEADLINE, "href": "javascript:x"}),
        f"{FIRST}.mutationPayload.href",
        "runs a script",
    ),
    (of(mutationType="redirect", mutationPayload={"to": "//x"}), f"{FIRST}.mutationPayload.to", "another site"),
    (of(mutationType="redirect", mutationPayload={"to": "/{{x}}"}), f"{FIRST}.mutationPayload.to", "not allowed"),
    (
        of(mutationType="redirect", mutationPayload={"to": "/x", "status": 200}),
        f"{FIRST}.mutationPayload.status",
        "301, 302, 303, 307, 308",
    ),
    (
        of(mutationType="redirect", pageSlug="/x", mutationPayload={"to": "/x"}),
        f"{FIRST}.mutationPayload.to",
        "the page that it is about",
    ),
    (
        doing({"verb": "orderByStyle", "target": HEADLINE, "order": [{"selector": "p"}, {"selector": "[a='<']"}]}),
        f"{OPERATION}.order[1].selector",
        "use `reorderChildren`",
    ),
    (
        doing({"verb": "orderByStyle", "target": HEADLINE, "order": [{"selector": "p["}]}),
        f"{OPERATION}.order[0].selector",
        "main > h1",
    ),
    (
        doing({"verb": "setText", "target": HEADLINE, "content": {"html": "x"}}),
        OPERATION,
        "for HTML and components use `setInnerContent`",
    ),
    (writing(), f"{OPERATION}.content", "either `text`, `html` or `component`"),
    (writing(html="<b>"), f"{OPERATION}.content.html", "not balanced"),
    (writing(html="</div>"), f"{OPERATION}.content.html", "not balanced"),
    (writing(html="<!--"), f"{OPERATION}.content.html", "not balanced"),
    (writing(html="<script>1</script>"), f"{OPERATION}.content.html", "<script> is not allowed"),
    (writing(html="<svg><script>1</script></svg>"), f"{OPERATION}.content.html", "<script> is not allowed"),
    (writing(html="<b onclick=x>y</b>"), f"{OPERATION}.content.html", "`onclick` is not allowed"),
    (writing(html="<a href='java&#9;script:x'>y</a>"), f"{OPERATION}.content.html", "javascript: address"),
    (
        writing(html="<svg><animate values='a;javascript:x'></animate></svg>"),
        f"{OPERATION}.content.html",
        "javascript: address",
    ),
    (writing(text="Hello {{ 1 }}"), f"{OPERATION}.content.text", "is no placeholder such as {{locale|en}}"),
    (writing(html="<p title={{a}}>x</p>"), f"{OPERATION}.content.html", "attributes need quotes"),
    (writing(html="<table><tr>{{a}}</tr></table>"), f"{OPERATION}.content.html", "a table's text a cell"),
    (writing(html="{{props.a}}"), f"{OPERATION}.content.html", "in a module's template only"),
    (attribute("type", "{{a}}"), f"{OPERATION}.value", "decides what runs"),
    (attribute("href", "{{a}}:x"), f"{OPERATION}.value", "behind a placeholder that begins an address"),
    (writing(component="card"), f"{OPERATION}.content.component", "there is no module 'card'"),
    (writing(component="card", props=1), f"{OPERATION}.content.props", "Expected `object`"),
    (writing(component="card", props={"a b": 1}), f"{OPERATION}.content.props", "matching regex"),
    (writing(component="card", props={"a": {"txt": "x"}}), f"{OPERATION}.content.props.a", "did you mean `text`?"),
    (writing(text="x", props={"a": 1}), f"{OPERATION}.content", "`props` go with `component`"),
    (card("{{props.a}}"), f"{OPERATION}.content.props", "needs the prop 'a'"),
    (card("{{props.a}}", b=1), f"{OPERATION}.content.props.b", "has no prop 'b'; it has: a"),
    (card("<p>{{props.a}}</p>", a={"html": "<div>x</div>"}), f"{OPERATION}.content.component", "not balanced"),
    (card("<b>"), "$.modules[0].template", "not balanced"),
    (of(mutationType="emotionMap", mutationPayload={"cases": {}}), f"{FIRST}.mutationPayload.cases", "length >= 1"),
    (emotions(attribute="a b"), f"{FIRST}.mutationPayload.attribute", "a dotted path into one"),
    (emotions(case=EMOTION), f"{FIRST}.mutationPayload", "did you mean `cases`?"),
    (emotions(cases={"joy": writes("{{")}), f"{FIRST}.mutationPayload.cases.joy.operations[0].content.text", "is no"),
    (emotions(otherwise=writes("{{")), f"{FIRST}.mutationPayload.otherwise.operations[0].content.text", "is no"),
    (attribute("onclick", "x"), f"{OPERATION}.name", "it runs a script"),
    (attribute("srcdoc", "x"), f"{OPERATION}.name", "scripts of its own"),
    (attribute("a b", "x"), f"{OPERATION}.name", "an HTML attribute name"),
    (attribute("href", " java\nscript:x"), f"{OPERATION}.value", "javascript: address"),
    (doing({"verb": "addClass", "target": HEADLINE, "names": []}), f"{OPERATION}.names", "length >= 1"),
    (doing({"verb": "addClass", "target": HEADLINE, "names": ["a b"]}), f"{OPERATION}.names[0]", "one class name"),
    (
        of(mutationType="hide", mutationPayload={"target": HEADLINE, "mode": "css"}),
        f"{FIRST}.mutationPayload.mode",
        "style, attribute, remove",
    ),
    (
        doing({"verb": "moveBefore", "target": HEADLINE}),
        OPERATION,
        "missing required field `anchor`",
    ),
    (
        doing({"verb": "moveAfter", "target": HEADLINE, "anchor": {"selector": "p["}}),
        f"{OPERATION}.anchor.selector",
        "CSS",
    ),
    (ordering([]), f"{OPERATION}.order", "length >= 1"),
    (ordering([HEADLINE] * 201), f"{OPERATION}.order", "length <= 200"),
    (ordering([HEADLINE, {"selector": "p["}]), f"{OPERATION}.order[1].selector", "CSS"),
    (
        of(
            mutationPayload={
                "operations": [
                    {"verb": "moveBefore", "target": {"selector": "a"}, "anchor": {"selector": "b"}},
                    {"verb": "moveAppend", "target": {"selector": "b"}, "anchor": {"selector": "a"}},
                ]
            }
        ),
        "$.mutations[0].mutationPayload.operations[1].anchor",
        "b would stand beside or inside itself",
    ),
    (
        of(mutationType="move", mutationPayload={"target": HEADLINE, "position": "behind", "anchor": HEADLINE}),
        f"{FIRST}.mutationPayload.position",
        "before, after, prepend, append",
    ),
    (
        of(mutationType="reorder", mutationPayload={"container": {"selector": "p["}, "order": [HEADLINE]}),
        f"{FIRST}.mutationPayload.container.selector",
        "CSS",
    ),
    (layout({}), f"{FIRST}.mutationPayload.regions", "length >= 1"),
    (layout({"a": {"container": HEADLINE}}), f"{FIRST}.mutationPayload", "no region lists a module"),
    (
        layout({"a": {"container": HEADLINE, "modules": ["m"]}, "b": {"container": HEADLINE, "modules": ["n"]}}),
        f"{FIRST}.mutationPayload",
        "the same `container`",
    ),
    (
        layout({"a": {"container": HEADLINE, "modules": ["m"], "hidden": ["m"]}}),
        f"{FIRST}.mutationPayload",
        "m is listed twice",
    ),
    (
        layout({"a": {"container": {"selector": "p["}, "modules": ["m"]}}),
        f"{FIRST}.mutationPayload.regions.a.container.selector",
        "CSS",
    ),
    (variant({"a": {}}, "f"), f"{FIRST}.mutationPayload.experimentId", "there is no experiment 'f'"),
    (variant({"a": {}, "c": {}}), f"{FIRST}.mutationPayload.variations.c", "it has a, b"),
    (variant({"b": {}, "a": {}}), f"{FIRST}.mutationPayload.variations", "must be 'a'"),
    (
        variant({"a": {}, "b": {"operations": [{"verb": "x"}]}}),
        f"{FIRST}.mutationPayload.variations.b.operations[0].verb",
        "before, after",
    ),
    (experiment(variations=[{"key": "a"}]), "$.experiments[0].variations", "length >= 2"),
    (experiment(variations=[{"key": "a"}, {"key": "a"}]), "$.experiments[0]", "variation keys must differ"),
    (
        experiment(variations=[{"key": "a", "weight": 0}, {"key": "b", "weight": 0}]),
        "$.experiments[0]",
        "needs a weight above 0",
    ),
    (experiment(coverage=1.5), "$.experiments[0].coverage", "<= 1.0"),
    (experiment(hashVersion=3), "$.experiments[0].hashVersion", "allowed here: 1, 2"),
    (
        experiment(namespace={"id": "n", "from": 0.5, "to": 0.5}),
        "$.experiments[0].namespace",
        "`from` must be smaller than `to`",
    ),
    ({"modules": [{"id": "m", "selector": "["}]}, "$.modules[0].selector", "a CSS selector is expected"),
    ({"segments": [{"id": "s", "conditions": {"a": {"$x": 1}}}]}, "$.segments[0].conditions.a.$x", "unknown operator"),
    ({"segments": [{"id": "s"}]}, "$.segments[0]", "missing required field `conditions`"),
]


@pytest.mark.parametrize(("content", "path", "part"), TABLE, ids=lambda value: str(value)[:60])
def test_one_line_says_where_and_what(content: Any, path: str, part: str) -> None:
    data = content if isinstance(content, bytes) else msgspec.json.encode(content)
    with pytest.raises(RulesError) as caught:
        compile_table(decode_rules(data), version=1, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.path == path
    assert part in caught.value.problem
    assert str(caught.value) == f"{path}: {caught.value.problem}"
    assert "\n" not in str(caught.value)


def test_a_condition_has_bounds() -> None:
    deep: Any = 1
    for _ in range(30):
        deep = {"$not": deep}
    for conditions, part in (({"a": deep}, "nested more than 20"), ({"a": {"$in": [1] * 10_001}}, "more than 10,000")):
        with pytest.raises(RulesError, match=part):
            compile_table(
                decode_rules(msgspec.json.encode(of(conditions=conditions))),
                version=1,
                now=datetime(2026, 1, 1, tzinfo=UTC),
            )

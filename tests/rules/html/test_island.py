"""What the browser script is told."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from rules import model
from rules.group import Group
from rules.html import PassedThrough, Rewritten, Script, apply_groups
from rules.html.frameworks import roots_of
from rules.html.island import island
from rules.model import Delivery
from rules.reasons import Reason
from tests.rules.html.making import at, document, html, text

SCRIPT = Script("/s.js")
PAGE = b"<head></head><body><h1>Old</h1><p>x</p></body>"


def told(markup: str) -> list[dict[str, Any]]:
    data = re.search(r"data-layout-mutation>(.*?)</script>", markup)
    assert data is not None
    groups: list[dict[str, Any]] = json.loads(data[1])["groups"]
    return groups


def island_of(page: str, groups: Sequence[Group]) -> str:
    parsed = document(page)
    return island(parsed, roots_of(parsed), groups, SCRIPT)


def client(*operations: model.Operation, identifier: str = "m", **fields: Any) -> Group:
    return Group(identifier, operations, delivery=Delivery.CLIENT, **fields)


def test_only_what_is_there_is_told() -> None:
    group = client(
        model.SetText(target=model.Target(selector="h1", required=True), content=text("x")),
        when=model.Visible(target=model.Target(selector="p", max_matches=1)),
    )
    assert told(island_of("<p>", [group])) == [
        {
            "id": "m",
            "when": {"event": "visible", "target": {"selector": "p", "maxMatches": 1}},
            "operations": [{"verb": "text", "text": "x", "target": {"selector": "h1", "required": True}}],
        }
    ]


P = at("p")


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        (model.Before(target=P, content=html("<i>")), {"verb": "insert", "way": "before", "html": "<i>"}),
        (model.Append(target=P, content=html("<i>")), {"verb": "insert", "way": "append", "html": "<i>"}),
        (model.SetInnerContent(target=P, content=html("<i>")), {"verb": "inner", "html": "<i>"}),
        (model.SetInnerContent(target=P, content=text("x")), {"verb": "text", "text": "x"}),
        (model.Replace(target=P, content=html("<i>")), {"verb": "replace", "html": "<i>"}),
        (model.Remove(target=P), {"verb": "style", "properties": {"display": ["none", "important"]}}),
        (model.RemoveAndKeepContent(target=P), {"verb": "style", "properties": {"display": ["contents", "important"]}}),
        (model.SetAttribute(target=P, name="a", value=""), {"verb": "attribute", "name": "a", "value": ""}),
        (model.RemoveAttribute(target=P, name="a"), {"verb": "attribute", "name": "a"}),
        (model.AddClass(target=P, names=["a"]), {"verb": "classes", "names": ["a"], "add": True}),
        (model.RemoveClass(target=P, names=["a"]), {"verb": "classes", "names": ["a"]}),
        (model.MoveAfter(target=P, anchor=at("i")), {"verb": "move", "way": "after", "anchor": {"selector": "i"}}),
        (model.MoveAppend(target=P, anchor=at("i")), {"verb": "move", "way": "append", "anchor": {"selector": "i"}}),
        (model.ReorderChildren(target=P, order=[at("i")]), {"verb": "order", "order": [{"selector": "i"}]}),
        (
            model.SetStyle(target=P, properties={"content": "'!'", "top": "0 !important"}),
            {"verb": "style", "properties": {"content": ["'!'"], "top": ["0", "important"]}},
        ),
        (model.SetParameters(target=P, parameters={"a": "b"}), {"verb": "parameters", "parameters": {"a": "b"}}),
        (model.SetTokens(target=P, tokens={"--a": "b"}), {"verb": "css", "css": "p{--a:b}"}),
        (model.HideByStyle(target=P), {"verb": "css", "css": "p{display:none!important}"}),
    ],
)
def test_the_script_knows_few_verbs(operation: model.Operation, said: dict[str, Any]) -> None:
    [group] = told(island_of("<p>", [client(operation)]))
    assert group["operations"] == [{**said, "target": {"selector": "p"}}]


def test_what_a_framework_may_still_render_waits_for_it() -> None:
    group = client(*(model.SetText(target=at(selector), content=text("x")) for selector in ("i", "p", "b")))
    page = "<div data-v-app><i>x</i></div><p>y</p>"
    assert [operation.get("waits") for operation in told(island_of(page, [group]))[0]["operations"]] == [
        True,
        None,
        True,
    ]
    assert not any("waits" in operation for operation in told(island_of("<i>", [group]))[0]["operations"])


def test_what_was_filled_in_is_looked_at_once_more() -> None:
    harmful: list[model.Operation] = [
        model.SetAttribute(target=P, name="src", value="data:text/html,x"),
        model.SetInnerContent(target=P, content=html("<i onclick=x>")),
    ]
    [group] = told(island_of("<p>", [client(*harmful, model.Remove(target=P))]))
    assert [operation["verb"] for operation in group["operations"]] == ["style"]


def test_a_client_group_changes_nothing_else() -> None:
    group = client(model.SetText(target=at("h1"), content=text("New")))
    result = apply_groups(PAGE, [group], charset=None, script=SCRIPT)
    assert isinstance(result, Rewritten)
    assert result.calls_script
    assert [outcome.reason for outcome in result.outcomes] == [Reason.DELIVERED]
    [edit] = result.edits
    assert (edit.start, edit.end) == (len(b"<head>"), len(b"<head>"))


def test_without_a_script_or_a_place_nothing_is_delivered() -> None:
    group = client(model.SetText(target=at("h1"), content=text("New")))
    for page, script in ((PAGE, None), (b"<h1>Old</h1>", SCRIPT)):
        result = apply_groups(page, [group], charset=None, script=script)
        assert isinstance(result, PassedThrough)
        assert [outcome.reason for outcome in result.outcomes] == [Reason.NOT_DELIVERED]


def test_a_guarded_group_is_told_as_far_as_it_was_done() -> None:
    operations = (
        model.SetText(target=at("h1"), content=text("New")),
        model.Remove(target=at("h9")),
        model.After(target=at("h1"), content=html("<i>y</i>")),
    )
    group = Group("m", operations, delivery=Delivery.GUARDED)
    result = apply_groups(PAGE, [group], charset=None, script=SCRIPT)
    assert isinstance(result, Rewritten)
    [guarded] = told(result.page.decode())
    assert guarded["guarded"]
    assert [operation["verb"] for operation in guarded["operations"]] == ["text", "insert"]
    assert guarded["operations"][1]["html"] == '<i data-layout-mutation="m/2">y</i>'
    assert '<h1>New</h1><i data-layout-mutation="m/2">y</i>' in result.page.decode()
    nothing = Group("m", operations[1:2], delivery=Delivery.GUARDED)
    assert isinstance(apply_groups(PAGE, [nothing], charset=None, script=SCRIPT), PassedThrough)


def test_utf_16_is_no_obstacle() -> None:
    group = client(model.SetText(target=at("h1"), content=text("Größe")))
    page = PAGE.decode().encode("utf-16")
    result = apply_groups(page, [group], charset=None, script=SCRIPT)
    assert isinstance(result, Rewritten)
    assert result.calls_script
    assert told(result.page.decode("utf-16"))[0]["operations"][0]["text"] == "Größe"

"""Each payload stands for its operations."""

from typing import Any

import pytest

from rules import model
from rules.expansion import operations_of
from tests.rules.making import rules_file

TARGET = {"selector": "p"}
TEXT = {"text": "x"}


@pytest.mark.parametrize(
    ("kind", "payload", "verb"),
    [
        ("insert", {"position": "before", "content": TEXT}, model.Before),
        ("insert", {"position": "after", "content": TEXT}, model.After),
        ("insert", {"position": "prepend", "content": TEXT}, model.Prepend),
        ("insert", {"position": "append", "content": TEXT}, model.Append),
        ("replace", {"content": TEXT}, model.Replace),
        ("replace", {"content": TEXT, "scope": "inner"}, model.SetInnerContent),
        ("hide", {}, model.HideByStyle),
        ("hide", {"mode": "attribute"}, model.SetAttribute),
        ("hide", {"mode": "remove"}, model.Remove),
        ("remove", {}, model.Remove),
        ("remove", {"keepContent": True}, model.RemoveAndKeepContent),
    ],
)
def test_a_payload_stands_for_one_operation(kind: str, payload: dict[str, Any], verb: type) -> None:
    file = rules_file({"id": "m", "mutationType": kind, "mutationPayload": {"target": TARGET, **payload}})
    ((operation, path),) = operations_of(file.mutations[0], "$.mutationPayload")
    assert type(operation) is verb
    assert operation.target == model.Target(selector="p")
    assert path == "$.mutationPayload"


@pytest.mark.parametrize(
    ("position", "verb"),
    [
        ("before", model.MoveBefore),
        ("after", model.MoveAfter),
        ("prepend", model.MovePrepend),
        ("append", model.MoveAppend),
    ],
)
def test_a_move_stands_for_the_verb_of_its_position(position: str, verb: type) -> None:
    payload = {"target": TARGET, "position": position, "anchor": {"selector": "h1"}}
    file = rules_file({"id": "m", "mutationType": "move", "mutationPayload": payload})
    ((operation, path),) = operations_of(file.mutations[0], "$")
    assert operation == verb(target=model.Target(selector="p"), anchor=model.Target(selector="h1"))
    assert path == "$"


def test_a_reorder_stands_for_an_order() -> None:
    payload = {"container": TARGET, "order": [{"moduleId": "a"}]}
    file = rules_file({"id": "m", "mutationType": "reorder", "mutationPayload": payload})
    ((operation, _),) = operations_of(file.mutations[0], "$")
    assert operation == model.ReorderChildren(target=model.Target(selector="p"), order=[model.Target(module_id="a")])


def test_a_layout_stands_for_an_order_of_each_region_and_what_is_hidden() -> None:
    regions = {
        "main": {"container": {"selector": "main"}, "modules": ["a", "b"]},
        "side": {"container": {"selector": "aside"}, "modules": ["c"], "hidden": ["d"]},
        "foot": {"container": {"selector": "footer"}, "hidden": ["e"]},
    }
    file = rules_file({"id": "m", "mutationType": "layout", "mutationPayload": {"regions": regions}})
    a, b, c, d, e = (model.Target(module_id=name) for name in "abcde")
    main, side = model.Target(selector="main"), model.Target(selector="aside")
    assert operations_of(file.mutations[0], "$") == [
        (model.ReorderChildren(target=main, order=[a, b], adopt=True, leaving=[c]), "$.regions.main"),
        (model.ReorderChildren(target=side, order=[c], adopt=True, leaving=[a, b]), "$.regions.side"),
        (model.HideByStyle(target=d), "$.regions.side.hidden[0]"),
        (model.HideByStyle(target=e), "$.regions.foot.hidden[0]"),
    ]


def expanded(kind: str, payload: dict[str, Any]) -> list[model.Operation]:
    file = rules_file({"id": "m", "mutationType": kind, "mutationPayload": payload})
    return [operation for operation, _ in operations_of(file.mutations[0], "$.mutationPayload")]


def test_a_theme_stands_for_its_parts_and_each_token_for_itself() -> None:
    theme = {"tokens": {"--a": "1", "--b": "2"}, "classes": ["x"], "stylesheet": "/a.css?b&c", "css": "a{b:'é'}"}
    root, head = model.Target(selector=":root"), model.Target(selector="head")
    link = '<link rel="stylesheet" href="/a.css?b&amp;c" data-layout-mutation>'
    block = "<style data-layout-mutation>a{b:'\\e9 '}</style>"
    assert expanded("theme", theme) == [
        model.SetTokens(target=root, tokens={"--a": "1"}),
        model.SetTokens(target=root, tokens={"--b": "2"}),
        model.AddClass(target=root, names=["x"]),
        model.Append(target=head, content=model.Content(html=link)),
        model.Append(target=head, content=model.Content(html=block)),
    ]


def test_a_call_to_action_stands_for_its_parts() -> None:
    target = model.Target(selector="p")
    parts = {"label": "Buy", "attributes": {"data-a": "b"}, "tracking": {"u": "1"}}
    assert expanded("cta", {"target": TARGET, **parts}) == [
        model.SetText(target=target, content=model.Content(text="Buy")),
        model.SetParameters(target=target, parameters={"u": "1"}),
        model.SetAttribute(target=target, name="data-a", value="b"),
    ]
    assert expanded("cta", {"target": TARGET, "href": "/x?u=0#y", "tracking": {"u": "1"}}) == [
        model.SetAttribute(target=target, name="href", value="/x?u=1#y")
    ]
    assert expanded("cta", {"target": TARGET, "href": "/x"}) == [
        model.SetAttribute(target=target, name="href", value="/x")
    ]


def test_a_redirect_changes_no_page() -> None:
    assert expanded("redirect", {"to": "/x"}) == []


def test_each_part_of_a_payload_has_the_path_of_its_field() -> None:
    parts = {"label": "Buy", "attributes": {"data-a": "b"}, "tracking": {"u": "1"}}
    file = rules_file({"id": "m", "mutationType": "cta", "mutationPayload": {"target": TARGET, **parts}})
    paths = [path for _, path in operations_of(file.mutations[0], "$.p")]
    assert paths == ["$.p.label", "$.p.tracking", "$.p.attributes.data-a"]


def test_placeholders_in_a_style_sheet_are_left_to_be_filled() -> None:
    (operation,) = expanded("theme", {"css": "é{a:{{b|é}}é}"})
    assert isinstance(operation, model.Append)
    assert operation.content.html == "<style data-layout-mutation>\\e9 {a:{{b|é}}\\e9 }</style>"

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

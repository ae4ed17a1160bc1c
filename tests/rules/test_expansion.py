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

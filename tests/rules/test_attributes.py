"""What a declared attribute refuses when it is written."""

from typing import Any

import msgspec
import pytest

from rules.errors import RulesError
from rules.model import decode_rules

TWICE = [{"id": "a", "pageSlug": "/"}, {"id": "a", "pageSlug": "/b"}]


@pytest.mark.parametrize(
    ("attribute", "path", "problem"),
    [
        ({"kind": "derived", "id": "x"}, "", "say where it comes from"),
        ({"kind": "journey", "id": "j", "steps": TWICE}, "", "the ids of `steps` must differ"),
        ({"kind": "journey", "id": "j", "steps": []}, ".steps", "Expected `array` of length >= 1"),
        (
            {"kind": "quiz", "id": "q", "questions": [{"id": "a", "answers": ["x"]}] * 2},
            "",
            "the ids of `questions` must differ",
        ),
        ({"kind": "counter", "id": "a.b"}, ".id", "a name for an attribute"),
        ({"kind": "counter", "id": "n", "max": 0}, ".max", ">= 1"),
        ({"kind": "other", "id": "n"}, ".kind", "journey, quiz, counter, derived"),
    ],
)
def test_what_can_not_be_declared(attribute: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(RulesError) as caught:
        decode_rules(msgspec.json.encode({"attributes": [attribute]}))
    assert problem in caught.value.problem
    assert caught.value.path == f"$.attributes[0]{path}"

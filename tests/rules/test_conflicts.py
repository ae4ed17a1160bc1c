"""Precedence: layer, priority, version, id."""

from typing import Any

import msgspec
import pytest

from rules.conflicts import layer_of, precedence
from rules.model import Layer, decode_mutation
from tests.rules.making import removing


def mutation(identifier: str = "m", **fields: Any) -> Any:
    return decode_mutation(msgspec.json.encode(removing(identifier, **fields)))


@pytest.mark.parametrize(
    ("fields", "layer"),
    [
        ({}, Layer.GLOBAL),
        ({"pageSlug": "/"}, Layer.PAGE),
        ({"layoutId": "home"}, Layer.PAGE),
        ({"moduleId": "hero", "pageSlug": "/"}, Layer.MODULE),
        ({"site": "shop.example"}, Layer.GLOBAL),
        ({"moduleId": "hero", "layer": "global"}, Layer.GLOBAL),
        ({"layer": "micro"}, Layer.MICRO),
    ],
)
def test_a_layer_is_said_or_derived(fields: dict[str, Any], layer: Layer) -> None:
    assert layer_of(mutation(**fields)) is layer


def test_the_order_is_total() -> None:
    expected = [
        mutation("z", layer="micro", priority=-5),
        mutation("y", moduleId="hero"),
        mutation("x", pageSlug="/"),
        mutation("w", priority=2),
        mutation("v", version=3),
        mutation("a"),
        mutation("b"),
    ]
    assert sorted(expected, key=precedence) == expected

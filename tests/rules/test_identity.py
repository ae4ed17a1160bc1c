"""What makes a mutation itself, and what is only said about it."""

from typing import Any

import msgspec
import pytest

from rules.identity import BESIDE, identity_of
from rules.model import LayoutMutation, SetMutation, decode_mutation
from tests.rules.making import removing

ABOUT = {
    "id": "other",
    "version": 7,
    "createdBy": "her",
    "timestamp": "2030-01-01T00:00:00Z",
    "rollbackPointer": 6,
    "name": "Other",
    "note": "why",
    "isActive": False,
    "status": "draft",
}


def mutation(**fields: Any) -> LayoutMutation:
    return decode_mutation(msgspec.json.encode({**removing("m"), **fields}))


ITSELF = identity_of(mutation())


@pytest.mark.parametrize("name", list(ABOUT))
def test_what_is_said_about_it_changes_nothing(name: str) -> None:
    assert identity_of(mutation(**{name: ABOUT[name]})) == ITSELF


def test_every_field_is_either_about_it_or_what_it_does() -> None:
    assert len(ABOUT) == len(BESIDE)
    assert set(SetMutation.__struct_fields__) > BESIDE


@pytest.mark.parametrize(
    "fields",
    [
        {"site": "shop.example"},
        {"layoutId": "home"},
        {"pageSlug": "/offers"},
        {"moduleId": "hero"},
        {"layer": "micro"},
        {"trigger": {"on": "device", "devices": ["mobile"]}},
        {"conditions": {"language": "de"}},
        {"priority": 1},
        {"schedule": {"startsAt": "2030-01-01T00:00:00Z"}},
        {"delivery": "client"},
        {"mutationPayload": {"operations": [{"verb": "remove", "target": {"selector": ".other"}}]}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_it_does_changes_it(fields: dict[str, Any]) -> None:
    assert identity_of(mutation(**fields)) != ITSELF


def test_what_means_the_same_is_the_same() -> None:
    assert identity_of(mutation(layer="global", delivery="edge", site="*", conditions={})) == ITSELF
    one = mutation(conditions={"a": 1, "b": {"$in": [2, 3.5]}})
    assert identity_of(mutation(conditions={"b": {"$in": [2.0, 3.5]}, "a": 1.0})) == identity_of(one)
    assert identity_of(mutation(conditions={"a": 1, "b": {"$in": [3.5, 2]}})) != identity_of(one)


def test_the_order_of_variations_is_kept_since_the_first_is_the_control() -> None:
    def of(*keys: str) -> str:
        payload = {"experimentId": "e", "variations": {key: {} for key in keys}}
        return identity_of(
            decode_mutation(msgspec.json.encode({"id": "m", "mutationType": "variant", "mutationPayload": payload}))
        )

    assert of("a", "b") != of("b", "a")


def test_the_hash_stays_what_it_is() -> None:
    """It is stored: another form of it would take a migration that clears the column."""
    payload = {"operations": [{"verb": "setText", "target": {"selector": "h1"}, "content": {"text": "New"}}]}
    one = decode_mutation(msgspec.json.encode({"id": "m", "mutationType": "set", "mutationPayload": payload}))
    assert identity_of(one) == "83a2446d801a7321a1fc7d07604c9b736b5314205ff8d622d1fa97b52ded5f08"

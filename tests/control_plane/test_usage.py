"""Who needs a document."""

from typing import Any

import msgspec
import pytest

from control_plane.store import Kind
from control_plane.usage import users
from rules.model import decode_rules


def hiding(identifier: str, **more: Any) -> dict[str, Any]:
    return {"id": identifier, "mutationType": "hide", "mutationPayload": {"target": {"selector": "p"}}, **more}


ARMS = [{"key": "a"}, {"key": "b"}]
RULES = decode_rules(
    msgspec.json.encode(
        {
            "mutations": [
                hiding("calm", conditions={"mood": "calm"}),
                hiding("tour", trigger={"on": "journey", "journey": "purchase", "step": "basket"}, moduleId="hero"),
                hiding("enrolled", trigger={"on": "experiment", "experiment": "checkout"}),
                hiding(
                    "away", status="archived", conditions={"views": 3, "city": {"$inGroup": "south"}}, moduleId="old"
                ),
                hiding("broken", trigger={"on": "journey", "journey": "gone", "step": "x"}, conditions={"views": 1}),
                {
                    "id": "filled",
                    "mutationType": "replace",
                    "mutationPayload": {"target": {"selector": "p"}, "content": {"text": "{{taste.sweet|you}}"}},
                },
            ],
            "experiments": [
                {"id": "checkout", "variations": ARMS, "conditions": {"account": {"$inGroup": "staff"}}},
                {"id": "after", "variations": ARMS, "prerequisites": [{"experimentId": "checkout"}]},
            ],
            "modules": [{"id": "hero"}, {"id": "old"}, {"id": "aside"}],
            "segments": [{"id": "keen", "conditions": {"pace": "fast"}}],
            "attributes": [
                {"kind": "derived", "id": "mood", "cases": [{"value": "calm", "conditions": {"pace": "slow"}}]},
                {"kind": "derived", "id": "pace", "otherwise": "slow"},
                {"kind": "counter", "id": "views", "conditions": {"pace": "fast", "city": {"$inGroup": "north"}}},
                {
                    "kind": "journey",
                    "id": "purchase",
                    "steps": [{"id": "basket", "pageSlug": "/basket", "conditions": {"views": {"$gt": 1}}}],
                },
                {"kind": "counter", "id": "early", "conditions": {"early": {"$lt": 3}}},
                {"kind": "quiz", "id": "taste", "questions": [{"id": "sweet", "answers": ["yes", "no"]}]},
            ],
            "savedGroups": [{"id": name, "members": []} for name in ("staff", "north", "south")],
            "toggles": [
                {"id": "no-hero", "moduleId": "aside"},
                {"id": "no-test", "experimentId": "after", "isActive": False},
            ],
        }
    )
)


@pytest.mark.parametrize(
    ("kind", "document_id", "expected"),
    [
        (Kind.ATTRIBUTE, "mood", ["mutation calm"]),
        (Kind.ATTRIBUTE, "pace", ["attribute mood", "attribute views", "segment keen", "mutation calm"]),
        (Kind.ATTRIBUTE, "views", ["attribute purchase"]),
        (Kind.ATTRIBUTE, "purchase", ["mutation tour"]),
        (Kind.ATTRIBUTE, "early", []),
        (Kind.ATTRIBUTE, "taste", ["mutation filled"]),
        (Kind.SAVED_GROUP, "staff", ["experiment checkout"]),
        (Kind.SAVED_GROUP, "north", ["attribute views"]),
        (Kind.SAVED_GROUP, "south", []),
        (Kind.MODULE, "hero", ["mutation tour"]),
        (Kind.MODULE, "aside", ["toggle no-hero"]),
        (Kind.MODULE, "old", []),
        (Kind.EXPERIMENT, "checkout", ["mutation enrolled", "experiment after"]),
        (Kind.EXPERIMENT, "after", ["toggle no-test"]),
        (Kind.SEGMENT, "keen", []),
    ],
)
def test_those_who_name_or_read_it(kind: Kind, document_id: str, expected: list[str]) -> None:
    assert [f"{user} {name}" for user, name in users(kind, document_id, RULES)] == expected


def test_where_nothing_compiles_an_attribute_is_in_nobodys_way() -> None:
    taken = [*RULES.attributes, msgspec.structs.replace(RULES.attributes[1], id="path")]
    rules = msgspec.structs.replace(RULES, attributes=taken)
    assert list(users(Kind.ATTRIBUTE, "pace", rules)) == []

"""Who needs a document."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane import codec, usage
from control_plane.company import MEMBERS
from control_plane.store import Kind, Stored, StoredVersion
from control_plane.store.local import LocalStore
from control_plane.usage import user_of, users
from rules.model import decode_rules
from tests.control_plane.plane import CHAIN
from tests.control_plane.store.outages import NOW


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


class Counted(LocalStore):
    """Says how many mutations were read."""

    read = 0

    async def containing(self, text: str, after: str, limit: int) -> list[Stored]:
        found = await super().containing(text, after, limit)
        self.read += len(found)
        return found

    async def everything(self, kind: Kind) -> list[Stored]:
        assert kind is not Kind.MUTATION, "that many may be too many"
        return await super().everything(kind)


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[Counted]:
    """All of the rules, and a mutation that reads an attribute by way of a module's template."""
    made = Counted(tmp_path / "store.db", chain=CHAIN)
    await made.open()
    by_template = decode_rules(
        msgspec.json.encode(
            {
                "modules": [{"id": "card", "template": "<p>{{strolls|some}}</p>"}],
                "attributes": [{"kind": "counter", "id": "strolls"}],
                "mutations": [
                    {
                        "id": "carded",
                        "mutationType": "replace",
                        "mutationPayload": {"target": {"selector": "p"}, "content": {"component": "card"}},
                    }
                ],
            }
        )
    )
    async with made.transaction() as transaction:
        for rules in (RULES, by_template):
            for kind, name in MEMBERS.items():
                for document in getattr(rules, name):
                    content = codec.encode(document)
                    one = StoredVersion(version=1, content=content, action="created", actor="me", reason="", at=NOW)
                    await transaction.put(kind, document.id, one)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("kind", "document_id", "expected", "read_max"),
    [
        (Kind.MODULE, "hero", (Kind.MUTATION, "tour"), 1),
        (Kind.MODULE, "aside", (Kind.TOGGLE, "no-hero"), 0),
        (Kind.MODULE, "old", None, 0),
        (Kind.EXPERIMENT, "after", (Kind.TOGGLE, "no-test"), 0),
        (Kind.EXPERIMENT, "nothing", None, 0),
        (Kind.ATTRIBUTE, "taste", (Kind.MUTATION, "filled"), 1),
        (Kind.ATTRIBUTE, "strolls", (Kind.MUTATION, "carded"), 1),
        (Kind.ATTRIBUTE, "pace", (Kind.ATTRIBUTE, "mood"), 0),
        (Kind.ATTRIBUTE, "early", None, 0),
        (Kind.SAVED_GROUP, "south", None, 0),
    ],
)
async def test_of_the_mutations_only_those_are_read_that_may_need_it(
    kind: Kind, document_id: str, expected: object, read_max: int, stored: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MUTATIONS_AT_ONCE", 1)
    assert await user_of(kind, document_id, stored) == expected
    assert stored.read <= read_max

"""Attributes that follow from others."""

from typing import Any

import pytest

from rules import limits
from rules.context import Context
from rules.decision import decide
from rules.derivation import compile_derivation
from rules.errors import RulesError
from rules.reasons import Reason
from rules.targeting import NO_GROUPS
from tests.rules.making import experiment, removing, table, variant

ARCHETYPE = {
    "kind": "derived",
    "id": "archetype",
    "givenBy": "page.archetype",
    "cases": [
        {"value": "hurried", "conditions": {"pace": "fast"}},
        {"value": "reader", "conditions": {"language": "de"}},
    ],
    "otherwise": "guest",
}
PACE = {"kind": "derived", "id": "pace", "cases": [{"value": "fast", "conditions": {"device": {"$inGroup": "small"}}}]}
SMALL = {"id": "small", "members": ["mobile", "tablet"]}


def archetype(attributes: dict[str, Any]) -> str:
    """What the visit's archetype is, by asking for each."""
    words = ("hurried", "reader", "guest", "keeper", "none")
    rules = table(
        *(removing(word, conditions={"archetype": word}) for word in words),
        attributes=[ARCHETYPE, PACE],
        savedGroups=[SMALL],
    )
    decision = decide(rules, Context(site="a.example", path="/", attributes=attributes))
    [found] = [one.mutation_id for one in decision.outcomes if one.reason is Reason.APPLIED]
    return found


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "guest"),
        ({"language": "de"}, "reader"),
        ({"language": "de", "device": "mobile"}, "hurried"),
        ({"language": "de", "page": {"archetype": "keeper"}}, "keeper"),
        ({"language": "de", "page": {"archetype": 5}}, "reader"),
        ({"language": "de", "archetype": "none"}, "none"),
        ({"device": "mobile", "pace": "slow"}, "guest"),
    ],
)
def test_the_site_says_it_or_the_first_case_that_holds(attributes: dict[str, Any], expected: str) -> None:
    assert archetype(attributes) == expected


def test_what_it_follows_from_counts_as_read() -> None:
    rules = table(removing("m", conditions={"archetype": "x"}), attributes=[ARCHETYPE, PACE], savedGroups=[SMALL])
    decision = decide(rules, Context(site="a.example", path="/"))
    assert decision.reads == {"archetype", "page", "pace", "language", "device"}
    assert decision.private


def test_what_follows_from_the_page_alone_is_the_pages() -> None:
    mood = {
        "kind": "derived",
        "id": "mood",
        "givenBy": "page.mood",
        "cases": [{"value": "a", "conditions": {"slug": "a"}}],
    }
    second = {"kind": "derived", "id": "second", "cases": [{"value": "b", "conditions": {"mood": "a"}}]}
    visitors = {
        "kind": "derived",
        "id": "third",
        "cases": [{"value": "b", "conditions": {"second": "b", "device": "tv"}}],
    }
    seen = Context(site="shop.example", path="/a", attributes={"slug": "a"})
    for read, private in (("mood", False), ("second", False), ("third", True), ("undeclared", True)):
        rules = table(removing("m", conditions={read: "b"}), attributes=[mood, second, visitors])
        assert decide(rules, seen).private is private, read


def test_nothing_is_worked_out_that_no_rule_reads() -> None:
    rules = table(removing("m"), attributes=[ARCHETYPE, PACE], savedGroups=[SMALL])
    decision = decide(rules, Context(site="a.example", path="/"))
    assert decision.reads == frozenset()
    assert not decision.private


def test_segments_triggers_experiments_and_placeholders_read_them_too() -> None:
    filled = {
        "id": "f",
        "mutationType": "insert",
        "mutationPayload": {
            "target": {"selector": "h1"},
            "position": "after",
            "content": {"text": "for a {{archetype|person}}"},
        },
    }
    rules = table(
        removing("s", trigger={"on": "segment", "segment": "guests"}),
        removing("e", trigger={"on": "emotion", "emotions": ["calm"]}),
        variant("v"),
        filled,
        attributes=[ARCHETYPE, PACE, {"kind": "derived", "id": "emotion", "otherwise": "calm"}],
        savedGroups=[SMALL],
        segments=[{"id": "guests", "conditions": {"archetype": "guest"}}],
        experiments=[experiment(conditions={"archetype": "guest"})],
    )
    decision = decide(rules, Context(site="a.example", path="/", attributes={"lm_uid": "u"}))
    assert {one.reason for one in decision.outcomes} <= {Reason.APPLIED, Reason.CONTROL}
    [group] = [group for group in decision.groups if group.mutation_id == "f"]
    assert "for a guest" in str(group.operations)


@pytest.mark.parametrize(
    ("attributes", "path", "problem"),
    [
        ([{"kind": "derived", "id": "x"}], "$.attributes[0]", "say where it comes from"),
        (
            [{"kind": "derived", "id": "host", "otherwise": "a"}],
            "$.attributes[0].id",
            "there is an attribute 'host' already",
        ),
        ([PACE, PACE], "$.attributes[1].id", "there is an attribute 'pace' already"),
        (
            [{"kind": "derived", "id": "x", "cases": [{"value": "a", "conditions": {"a": {"$x": 1}}}]}],
            "$.attributes[0].cases[0].conditions.a.$x",
            "unknown operator",
        ),
        (
            [
                {"kind": "derived", "id": "z", "givenBy": "a"},
                {"kind": "derived", "id": "a", "givenBy": "b.c"},
                {"kind": "derived", "id": "b", "cases": [{"value": "q", "conditions": {"a": "r"}}]},
            ],
            "$.attributes[1]",
            "in a circle: a reads b reads a",
        ),
        (
            [{"kind": "journey", "id": "j", "steps": [{"id": "a", "pageSlug": "/"}, {"id": "a", "pageSlug": "/b"}]}],
            "$.attributes[0]",
            "the ids of `steps` must differ",
        ),
    ],
)
def test_what_can_not_be_declared(attributes: list[dict[str, Any]], path: str, problem: str) -> None:
    with pytest.raises(RulesError) as caught:
        table(attributes=attributes, savedGroups=[SMALL])
    assert problem in caught.value.problem
    assert caught.value.path == path


def test_a_long_chain_is_worked_out_in_its_order() -> None:
    chain = [{"kind": "derived", "id": f"a{n}", "givenBy": f"a{n + 1}"} for n in range(99)]
    rules = table(removing("m", conditions={"a0": "deep"}), attributes=chain)
    assert decide(rules, Context(site="a.example", path="/", attributes={"a99": "deep"})).groups


def test_more_attributes_than_visits_can_carry_are_refused() -> None:
    many = [
        {"kind": "derived", "id": f"a{number}", "otherwise": "x"} for number in range(limits.ATTRIBUTES_DECLARED_MAX)
    ]
    declared = list(table(attributes=many).rules.attributes)
    compile_derivation(declared, NO_GROUPS, "$.attributes")
    with pytest.raises(RulesError, match="at most 100 attributes are declared") as caught:
        compile_derivation([*declared, declared[0]], NO_GROUPS, "$.attributes")
    assert caught.value.path == "$.attributes"

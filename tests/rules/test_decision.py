"""What applies to a visit, and why the rest does not."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from rules.bucketing import hash_unit
from rules.context import PAGE_ATTRIBUTES
from rules.decision import NOTHING, decide
from rules.group import Group
from rules.reasons import Reason
from tests.rules.making import NOW, experiment, redirecting, removing, table, variant, visit


def reason_of(mutation: dict[str, Any], **fields: Any) -> Reason | None:
    others: dict[str, Any] = {
        "modules": [{"id": "hero"}, {"id": "off", "isActive": False}],
        "experiments": [experiment()],
    }
    decision = decide(table(mutation, **others), visit(**fields))
    return decision.outcomes[0].reason if decision.outcomes else None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, Reason.APPLIED),
        ({"site": "*.test"}, None),
        ({"pageSlug": "/a"}, None),
        ({"layoutId": "home"}, Reason.OTHER_LAYOUT),
        ({"isActive": False}, Reason.INACTIVE),
        ({"status": "paused"}, Reason.INACTIVE),
        ({"status": "experimental"}, Reason.APPLIED),
        ({"moduleId": "off"}, Reason.SWITCHED_OFF),
        ({"schedule": {"startsAt": (NOW + timedelta(1)).isoformat()}}, Reason.SCHEDULE),
        ({"conditions": {"language": "de"}}, Reason.CONDITIONS),
    ],
)
def test_a_reason_for_each_refusal(fields: dict[str, Any], reason: Reason | None) -> None:
    assert reason_of(removing("m", **fields)) is reason


def test_switches_of_a_visit() -> None:
    mutation = removing("m", moduleId="hero")
    assert reason_of(mutation, disabled=frozenset({"hero"})) is Reason.SWITCHED_OFF
    assert reason_of(mutation, disabled=frozenset({"*"})) is Reason.SWITCHED_OFF
    assert reason_of(mutation, disabled=frozenset({"cta"})) is Reason.APPLIED
    assert reason_of(mutation, only=frozenset({"cta"})) is Reason.SWITCHED_OFF
    assert reason_of(mutation, only=frozenset({"hero"})) is Reason.APPLIED


def test_an_experiment_splits_visits_by_weight() -> None:
    split = experiment(variations=[{"key": "control", "weight": 1}, {"key": "new", "weight": 3}], coverage=0.8)
    found = table(variant("v"), experiments=[split])
    told = Counter(
        decide(found, visit(attributes={"lm_uid": f"user{number}"})).outcomes[0].reason for number in range(4_000)
    )
    assert told[Reason.CONTROL] == pytest.approx(800, rel=0.15)
    assert told[Reason.APPLIED] == pytest.approx(2_400, rel=0.1)
    assert told[Reason.NOT_IN_EXPERIMENT] == pytest.approx(800, rel=0.15)


@pytest.mark.parametrize("hash_version", [1, 2])
def test_the_seed_decides_and_without_one_the_id(hash_version: int) -> None:
    seeded = table(variant("v"), experiments=[experiment(seed="fixed", hashVersion=hash_version)])
    plain = table(variant("v"), experiments=[experiment(hashVersion=hash_version)])
    for number in range(100):
        unit = f"user{number}"
        for found, seed in ((seeded, "fixed"), (plain, "e")):
            position = hash_unit(seed, unit, hash_version)
            assert position is not None
            key = "control" if position < 0.5 else "new"
            assert decide(found, visit(attributes={"lm_uid": unit})).assignments == {"e": key}


def test_two_mutations_of_one_experiment_agree() -> None:
    found = table(variant("a"), variant("b", pageSlug="/"), experiments=[experiment()])
    for number in range(50):
        decision = decide(found, visit(attributes={"lm_uid": str(number)}))
        assert len(decision.groups) in (0, 2)
        assert set(decision.assignments) == {"e"}


def test_a_forced_variation_needs_no_unit() -> None:
    found = table(variant("v"), experiments=[experiment(isActive=False)])
    assert decide(found, visit(forced={"e": "new"})).assignments == {"e": "new"}
    assert decide(found, visit(forced={"e": "no such"})).assignments == {}


@pytest.mark.parametrize("unit", [None, "", True, 1.5, [], {}])
def test_without_a_unit_nobody_is_assigned(unit: Any) -> None:
    decision = decide(table(variant("v"), experiments=[experiment()]), visit(attributes={"lm_uid": unit}))
    assert decision.outcomes[0].reason is Reason.NOT_IN_EXPERIMENT
    assert decision.units == {"lm_uid"}
    assert decision.assignments == {}


def test_experiments_in_one_namespace_never_meet() -> None:
    found = table(
        variant("a", "first"),
        variant("b", "second"),
        experiments=[
            experiment("first", namespace={"id": "n", "from": 0, "to": 0.5}),
            experiment("second", namespace={"id": "n", "from": 0.5, "to": 1}),
        ],
    )
    for number in range(200):
        assert len(decide(found, visit(attributes={"lm_uid": str(number)})).assignments) == 1


def test_reading_the_visitor_makes_a_response_private() -> None:
    page = table(removing("m", conditions={"path": "/", "query.utm": "x"}))
    assert not decide(page, visit()).private
    visitor = table(removing("m", conditions={"path": "/", "language": "de"}))
    decision = decide(visitor, visit())
    assert decision.private
    assert decision.groups == ()
    assert decision.reads - PAGE_ATTRIBUTES == {"language"}


def test_rules_of_other_pages_are_not_read() -> None:
    found = table(removing("m", pageSlug="/a", conditions={"language": "de"}))
    assert decide(found, visit("/b")) == NOTHING


def test_the_key_follows_from_the_groups_alone() -> None:
    one, other = table(removing("m")), table(removing("m"), removing("n", pageSlug="/n"), version=2)
    assert decide(one, visit()).key == decide(other, visit()).key != ""
    assert decide(table(removing("m", "p")), visit()).key != decide(one, visit()).key
    assert decide(table(removing("m", isActive=False)), visit()).key == ""


def writing(value: str, **fields: Any) -> dict[str, Any]:
    """A mutation that writes a text with placeholders."""
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": value}}
    return {"id": "w", "mutationType": "set", "mutationPayload": {"operations": [operation]}, **fields}


def test_equal_fillings_have_equal_keys_and_others_have_others() -> None:
    found = table(writing("{{a|x}}{{b}}"))
    keys = {name: decide(found, visit(attributes=attributes)).key for name, attributes in FILLINGS.items()}
    assert keys["fallback"] == keys["empty"] == keys["same"] == keys["other attributes"]
    assert len({keys["fallback"], keys["ab"], keys["one blank further"], keys["number"]}) == 4
    assert decide(table(writing("{{a|x}} {{b}}")), visit()).key != keys["fallback"]


FILLINGS: dict[str, dict[str, Any]] = {
    "fallback": {},
    "empty": {"a": "", "b": None},
    "same": {"a": "x"},
    "other attributes": {"c": "y"},
    "ab": {"a": "ab", "b": "c"},
    "one blank further": {"a": "a", "b": "bc"},
    "number": {"a": 1},
}


def test_what_is_filled_in_is_read() -> None:
    page = decide(table(writing("{{query.utm_source}}")), visit())
    assert page.reads == {"query"}
    assert not page.private
    visitor = decide(table(writing("{{name}}", conditions={"path": "/elsewhere"})), visit())
    assert visitor.reads == {"name", "path"}
    assert visitor.private
    assert visitor.groups == ()


def test_a_group_without_placeholders_is_the_tables_own() -> None:
    found = table(writing("plain"))
    assert decide(found, visit()).groups[0] is found.rows[0].group
    filled = decide(table(writing("{{a}}")), visit(attributes={"a": "<b>"})).groups[0]
    assert type(filled) is Group
    assert filled.operations[0].content.text == "<b>"  # type: ignore[union-attr]


def emotions(**payload: Any) -> dict[str, Any]:
    """An emotion map with two cases, one of which changes nothing."""
    joy = writing("{{name|you}}")["mutationPayload"]
    return {"id": "e", "mutationType": "emotionMap", "mutationPayload": {"cases": {"joy": joy, "calm": {}}, **payload}}


@pytest.mark.parametrize(
    ("attributes", "reason", "detail"),
    [
        ({"emotion": "joy"}, Reason.APPLIED, "emotion=joy"),
        ({"emotion": "calm"}, Reason.NO_CHANGE, "emotion=calm"),
        ({"emotion": "rage"}, Reason.CONDITIONS, "emotion=rage; cases: joy, calm"),
        ({}, Reason.CONDITIONS, "the visit has no emotion; cases: joy, calm"),
        ({"emotion": ["joy"]}, Reason.CONDITIONS, "the visit has no emotion; cases: joy, calm"),
    ],
)
def test_an_emotion_chooses_the_case(attributes: dict[str, Any], reason: Reason, detail: str) -> None:
    decision = decide(table(emotions()), visit(attributes=attributes))
    assert [(outcome.reason, outcome.detail) for outcome in decision.outcomes] == [(reason, detail)]
    assert len(decision.groups) == (reason is Reason.APPLIED)
    assert decision.reads == {"emotion", "name"}
    assert decision.private


def test_otherwise_is_for_all_others() -> None:
    found = table(emotions(attribute="query.mood", otherwise=writing("other")["mutationPayload"]))
    told = {mood: decide(found, visit(attributes={"query": {"mood": mood}})).outcomes[0] for mood in ("joy", "rage")}
    assert told["joy"].detail == "query.mood=joy"
    assert (told["rage"].reason, told["rage"].detail) == (Reason.APPLIED, "query.mood=rage, otherwise")
    assert decide(found, visit()).outcomes[0].detail == "the visit has no query.mood, otherwise"
    assert decide(table(emotions(otherwise={})), visit()).outcomes[0].reason is Reason.CONDITIONS


# -- redirects


def told(*mutations: dict[str, Any], redirects: bool = True, **fields: Any) -> tuple[str | None, list[str]]:
    """Where the visit is sent, and `id: reason` of each mutation."""
    decision = decide(table(*mutations, experiments=[experiment()]), visit(**fields), redirects=redirects)
    assert not (decision.redirect and decision.groups)
    outcomes = [f"{outcome.mutation_id}: {outcome.reason}" for outcome in decision.outcomes]
    return decision.redirect.location if decision.redirect else None, outcomes


def test_a_redirect_goes_before_all_that_changes_the_page() -> None:
    high, low = removing("a", layer="micro"), redirecting("r")
    decision = decide(table(high, low, removing("z", isActive=False)), visit("/old"))
    assert decision.redirect is not None
    assert (decision.redirect.mutation_id, decision.redirect.location, decision.redirect.status) == ("r", "/new", 302)
    assert decision.applies
    assert not decision.groups
    assert [(one.mutation_id, one.reason, one.detail) for one in decision.outcomes] == [
        ("a", Reason.SHADOWED, "redirected by r"),
        ("r", Reason.APPLIED, "redirects to /new"),
        ("z", Reason.INACTIVE, "isActive False, status active"),
    ]


def test_the_highest_redirect_that_leads_elsewhere_wins() -> None:
    first, second, third = (redirecting(name, f"/{name}", priority=-number) for number, name in enumerate("abc"))
    assert told(first, second, third, path="/") == ("/a", ["a: applied", "b: shadowed", "c: shadowed"])
    assert told(first, second, third, path="/a") == ("/b", ["a: loop", "b: applied", "c: shadowed"])
    elsewhere = redirecting("a", "/a", conditions={"language": "de"})
    assert told(elsewhere, second, path="/") == ("/b", ["a: conditions", "b: applied"])


def test_a_page_that_is_redirected_to_itself_is_changed_as_always() -> None:
    decision = decide(table(redirecting("r"), removing("a")), visit("/new"))
    assert [outcome.reason for outcome in decision.outcomes] == [Reason.APPLIED, Reason.LOOP]
    assert [group.mutation_id for group in decision.groups] == ["a"]
    assert decision.key == decide(table(removing("a")), visit("/new")).key


def test_the_query_of_a_visit_is_part_of_its_address() -> None:
    at = {"url": "https://shop.example/new?a=1"}
    assert told(redirecting("r"), path="/new", attributes=at)[0] == "/new"
    assert told(redirecting("r", keepQuery=True), path="/new", attributes=at) == (None, ["r: loop"])
    assert told(redirecting("r", keepQuery=True), path="/old", attributes=at)[0] == "/new?a=1"


def test_a_visit_that_brings_something_is_not_redirected() -> None:
    assert told(redirecting("r"), removing("a"), redirects=False) == (None, ["a: applied", "r: method"])


@pytest.mark.parametrize(
    ("beside", "lasts"),
    [
        ([], True),
        ([removing("a")], True),
        ([removing("a", conditions={"path": "/x"})], True),
        ([removing("a", conditions={"language": "de"})], False),
        ([removing("a", schedule={"startsAt": "2030-01-01T00:00:00Z"})], False),
        ([redirecting("a", "/other", schedule={"startsAt": "2030-01-01T00:00:00Z"}, priority=1)], False),
        ([variant("a")], False),
        ([removing("a", pageSlug="/elsewhere", conditions={"language": "de"})], True),
    ],
)
def test_a_redirect_lasts_where_every_visit_gets_it_at_any_time(beside: list[dict[str, Any]], lasts: bool) -> None:
    decision = decide(table(redirecting("r", status=301), *beside, experiments=[experiment()]), visit("/old"))
    assert decision.redirect is not None
    assert decision.redirect.lasts is lasts


def test_the_key_of_a_redirect_is_nobody_elses() -> None:
    keys = [
        decide(table(*mutations), visit("/old")).key
        for mutations in (
            [redirecting("r")],
            [redirecting("r", "/newer")],
            [redirecting("r", status=307)],
            [removing("r")],
            [removing("a"), redirecting("r", isActive=False)],
        )
    ]
    assert len({*keys, ""}) == 6
    assert decide(table(redirecting("other"), removing("a")), visit("/old")).key == keys[0]


def test_switches_hold_for_redirects() -> None:
    hero = redirecting("r", moduleId="hero")
    assert told(hero, disabled=frozenset({"hero"})) == (None, ["r: switched_off"])
    assert told(redirecting("r"), only=frozenset({"hero"})) == (None, ["r: switched_off"])


UNITS = [f"u{number}" for number in range(40)]


def trials(unit: str | None, one: dict[str, Any], attributes: dict[str, Any] | None = None, **fields: Any) -> list[Any]:
    """(mutation, variation, changes) for each trial of a visit that this mutation makes in the experiment `e`."""
    known = {"lm_uid": unit} | (attributes or {})
    found = decide(table(one, experiments=[experiment()]), visit(attributes=known, **fields)).trials
    assert {(trial.experiment_id, trial.attribute, trial.unit) for trial in found} <= {("e", "lm_uid", unit)}
    return [(trial.mutation_id, trial.variation, trial.changes) for trial in found]


def for_new(one: dict[str, Any]) -> dict[str, Any]:
    """The mutation, for those in the variation `new` alone."""
    return {**one, "trigger": {"on": "experiment", "experiment": "e", "variations": ["new"]}}


@pytest.mark.parametrize("one", [variant("m"), for_new(removing("m"))], ids=["variant", "trigger"])
def test_every_unit_that_comes_by_has_a_trial_whatever_it_gets(one: dict[str, Any]) -> None:
    found = [trials(unit, one) for unit in UNITS]
    assert {tuple(each) for each in found} == {(("m", "control", False),), (("m", "new", True),)}


@pytest.mark.parametrize("one", [variant("m"), for_new(removing("m"))], ids=["variant", "trigger"])
def test_who_could_not_get_the_mutation_has_no_trial_in_any_variation(one: dict[str, Any]) -> None:
    german = {**one, "conditions": {"language": "de"}}
    for unit in UNITS:
        assert trials(unit, german, {"language": "fr"}) == []
        assert len(trials(unit, german, {"language": "de"})) == 1
        assert trials(unit, {**one, "isActive": False}) == []
        assert trials(unit, {**one, "layoutId": "other"}) == []


def test_a_case_that_the_visit_does_not_have_is_no_trial() -> None:
    for unit in UNITS:
        assert len(trials(unit, for_new(emotions()), {"emotion": "joy"})) == 1
        assert len(trials(unit, for_new(emotions()), {"emotion": "calm"})) == 1
        assert trials(unit, for_new(emotions()), {"emotion": "rage"}) == []


def test_nothing_is_tried_on_what_is_forced_or_has_no_unit() -> None:
    for one in (variant("m"), for_new(removing("m"))):
        assert trials("u", one, forced={"e": "new"}) == []
        assert trials(None, one) == []


def test_a_trial_names_the_unit_that_was_bucketed() -> None:
    found = table(variant("m"), experiments=[experiment(unit="account", fallbackUnit="lm_uid")])
    for known, pair in (({"account": 17, "lm_uid": "u"}, ("account", "17")), ({"lm_uid": "u"}, ("lm_uid", "u"))):
        (trial,) = decide(found, visit(attributes=known)).trials
        assert (trial.attribute, trial.unit) == pair

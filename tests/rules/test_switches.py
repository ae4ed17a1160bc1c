"""Toggles of a table and words of a request: what they switch off, what they say, and what they leave alone."""

from typing import Any

import msgspec
import pytest

from rules.decision import decide
from rules.errors import RulesError
from rules.reasons import Reason
from rules.sealing import seal, unseal
from rules.table import DecisionTable
from tests.rules.making import experiment, redirecting, removing, table, variant, visit

MUTATIONS = [
    removing("everywhere"),
    removing("offers", pageSlug="/offers/*"),
    removing("hero", moduleId="hero"),
    removing("small", layer="micro"),
    variant("varied"),
    removing("triggered", trigger={"on": "experiment", "experiment": "e"}),
    redirecting("leading", page="/old"),
]
EXPERIMENTS = [experiment(), experiment("after", prerequisites=[{"experimentId": "e"}])]
AT_OFFERS: dict[str, Any] = {"path": "/offers/tea", "attributes": {"lm_uid": "u1"}}


def toggled(*toggles: dict[str, Any], late: bool = False) -> DecisionTable:
    """A table with these toggles; `late`: its rows are compiled when a visit meets them."""
    given = [{"id": f"t{number}", **toggle} for number, toggle in enumerate(toggles)]
    made = table(*MUTATIONS, experiments=EXPERIMENTS, modules=[{"id": "hero"}], toggles=given)
    if not late:
        return made
    vouched = table(*MUTATIONS, experiments=EXPERIMENTS, modules=[{"id": "hero"}], toggles=given)
    vouched.engine = "this engine"
    return unseal(seal(vouched, key_id="k", sign=lambda _: b""), verify=lambda *_: True, engine="this engine")


def off(rules: DecisionTable, **fields: Any) -> dict[str, str]:
    """Mutations that are switched off for a visit -> why."""
    decision = decide(rules, visit(**AT_OFFERS | fields))
    return {one.mutation_id: one.detail for one in decision.outcomes if one.reason is Reason.SWITCHED_OFF}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("toggle", "names"),
    [
        ({"moduleId": "hero"}, {"hero"}),
        ({"moduleId": "unregistered"}, set()),
        ({"mutationId": "offers"}, {"offers"}),
        ({"mutationId": "gone"}, set()),
        ({"layer": "micro"}, {"small"}),
        ({"layer": "page"}, {"offers"}),
        ({"layer": "global"}, {"everywhere", "varied", "triggered"}),
        ({"layer": "global", "experimentId": "e"}, {"varied", "triggered"}),
        ({"mutationId": "varied", "experimentId": "e"}, {"varied"}),
        ({"mutationId": "everywhere", "experimentId": "e"}, set()),
        ({"mutationId": "hero", "layer": "micro"}, set()),
        ({"mutationId": "offers", "moduleId": "hero"}, set()),
        ({"mutationId": "hero", "moduleId": "other"}, set()),
        ({"mutationId": "hero", "moduleId": "hero", "layer": "module"}, {"hero"}),
        ({"pageSlug": "/offers/**"}, {"everywhere", "offers", "hero", "small", "varied", "triggered"}),
        ({"pageSlug": "/basket"}, set()),
        ({"pageSlug": "/offers/*", "moduleId": "hero"}, {"hero"}),
        ({"pageSlug": "/basket", "moduleId": "hero"}, set()),
        ({"site": "*.example", "layer": "micro"}, {"small"}),
        ({"site": "other.test", "layer": "micro"}, set()),
        ({"moduleId": "hero", "isActive": False}, set()),
    ],
)
def test_what_a_toggle_switches_off(toggle: dict[str, Any], names: set[str], late: bool) -> None:
    assert off(toggled(toggle, late=late)) == dict.fromkeys(names, "toggle t0")


def test_another_page_keeps_what_is_off_on_one() -> None:
    rules = toggled({"pageSlug": "/offers/**"})
    assert off(rules, path="/basket") == {}
    assert decide(rules, visit("/offers/tea")).groups == ()
    assert decide(rules, visit("/basket")).groups != ()


def test_a_redirect_can_be_switched_off() -> None:
    assert decide(toggled(), visit("/old")).redirect is not None
    assert decide(toggled({"pageSlug": "/old"}), visit("/old")).redirect is None
    assert decide(toggled({"mutationId": "leading"}), visit("/old")).redirect is None


def test_the_first_id_is_named_whatever_the_order() -> None:
    toggles = [{"id": "b", "moduleId": "hero"}, {"id": "a", "layer": "module"}, {"id": "c", "mutationId": "hero"}]
    for given in (toggles, toggles[::-1]):
        assert off(toggled(*given)) == {"hero": "toggle a"}
        placed = [{**toggle, "pageSlug": "/offers/*"} for toggle in given]
        assert off(toggled(*placed)) == {"hero": "toggle a"}


def test_what_varies_by_one_experiment_and_waits_for_another_is_of_both() -> None:
    both = variant("both", trigger={"on": "experiment", "experiment": "other"})
    for named in ("e", "other"):
        rules = table(
            both,
            experiments=[experiment(), experiment("other")],
            toggles=[{"id": "t", "layer": "global", "experimentId": named}],
        )
        assert off(rules) == {"both": "toggle t"}


def test_an_experiment_of_which_a_part_is_off_goes_on_and_the_first_id_says_why_all_of_it_is() -> None:
    for part in ({"moduleId": "hero"}, {"layer": "micro"}, {"mutationId": "varied"}):
        decision = decide(toggled({"experimentId": "e", **part}), visit(**AT_OFFERS))
        assert decision.assignments != {}, part
    for order in ("ab", "ba"):
        rules = toggled(*({"id": one, "experimentId": "e"} for one in order))
        told = {one.mutation_id: one.detail for one in decide(rules, visit(**AT_OFFERS)).outcomes}
        assert told["varied"] == "e: inactive, toggle a"


def test_nobody_is_enrolled_in_an_experiment_that_is_off() -> None:
    for toggle in ({"experimentId": "e"}, {"experimentId": "e", "pageSlug": "/offers/*"}):
        decision = decide(toggled(toggle), visit(**AT_OFFERS))
        told = {one.mutation_id: (one.reason, one.detail) for one in decision.outcomes}
        assert told["varied"] == (Reason.NOT_IN_EXPERIMENT, "e: inactive, toggle t0")
        assert told["triggered"] == (Reason.TRIGGER, "e: inactive, toggle t0")
        assert (decision.assignments, decision.units, decision.remember) == ({}, frozenset(), {})
    assert decide(toggled(toggle), visit("/basket", attributes={"lm_uid": "u1"})).assignments != {}


@pytest.mark.parametrize("word", ["e", "module:e", "mutation:e"])
def test_a_module_of_the_same_name_is_no_experiment(word: str) -> None:
    assert decide(toggled(), visit(**AT_OFFERS, disabled=frozenset({word}))).assignments != {}
    assert decide(toggled(), visit(**AT_OFFERS, disabled=frozenset({"experiment:e"}))).assignments == {}


def test_an_experiment_that_requires_one_that_is_off_enrols_nobody() -> None:
    rules = table(
        variant("v", "after"), experiments=EXPERIMENTS, toggles=[{"id": "t", "experimentId": "e", "site": "*.example"}]
    )
    (outcome,) = decide(rules, visit(attributes={"lm_uid": "u1"})).outcomes
    assert outcome.detail == "after: prerequisite, e=inactive"


def test_what_an_operator_forces_goes_before_a_toggle() -> None:
    rules = toggled({"experimentId": "e"})
    decision = decide(rules, visit(**AT_OFFERS, forced={"e": "new"}))
    assert decision.assignments == {"e": "new"}
    assert {group.mutation_id for group in decision.groups} >= {"varied", "triggered"}
    by_request = decide(toggled(), visit(**AT_OFFERS, forced={"e": "new"}, disabled=frozenset({"experiment:e"})))
    assert by_request.assignments == {"e": "new"}


def test_what_is_remembered_waits_until_the_toggle_is_gone() -> None:
    remembering: dict[str, Any] = {**AT_OFFERS, "assigned": {"e__0": "new"}}
    assert decide(toggled({"experimentId": "e"}), visit(**remembering)).assignments == {}
    assert decide(toggled(), visit(**remembering)).assignments == {"e": "new"}


def test_what_is_off_reads_nothing() -> None:
    rules = table(
        removing("m", conditions={"language": "de"}), toggles=[{"id": "t", "mutationId": "m", "site": "a.test"}]
    )
    assert decide(rules, visit(site="a.test")).reads == frozenset()
    assert decide(rules, visit()).reads == frozenset({"language"})


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("hero", {"hero"}),
        ("module:hero", {"hero"}),
        ("mutation:offers", {"offers"}),
        ("layer:micro", {"small"}),
        ("page:/offers/**", {"everywhere", "offers", "hero", "small", "varied", "triggered"}),
        ("page:/basket", set()),
        ("*", {"everywhere", "offers", "hero", "small", "varied", "triggered"}),
        ("layre:micro", set()),
        ("layer:macro", set()),
        ("experiment:e", set()),
    ],
)
def test_what_a_word_switches_off(word: str, names: set[str]) -> None:
    assert off(toggled(), disabled=frozenset({word})) == dict.fromkeys(names, f"by request: {word}")


def test_an_experiment_switched_off_by_request_enrols_nobody() -> None:
    decision = decide(toggled(), visit(**AT_OFFERS, disabled=frozenset({"experiment:e"})))
    told = {one.mutation_id: (one.reason, one.detail) for one in decision.outcomes}
    assert told["varied"] == (Reason.NOT_IN_EXPERIMENT, "e: inactive, by request: experiment:e")
    assert told["triggered"] == (Reason.TRIGGER, "e: inactive, by request: experiment:e")


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["hero"], {"hero"}),
        (["layer:micro", "mutation:offers"], {"small", "offers"}),
        (["experiment:e"], {"varied", "triggered"}),
        (["page:/offers/*"], {"everywhere", "offers", "hero", "small", "varied", "triggered"}),
        (["page:/basket"], set()),
        (["*"], {"everywhere", "offers", "hero", "small", "varied", "triggered"}),
        (["layre:micro"], set()),
        ([], set()),
    ],
)
def test_only_what_fits_a_word_applies(words: list[str], left: set[str]) -> None:
    found = off(toggled(), only=frozenset(words))
    assert {mutation["id"] for mutation in MUTATIONS} - {"leading"} - left == set(found)
    understood = [word for word in sorted(words) if word != "layre:micro"]
    assert set(found.values()) <= {f"by request: only {', '.join(understood) or 'nothing'}"}


def test_a_toggle_stays_in_force_beside_words() -> None:
    rules = toggled({"moduleId": "hero"}, {"pageSlug": "/offers/*", "layer": "micro"}, {"experimentId": "e"})
    found = off(rules, disabled=frozenset({"mutation:offers"}), only=frozenset({"*"}))
    assert found == {"hero": "toggle t0", "small": "toggle t1", "offers": "by request: mutation:offers"}
    assert decide(rules, visit(**AT_OFFERS, only=frozenset({"experiment:e"}))).assignments == {}


@pytest.mark.parametrize(
    ("toggle", "path"), [({"site": "a/b"}, "$.toggles[0].site"), ({"pageSlug": "a"}, "$.toggles[0].pageSlug")]
)
def test_an_address_that_is_none_is_refused(toggle: dict[str, Any], path: str) -> None:
    with pytest.raises(RulesError) as caught:
        toggled(toggle)
    assert caught.value.path == path


def test_the_table_of_rules_keeps_its_toggles() -> None:
    rules = toggled({"moduleId": "hero", "note": "broken since noon"})
    sealed = seal(rules, key_id="k", sign=lambda _: b"s")
    assert unseal(sealed, verify=lambda *_: True).rules.toggles == rules.rules.toggles
    assert msgspec.to_builtins(rules.rules.toggles[0])["note"] == "broken since noon"

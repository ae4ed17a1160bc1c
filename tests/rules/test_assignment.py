"""From a visit to a variation: who is enrolled, when, and why the others are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.assignment import Assignment, Assignments, arms_of, compile_experiments, in_holdout, sticky_key, unit_text
from rules.bucketing import bucket_ranges, choose_variation, hash_unit
from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError
from rules.model import Experiment, RampStep, Variation
from rules.reasons import Exclusion, Reason
from tests.rules.making import NOW, experiment, rules_file, table, variant, visit

UNITS = [f"unit-{number}" for number in range(400)]


def assigned(context: Context, *experiments: dict[str, Any], ask: str = "e") -> Assignment:
    return Assignments(context).of(compile_experiments(rules_file(experiments=experiments).experiments)[ask])


def everybody(*experiments: dict[str, Any], ask: str = "e", **fields: Any) -> dict[str, Assignment]:
    """Unit -> its assignment."""
    compiled = compile_experiments(rules_file(experiments=experiments).experiments)[ask]
    return {unit: Assignments(visit(attributes={"lm_uid": unit}, **fields)).of(compiled) for unit in UNITS}


def exclusions(found: dict[str, Assignment]) -> set[Exclusion | None]:
    return {one.exclusion for one in found.values()}


def test_each_exclusion_has_its_word_and_says_more() -> None:
    told = {
        Exclusion.INACTIVE: (experiment(isActive=False), visit(), ""),
        Exclusion.NO_UNIT: (experiment(unit="user", fallbackUnit="lm_uid"), visit(), "no user and no lm_uid"),
        Exclusion.HOLDOUT: (experiment(holdout={"id": "h", "share": 1}), known(), "h holds out 100 %"),
        Exclusion.BUCKET_VERSION: (
            experiment(bucketVersion=2, minBucketVersion=2),
            known(assigned={"e__1": "new"}),
            "below 2",
        ),
        Exclusion.NAMESPACE: (experiment(namespace=elsewhere()), known(), "n, "),
        Exclusion.CONDITIONS: (experiment(conditions={"language": "de"}), known(), 'language: "de"'),
        Exclusion.RAMP: (experiment(ramp=[step(1)]), known(), "begins 2026-03-30T"),
        Exclusion.COVERAGE: (experiment(coverage=0), known(), "0 % are enrolled"),
    }
    for exclusion, (asked, context, part) in told.items():
        found = assigned(context, asked)
        assert (found.key, found.exclusion) == ("", exclusion)
        assert part in found.detail
    required = assigned(known(), experiment(prerequisites=[{"experimentId": "f"}]), experiment("f", isActive=False))
    assert (required.exclusion, required.detail) == (Exclusion.PREREQUISITE, "f=inactive")
    assert set(told) | {Exclusion.PREREQUISITE} == set(Exclusion)


def known(**fields: Any) -> Context:
    return visit(attributes={"lm_uid": "u"}, **fields)


def elsewhere() -> dict[str, Any]:
    """A share of the namespace `n` that `u` is not in."""
    position = hash_unit("__n", "u", 1)
    assert position is not None
    return {"id": "n", "from": 0, "to": 0.5} if position >= 0.5 else {"id": "n", "from": 0.5, "to": 1}


def step(days: float, share: float = 1) -> dict[str, Any]:
    return {"at": (NOW + timedelta(days)).isoformat(), "share": share}


def test_the_detail_of_an_outcome_begins_with_the_experiment() -> None:
    found = table(variant("v"), experiments=[experiment(coverage=0)])
    (outcome,) = decide(found, known()).outcomes
    assert (outcome.reason, outcome.detail) == (Reason.NOT_IN_EXPERIMENT, "e: coverage, 0 % are enrolled")


# -- units


def test_one_user_on_two_devices_sees_one_variation() -> None:
    given = experiment(unit="user", fallbackUnit="lm_uid")
    for number in range(100):
        devices = [visit(attributes={"user": number, "lm_uid": f"device-{one}-{number}"}) for one in ("phone", "desk")]
        first, second = (assigned(device, given) for device in devices)
        assert first == second


def test_without_the_unit_the_fallback_is_bucketed() -> None:
    given = experiment(unit="user", fallbackUnit="lm_uid")
    for unit in UNITS[:50]:
        expected = assigned(visit(attributes={"lm_uid": unit}), experiment())
        for nobody in ({}, {"user": ""}, {"user": None}, {"user": True}):
            assert assigned(visit(attributes={"lm_uid": unit, **nobody}), given) == expected


def test_units_are_what_was_asked_for() -> None:
    found = table(variant("v"), experiments=[experiment(unit="user", fallbackUnit="lm_uid")])
    assert decide(found, visit(attributes={"user": "u"})).units == {"user"}
    assert decide(found, visit()).units == {"user", "lm_uid"}
    assert decide(found, visit()).reads == {"user", "lm_uid"}
    off = table(variant("v"), experiments=[experiment(isActive=False)])
    assert decide(off, visit()).units == frozenset(), "nobody gets a cookie for an experiment that is off"


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (7, "7"), (True, ""), (1.5, ""), (None, ""), ([], "")])
def test_a_unit_as_text(value: object, text: str) -> None:
    assert unit_text(value) == text


# -- holdouts


def test_a_holdout_keeps_the_same_units_out_of_all_its_experiments() -> None:
    held = {"id": "q3", "share": 0.2}
    both = [experiment("e", holdout=held), experiment("f", seed="other", holdout=held)]
    out = [
        {unit for unit, one in everybody(*both, ask=ask).items() if one.exclusion is Exclusion.HOLDOUT}
        for ask in ("e", "f")
    ]
    assert out[0] == out[1] == {unit for unit in UNITS if in_holdout(unit, "q3", 0.2)}
    assert len(out[0]) == pytest.approx(80, abs=30)
    smaller = {unit for unit in UNITS if in_holdout(unit, "q3", 0.1)}
    assert smaller < out[0]


def test_a_holdout_goes_before_what_is_remembered() -> None:
    given = experiment(holdout={"id": "h", "share": 1})
    assert assigned(known(assigned={"e__0": "new"}), given).exclusion is Exclusion.HOLDOUT


def test_a_holdout_says_nothing_about_the_variation() -> None:
    free = {unit: one for unit, one in everybody(experiment(holdout={"id": "e", "share": 0.5})).items() if one.key}
    plain = everybody(experiment())
    assert all(one == plain[unit] for unit, one in free.items())
    share = sum(one.key == "new" for one in free.values()) / len(free)
    assert share == pytest.approx(0.5, abs=0.12)


# -- prerequisites


def test_a_prerequisite_is_the_other_experiments_own_assignment() -> None:
    first, second = experiment("f"), experiment("e", prerequisites=[{"experimentId": "f", "variations": ["new"]}])
    others = everybody(first, second, ask="f")
    for unit, one in everybody(first, second).items():
        assert (one.exclusion is Exclusion.PREREQUISITE) == (others[unit].key != "new")
    forced = visit(attributes={"lm_uid": "u"}, forced={"f": "control"})
    assert assigned(forced, first, second).detail == "f=control"


def test_any_variation_will_do_where_none_is_named() -> None:
    first, second = experiment("f", coverage=0.5), experiment("e", prerequisites=[{"experimentId": "f"}])
    found = everybody(second, first)
    assert exclusions(found) == {None, Exclusion.PREREQUISITE}


def test_what_a_prerequisite_reads_is_read() -> None:
    first = experiment("f", unit="user", conditions={"language": "de"})
    found = decide(
        table(variant("v"), experiments=[experiment(prerequisites=[{"experimentId": "f"}]), first]), known(forced={})
    )
    assert found.reads == {"lm_uid", "user", "language"}
    assert found.units == {"lm_uid", "user"}
    assert found.assignments == {}


def test_only_what_the_page_asked_about_is_told() -> None:
    found = table(variant("v"), experiments=[experiment(prerequisites=[{"experimentId": "f"}]), experiment("f")])
    decision = decide(found, known())
    assert set(decision.assignments) == {"e"}
    assert set(decision.remember) == {"e__0", "f__0"}


def chain(length: int, last: list[str]) -> list[dict[str, Any]]:
    """Experiments that each require the next; the last one requires `last`."""
    return [
        experiment(
            f"e{n}", prerequisites=[{"experimentId": one} for one in ([f"e{n + 1}"] if n + 1 < length else last)]
        )
        for n in range(length)
    ]


@pytest.mark.parametrize(
    ("experiments", "path", "problem"),
    [
        (chain(3, ["e0"]), "$.experiments[0].prerequisites", "e0 requires e1 requires e2 requires e0"),
        (chain(4, ["e2"]), "$.experiments[2].prerequisites", "e2 requires e3 requires e2"),
        (chain(2, ["e9"]), "$.experiments[1].prerequisites[0].experimentId", "there is no experiment 'e9'"),
        (chain(12, []), "$.experiments[0].prerequisites", "at most 10"),
        (list(reversed(chain(12, []))), "$.experiments[11].prerequisites", "at most 10"),
        (
            [experiment("e", prerequisites=[{"experimentId": "f", "variations": ["x"]}]), experiment("f")],
            "$.experiments[0].prerequisites[0].variations",
            "no variation 'x'; it has control, new",
        ),
    ],
)
def test_prerequisites_that_are_refused(experiments: list[dict[str, Any]], path: str, problem: str) -> None:
    with pytest.raises(RulesError) as refused:
        table(experiments=experiments)
    assert refused.value.path == path
    assert problem in refused.value.problem


def test_the_longest_chain_is_decided() -> None:
    given = chain(11, [])
    assert assigned(known(), *given, ask="e0").key
    assert assigned(known(forced={"e10": "new"}), *reversed(given), ask="e0").key


# -- ramps


RAMP = [step(0, 0.01), step(1, 0.05), step(2, 0.25), step(3, 0.5), step(4, 1)]


def test_a_ramp_enrols_more_with_time_and_moves_nobody() -> None:
    given = experiment(ramp=RAMP, variations=[{"key": key, "weight": weight} for key, weight in WEIGHTS.items()])
    before = everybody(given, now=NOW - timedelta(seconds=1))
    assert exclusions(before) == {Exclusion.RAMP}
    shares = []
    for days in range(6):
        now = everybody(given, now=NOW + timedelta(days))
        assert all(one.key in ("", now[unit].key) for unit, one in before.items())
        shares.append(sum(bool(one.key) for one in now.values()) / len(UNITS))
        before = now
    assert shares == sorted(shares)
    assert shares[2:] == pytest.approx([0.25, 0.5, 1, 1], abs=0.08)
    assert before == everybody(given | {"ramp": []})


WEIGHTS = {"control": 5, "b": 3, "c": 2}


def test_a_ramp_is_a_share_of_the_coverage() -> None:
    assert arms_of(Experiment(id="e", variations=arms(1, 1), coverage=0.5), 0.5) == (
        (0, 0.125, "v0"),
        (0.5, 0.625, "v1"),
    )


def arms(*weights: float) -> list[Variation]:
    return [Variation(key=f"v{number}", weight=weight) for number, weight in enumerate(weights)]


SHARES = st.floats(0, 1)


@given(
    st.lists(st.floats(0.01, 9), min_size=2, max_size=6), SHARES, st.lists(SHARES, min_size=1, max_size=6), st.text()
)
def test_no_ramp_ever_moves_an_enrolled_unit(
    weights: list[float], coverage: float, shares: list[float], unit: str
) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    steps = [RampStep(at=begin + timedelta(number), share=share) for number, share in enumerate(sorted(shares))]
    ramped = Experiment(id="e", variations=arms(*weights), coverage=coverage, ramp=steps)
    compiled = compile_experiments([ramped])["e"]
    keys = [
        Assignments(Context(site="", path="/", now=step.at, attributes={"lm_uid": unit})).of(compiled).key
        for step in steps
    ]
    enrolled = [key for key in keys if key]
    assert len(set(enrolled)) <= 1
    assert keys == [""] * (len(keys) - len(enrolled)) + enrolled


# -- weights


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 9), min_size=2, max_size=6), SHARES, st.text(min_size=1), st.sampled_from([1, 2]))
def test_without_ranges_assignments_are_growthbooks(
    weights: list[float], coverage: float, unit: str, hash_version: int
) -> None:
    given = Experiment(id="e", variations=arms(*weights), coverage=coverage, hash_version=hash_version)  # type: ignore[arg-type]
    found = Assignments(Context(site="", path="/", attributes={"lm_uid": unit})).of(compile_experiments([given])["e"])
    position = hash_unit("e", unit, hash_version)
    assert position is not None
    index = choose_variation(position, bucket_ranges(len(weights), coverage, [one / sum(weights) for one in weights]))
    assert found.key == ("" if index < 0 else f"v{index}")


def test_the_weights_of_a_bandit_count_instead() -> None:
    found = everybody(experiment(bandit={"weights": {"new": 9, "control": 1}, "updatedAt": NOW.isoformat()}))
    assert sum(one.key == "new" for one in found.values()) == pytest.approx(360, abs=25)


def test_ranges_that_are_given_decide() -> None:
    swapped = [{"key": "control", "ranges": [[0.5, 1]]}, {"key": "new", "ranges": [[0, 0.5]]}]
    plain, other = everybody(experiment()), everybody(experiment(variations=swapped))
    assert all(one.key != plain[unit].key for unit, one in other.items())


# -- what is remembered


def test_what_is_remembered_goes_before_everything_but_the_switch_and_the_holdout() -> None:
    narrow = experiment(coverage=0, conditions={"language": "de"}, namespace=elsewhere(), ramp=[step(1)])
    found = assigned(known(assigned={"e__0": "new"}), narrow)
    assert (found.key, found.detail) == ("new", "remembered")
    assert assigned(known(assigned={"e__0": "new"}), narrow | {"isActive": False}).exclusion is Exclusion.INACTIVE
    assert assigned(known(assigned={"e__0": "new"}, forced={"e": "control"}), narrow).key == "control"
    assert assigned(visit(assigned={"e__0": "new"}), narrow).exclusion is Exclusion.NO_UNIT


def test_what_does_not_count_is_not_remembered() -> None:
    by_position = assigned(known(), experiment(seed="s"))
    other = "new" if by_position.key == "control" else "control"
    for asked, remembered in (
        (experiment(seed="s", disableStickyBucketing=True), {"e__0": other}),
        (experiment(seed="s", bucketVersion=1), {"e__0": other}),
        (experiment(seed="s"), {"e__0": "gone", "f__0": other, "e": other}),
    ):
        assert assigned(known(assigned=remembered), asked) == by_position


def test_a_decision_says_what_to_remember_and_only_what_is_new() -> None:
    found = table(variant("v"), experiments=[experiment(bucketVersion=3)])
    first = decide(found, known())
    assert first.remember == {sticky_key("e", 3): first.assignments["e"]} == {"e__3": first.assignments["e"]}
    again = decide(found, known(assigned=first.remember))
    assert again.assignments == first.assignments
    assert again.remember == {}
    assert decide(found, known(forced={"e": "new"})).remember == {}
    never = table(variant("v"), experiments=[experiment(disableStickyBucketing=True)])
    assert decide(never, known()).remember == {}
    by_page = table(variant("v"), experiments=[experiment(unit="path")])
    assert decide(by_page, visit(attributes={"path": "/"})).remember == {}


def test_a_unit_that_follows_from_the_page_alone_is_not_remembered() -> None:
    """Its page is the same for everybody and stays in shared caches, so what one visitor remembers may not change it."""
    moods = {"kind": "derived", "id": "mood", "givenBy": "page.mood", "otherwise": "calm"}
    tones = {"kind": "derived", "id": "tone", "cases": [{"value": "loud", "conditions": {"mood": "angry"}}]}
    for unit, attributes in (("mood", {}), ("tone", {"page": {"mood": "angry"}})):
        found = table(variant("v"), experiments=[experiment(unit=unit)], attributes=[moods, tones])
        decided = [decide(found, visit(attributes=attributes, assigned=one)) for one in ({}, {"e__0": "new"})]
        decided.append(decide(found, visit(attributes=attributes, assigned={"e__0": "control"})))
        assert [(one.private, one.remember) for one in decided] == [(False, {})] * 3
        assert len({one.key for one in decided}) == 1
        assert found.memory.is_empty
    by_visitor = [{"kind": "derived", "id": "who", "givenBy": "lm_uid"}]
    sticks = table(variant("v"), experiments=[experiment(unit="who")], attributes=by_visitor)
    first = decide(sticks, known())
    assert (first.private, first.remember) == (True, {"e__0": first.assignments["e"]})


def test_remembering_holds_who_is_enrolled_when_weights_change() -> None:
    before = everybody(experiment())
    compiled = compile_experiments(rules_file(experiments=[experiment(bandit={"weights": {"new": 1}})]).experiments)[
        "e"
    ]
    for unit, one in before.items():
        context = visit(attributes={"lm_uid": unit}, assigned={"e__0": one.key})
        assert Assignments(context).of(compiled).key == one.key

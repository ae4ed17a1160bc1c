"""Words follow the schema: no entry outlives its field or value, and every example is one that the rules take."""

import json

import msgspec
import pytest

from control_plane.admin import toggles, wording
from control_plane.admin.form_fields import fields_for, mutation_types
from rules.compiler import check_mutation
from rules.model import Experiment, RulesFile, Variation, decode_mutation
from rules.reasons import Reason
from service.opinions import Doubt, Opinion, Verdict

TOGGLE_FIELDS = {field.name: field for field in toggles.fields()}
FIELDS = {field.name: field for mutation_type in mutation_types() for field in fields_for(mutation_type)}


def test_every_label_and_placeholder_belongs_to_a_field() -> None:
    assert set(wording.LABELS) <= set(FIELDS)
    assert set(wording.PLACEHOLDERS) <= set(FIELDS)
    assert set(wording.EXAMPLES) <= set(FIELDS)


def test_every_field_and_choice_has_words() -> None:
    assert set(FIELDS) <= set(wording.LABELS)
    assert set(TOGGLE_FIELDS) == set(wording.TOGGLE_LABELS)
    for name, words in wording.CHOICES.items():
        assert set(words) == set((FIELDS | TOGGLE_FIELDS)[name].choices)


def test_a_choice_that_stays_open_has_words_too() -> None:
    assert wording.unchosen(FIELDS["layer"]) == "By itself"
    assert wording.unchosen(TOGGLE_FIELDS["toggle.layer"]) == "Any"


def test_every_outcome_of_a_mutation_has_words() -> None:
    reasons = list(Reason)
    about_a_mutation = reasons[: reasons.index(Reason.NO_TABLE)]
    assert list(wording.REASONS) == about_a_mutation


def test_a_second_opinion_in_words() -> None:
    assert wording.opinion(Opinion(Verdict.AGREES)).startswith("A second parser agrees")
    undecided = Opinion(Verdict.NO_OPINION, Doubt.READ_OTHERWISE, "html > body")
    assert wording.opinion(undecided) == "A second parser has no opinion on this page (read otherwise)."
    assert wording.opinion(Opinion(Verdict.DIFFERS)) == "", "it has a notice of its own"


def test_fields_are_filed_under_known_sections() -> None:
    for mutation_type in mutation_types():
        filed = [field for _, inside in wording.sections(fields_for(mutation_type)) for field in inside]
        assert sorted(field.name for field in filed) == sorted(field.name for field in fields_for(mutation_type))


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, examples in wording.EXAMPLES.items() for _, example in examples]
)
def test_examples_are_taken_by_the_rules(name: str, example: str) -> None:
    payload: dict[str, object] = {"operations": json.loads(wording.EXAMPLES["mutationPayload.operations"][0][1])}
    mutation_type, written = "set", None if name == "conditions" else json.loads(example)
    if name.endswith("variations"):
        mutation_type, payload = "variant", {"experimentId": "headline", "variations": written}
    if name.endswith("cases"):
        mutation_type, payload = "emotionMap", {"cases": written}
    if name.endswith("order"):
        mutation_type, payload = "reorder", {"container": {"selector": "main"}, "order": written}
    if name.endswith("regions"):
        mutation_type, payload = "layout", {"regions": written}
    if name.endswith("tokens"):
        mutation_type, payload = "theme", {"tokens": written}
    if name.endswith("tracking"):
        mutation_type, payload = "cta", {"target": {"selector": "a"}, "tracking": written}
    whole = {"id": "example", "mutationType": mutation_type, "mutationPayload": payload}
    if name == "conditions":
        whole["conditions"] = json.loads(example)
    variations = [Variation(key="control"), Variation(key="warm")]
    company = RulesFile(experiments=[Experiment(id="headline", variations=variations)])
    check_mutation(decode_mutation(msgspec.json.encode(whole)), company)


def test_every_type_has_words_and_no_words_outlive_their_type() -> None:
    assert set(wording.TYPES) == set(mutation_types())
    assert set(wording.TYPE_TITLES) <= set(mutation_types())
    assert [wording.type_title(name) for name in ("cta", "emotionMap")] == ["Call to action", "Emotion map"]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("name", "Name"),
        ("isActive", "Switched on"),
        ("mutationPayload.content.text", "New content"),
        ("mutationPayload.operations[1]", "Operations, entry 2"),
        ("mutationPayload.variations.warm.operations[0]", "Variations, entry 1"),
        ("unheardOf", "unheardOf"),
    ],
)
def test_paths_are_named_as_in_the_form(path: str, label: str) -> None:
    assert wording.path_label(path) == label

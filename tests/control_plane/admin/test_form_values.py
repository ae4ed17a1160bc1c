"""What is typed becomes JSON and comes back; a refusal finds its field."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from control_plane.admin.form_fields import fields_for, mutation_types
from control_plane.admin.form_values import (
    Typed,
    defaults,
    field_of,
    mutation_json,
    problem_at,
    typed_from,
    typed_of,
)
from rules.model import decode_mutation

WHOLE: dict[str, Any] = {
    "id": "m-1",
    "mutationType": "insert",
    "name": "Größe",
    "site": "shop.example",
    "pageSlug": "/offers/*",
    "layoutId": "*",
    "moduleId": "hero",
    "layer": "micro",
    "trigger": {"on": "segment", "segment": "fans"},
    "conditions": {"language": "de", "$or": [{"mobile": True}]},
    "priority": -3,
    "note": "two\nlines",
    "schedule": {
        "startsAt": "2027-03-01T09:00:00+01:00",
        "endsAt": "2027-07-01T09:00:00+02:00",
        "timezone": "Europe/Berlin",
        "daysOfWeek": ["mon", "sun"],
        "hours": {"from": "22:00", "to": "02:00"},
    },
    "mutationPayload": {
        "target": {"selector": "main > h1", "required": True, "maxMatches": 2},
        "position": "after",
        "content": {"html": "<p>\n&amp; more</p>"},
    },
}


EVENTS: list[dict[str, Any]] = [
    {"event": "scrollDepth", "percent": 30},
    {"event": "exitIntent"},
    {"event": "visible", "target": {"selector": "#far"}},
    {"event": "customEvent", "name": "basket:opened"},
]


TRIGGERS: list[dict[str, Any]] = [
    {"on": "journey", "journey": "purchase", "step": "basket", "progress": "notReached"},
    {"on": "quiz", "quiz": "taste", "question": "sweet", "answers": ["yes", "no"]},
    {"on": "emotion", "emotions": ["joy", "calm"]},
    {
        "on": "schedule",
        "schedule": {
            "startsAt": "2027-07-01T09:00:00+09:00",
            "timezone": "Asia/Tokyo",
            "hours": {"from": "09:00", "to": "17:00"},
        },
    },
    {"on": "experiment", "experiment": "checkout", "variations": ["b"]},
    {"on": "device", "devices": ["mobile", "tv"]},
    {"on": "region", "regions": ["DE", "AT-9"]},
    {"on": "locale", "locales": ["pt-BR"]},
    {"on": "referral", "referrers": ["*.news.example"], "sources": ["a, b", "c"], "campaigns": ["[x"], "first": True},
]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: str(trigger["on"]))
def test_every_trigger_survives_the_form(trigger: dict[str, Any]) -> None:
    mutation = decode_mutation(msgspec.json.encode({**WHOLE, "trigger": trigger}))
    fields = fields_for("insert")
    found, problems = mutation_json(typed_of(msgspec.to_builtins(mutation), fields), fields)
    assert problems == {}
    assert decode_mutation(msgspec.json.encode({"id": "m-1", "mutationType": "insert", **found})) == mutation


def test_what_a_chosen_trigger_needs_is_asked_for_at_its_field() -> None:
    fields = fields_for("insert")
    typed = typed_of({**WHOLE, "trigger": {"on": "emotion"}}, fields)
    assert mutation_json(typed, fields)[1] == {"trigger.emotions": "This is needed."}
    typed = typed_of({**WHOLE, "trigger": {"on": "journey", "journey": "purchase"}}, fields)
    assert mutation_json(typed, fields)[1] == {"trigger.step": "This is needed."}


def test_moments_of_a_trigger_are_its_own_clock() -> None:
    fields = fields_for("insert")
    schedule = {"startsAt": "2027-07-01T00:00:00+00:00", "timezone": "Asia/Tokyo"}
    typed = typed_of({**WHOLE, "trigger": {"on": "schedule", "schedule": schedule}}, fields)
    assert typed["trigger.schedule.startsAt"] == "2027-07-01T09:00:00"
    found, _ = mutation_json(typed | {"trigger.schedule.startsAt": "2027-07-01T10:00"}, fields)
    assert found["trigger"]["schedule"]["startsAt"] == "2027-07-01T10:00:00+09:00"


@pytest.mark.parametrize(
    ("words", "text"),
    [(["joy", "calm"], "joy\ncalm"), (["two\nlines"], '[\n  "two\\nlines"\n]'), ([" a"], '[\n  " a"\n]'), ([], "")],
)
def test_words_stand_one_on_each_line(words: list[str], text: str) -> None:
    fields = fields_for("insert")
    typed = typed_of({**WHOLE, "trigger": {"on": "referral", "referrers": ["a.example"], "sources": words}}, fields)
    assert typed["trigger.sources"] == text
    assert mutation_json(typed, fields)[0]["trigger"].get("sources", []) == words


def test_words_may_be_typed_as_json_and_blank_lines_are_none() -> None:
    fields = fields_for("insert")
    typed = typed_of({**WHOLE, "trigger": {"on": "emotion"}}, fields) | {"trigger.emotions": " joy \n\n calm"}
    assert mutation_json(typed, fields)[0]["trigger"] == {"on": "emotion", "emotions": ["joy", "calm"]}
    found, _ = mutation_json(typed | {"trigger.emotions": '["joy"]'}, fields)
    assert found["trigger"]["emotions"] == ["joy"]


def test_a_problem_with_a_word_names_its_line() -> None:
    found = problem_at("$.trigger.emotions[1]", "a word: letters", fields_for("insert"))
    assert found == {"trigger.emotions": "line 2: A word: letters"}


@pytest.mark.parametrize("when", EVENTS, ids=lambda when: str(when["event"]))
def test_of_an_event_only_its_own_fields_are_sent(when: dict[str, Any]) -> None:
    whole = {**WHOLE, "trigger": {"on": "client", "when": when}}
    fields = fields_for("insert")
    typed = typed_of(msgspec.to_builtins(decode_mutation(msgspec.json.encode(whole))), fields)
    typed["trigger.when.seconds"] = "left over"
    found, problems = mutation_json(typed, fields)
    assert problems == {}
    assert found["trigger"] == {"on": "client", "when": when}
    typed["trigger.on"] = "pageLoad"
    assert mutation_json(typed, fields)[0]["trigger"] == {"on": "pageLoad"}


def test_what_means_nothing_is_not_sent() -> None:
    target = {"selector": "#far", "required": True}
    whole = {**WHOLE, "trigger": {"on": "client", "when": {"event": "visible", "target": target}}}
    fields = fields_for("insert")
    found, _ = mutation_json(typed_of(msgspec.to_builtins(decode_mutation(msgspec.json.encode(whole))), fields), fields)
    assert found["trigger"]["when"] == {"event": "visible", "target": {"selector": "#far"}}


def test_a_mutation_survives_the_form() -> None:
    mutation = decode_mutation(msgspec.json.encode(WHOLE))
    fields = fields_for("insert")
    found, problems = mutation_json(typed_of(msgspec.to_builtins(mutation), fields), fields)
    assert problems == {}
    again = decode_mutation(msgspec.json.encode({"id": "m-1", "mutationType": "insert", **found}))
    assert again == mutation


def test_a_component_survives_the_form_as_json() -> None:
    content = {"component": "card", "props": {"title": "Hi {{name|you}}", "inside": [{"text": "x"}], "n": 2.5}}
    payload = {"target": {"selector": "h1"}, "position": "after", "content": content}
    mutation = decode_mutation(
        msgspec.json.encode({"id": "m-1", "mutationType": "insert", "mutationPayload": payload, "isActive": True})
    )
    fields = fields_for("insert")
    typed = typed_of(msgspec.to_builtins(mutation), fields)
    assert typed["mutationPayload.content"] == "component"
    found, problems = mutation_json(typed, fields)
    assert problems == {}
    assert decode_mutation(msgspec.json.encode({"id": "m-1", "mutationType": "insert", **found})) == mutation


@pytest.mark.parametrize("text", ["", "card", "[1]", '{"props": {}}'])
def test_a_component_that_is_none_is_refused_at_its_field(text: str) -> None:
    fields = fields_for("insert")
    typed: Typed = defaults(fields) | {"mutationPayload.content": "component", "mutationPayload.content.value": text}
    found, problems = mutation_json(typed, fields)
    assert "mutationPayload.content" in problems
    assert "content" not in found.get("mutationPayload", {})


@pytest.mark.parametrize("mutation_type", sorted(mutation_types()))
def test_an_empty_form_says_nothing_of_a_schedule_and_names_what_is_needed(mutation_type: str) -> None:
    fields = fields_for(mutation_type)
    found, problems = mutation_json(defaults(fields), fields)
    assert "schedule" not in found
    needed = {field.name for field in fields if field.required and not field.default and field.only_when is None}
    assert set(problems) == needed


def test_moments_are_the_schedules_clock() -> None:
    fields = fields_for("hide")
    typed: Typed = defaults(fields) | {"schedule.startsAt": "2027-07-01T09:00", "schedule.timezone": "Europe/Berlin"}
    found, _ = mutation_json(typed, fields)
    assert found["schedule"]["startsAt"] == "2027-07-01T09:00:00+02:00"
    unknown, _ = mutation_json(typed | {"schedule.timezone": "Middle/Earth"}, fields)
    assert unknown["schedule"]["timezone"] == "Middle/Earth"  # the rules refuse it in their own words


@pytest.mark.parametrize(
    ("name", "text", "fragment"),
    [
        ("priority", "high", "whole number"),
        ("conditions", "{language: de}", "line 1, column 2"),
        ("conditions", '{"a": NaN}', "NaN is not JSON"),
        ("conditions", '{"a": {"$gt": 1e400}}', "$.a.$gt: 1e400 can't be used"),
        ("conditions", '{"a": "DE", "b": {"c": 1, "c": 2}}', "$.b: the key `c` is there twice"),
        ("conditions", '{"a": "\\ud800"}', "not JSON"),
        ("conditions", '{"\\udfff": 1}', "not JSON"),
        ("conditions", '{"a": %s}' % ("9" * 5_000), "$.a: 99999999999999999999… (5,000 characters) can't be used"),
        ("conditions", "[" * 100_000, "deeply"),
        ("schedule.startsAt", "tomorrow", "2027-03-01T09:00"),
    ],
)
def test_what_cant_be_json_is_refused_at_its_field(name: str, text: str, fragment: str) -> None:
    fields = fields_for("hide")
    typed: Typed = {**defaults(fields), name: text}
    _, problems = mutation_json(typed, fields)
    assert list(problems) == [name]
    assert fragment in problems[name]


def test_line_ends_of_browsers_are_line_ends() -> None:
    fields = fields_for("replace")
    posted = MultiDict({"mutationPayload.content": "html", "mutationPayload.content.value": "<p>\r\n</p>"})
    found, _ = mutation_json(typed_from(posted, fields), fields)
    assert found["mutationPayload"]["content"] == {"html": "<p>\n</p>"}


@pytest.mark.parametrize(
    ("mutation_type", "path", "name"),
    [
        ("replace", "$.mutationPayload.target.selector", "mutationPayload.target.selector"),
        ("replace", "$.mutationPayload.target", "mutationPayload.target.selector"),
        ("replace", "$.mutationPayload.content.html", "mutationPayload.content"),
        ("set", "$.mutationPayload.operations[2].target.selector", "mutationPayload.operations"),
        ("insert", "$.mutationPayload.content.props.title", "mutationPayload.content"),
        ("emotionMap", "$.mutationPayload.cases.joy.operations[0].content.text", "mutationPayload.cases"),
        ("emotionMap", "$.mutationPayload.otherwise.operations[0]", "mutationPayload.otherwise.operations"),
        ("variant", "$.mutationPayload.variations.warm.operations[0]", "mutationPayload.variations"),
        ("set", '$.conditions["query.utm"].$regex', "conditions"),
        ("set", "$.schedule", "schedule.startsAt"),
        ("set", "$.trigger.segment", "trigger.segment"),
        ("set", "$", ""),
        ("set", "$.id", ""),
    ],
)
def test_a_path_finds_its_field(mutation_type: str, path: str, name: str) -> None:
    assert field_of(path, fields_for(mutation_type)) == name


def test_a_problem_inside_a_json_field_says_where() -> None:
    found = problem_at("$.mutationPayload.operations[2].verb", "no such verb", fields_for("set"))
    assert found == {"mutationPayload.operations": "[2].verb: No such verb"}


@given(st.dictionaries(st.sampled_from([field.name for field in fields_for("set")]), st.text()))
def test_any_text_gives_json_or_a_problem(texts: dict[str, str]) -> None:
    fields = fields_for("set")
    found, problems = mutation_json({**defaults(fields), **texts}, fields)
    json.dumps(found)
    assert set(problems) <= {field.name for field in fields}

"""Names that no visit has, and what was meant."""

from typing import Any

import pytest

from rules.attribute_lint import members_of
from rules.context import ATTRIBUTES
from rules.lint import lint
from tests.rules.making import experiment, removing, table

ATTRIBUTES_OF_FILE = [
    {"kind": "derived", "id": "mood", "cases": [{"value": "glad", "conditions": {"campaign.sorce": "x"}}]},
    {"kind": "quiz", "id": "style", "questions": [{"id": "taste", "answers": ["bold"]}]},
    {"kind": "journey", "id": "way", "steps": [{"id": "first", "pageSlug": "/"}]},
    {"kind": "counter", "id": "seen", "conditions": {"page.kind": "x"}},
]


def reads(*mutations: dict[str, Any], **others: Any) -> list[tuple[str, str]]:
    findings = lint(table(*mutations, **others))
    return [(one.path, one.message) for one in findings if one.message.startswith("reads ")]


def writing(text: str) -> dict[str, Any]:
    operation = {"verb": "setText", "target": {"selector": "h1"}, "content": {"text": text}}
    return {"id": "w", "mutationType": "set", "mutationPayload": {"operations": [operation]}}


@pytest.mark.parametrize(
    ("conditions", "part"),
    [
        ({"langauge": "de"}, "reads `langauge`, which no visit has of itself; did you mean `language`? known: host"),
        ({"$or": [{"zzz": 1}]}, "reads `zzz`, which no visit has of itself; known: host"),
        ({"campaign.sorce": "x"}, "`campaign` does not have; did you mean `campaign.source`? it has content, medium"),
        ({"$not": {"os.nmae": "x"}}, "did you mean `os.name`? it has name, version"),
        ({"$and": [{"$nor": [{"browser.zzz": 1}]}]}, "`browser` does not have; it has major, name, version"),
        ({"country.code": "DE"}, "reads `country.code`, which `country` does not have; it is no object"),
        ({"style.tast": "bold"}, "did you mean `style.taste`?"),
        ({"way.steps": "first"}, "did you mean `way.step`?"),
        ({"seen.count": 3}, "which `seen` does not have; it is no object"),
        ({"account.id": 3}, "which `account` does not have; it is no object"),
    ],
)
def test_a_condition(conditions: dict[str, Any], part: str) -> None:
    others = {"attributes": ATTRIBUTES_OF_FILE[1:], "experiments": [experiment(unit="account")]}
    [(path, message)] = reads(removing("a", conditions=conditions), **others)
    assert path == "$.mutations[0].conditions"
    assert part in message


@pytest.mark.parametrize(
    "conditions",
    [
        {"query.anything": "x", "page.a.b": 1, "cookies.plan": "x", "headers.x-shop": "x"},
        {"campaign.source": "x", "browser.major": {"$gte": 120}, "firstReferral.landing": "/", "visits": 2},
        {"way.reached": {"$elemMatch": {"$eq": "first"}}, "style.taste": "bold", "mood": "glad", "seen": {"$gt": 2}},
        {"page.list": {"$elemMatch": {"whatever": 1}}},
    ],
)
def test_what_visits_have_is_not_told(conditions: dict[str, Any]) -> None:
    mood = {"kind": "derived", "id": "mood", "otherwise": "glad"}
    assert reads(removing("a", conditions=conditions), attributes=[mood, *ATTRIBUTES_OF_FILE[1:]]) == []


def test_wherever_it_is_written() -> None:
    emotion_map = {
        "id": "e",
        "mutationType": "emotionMap",
        "mutationPayload": {"attribute": "os.kind", "cases": {"joy": removing("a")["mutationPayload"]}},
    }
    found = reads(
        writing(r"{{campaign.nam|you}} \{{campaign.no}}"),
        emotion_map,
        segments=[{"id": "s", "name": "s", "conditions": {"os.family": "x"}}],
        experiments=[experiment(conditions={"campaign.terms": "x"})],
        modules=[{"id": "m", "template": "<b>{{browser.nme}} {{props.title|x}}</b>"}],
        attributes=[*ATTRIBUTES_OF_FILE, {"kind": "derived", "id": "other", "givenBy": "os.what"}],
    )
    assert [path for path, _ in found] == [
        "$.mutations[0].mutationPayload",
        "$.mutations[1].mutationPayload.attribute",
        "$.segments[0].conditions",
        "$.experiments[0].conditions",
        "$.modules[0].template",
        "$.attributes[0].cases[0].conditions",
        "$.attributes[4].givenBy",
    ]


def test_every_attribute_of_the_registry_is_known() -> None:
    known = members_of(table().rules)
    assert {attribute.name for attribute in ATTRIBUTES} <= known.keys()
    assert [name for name, members in known.items() if members is None] == ["query", "page", "cookies", "headers"]

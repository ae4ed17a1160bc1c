"""Conditions that nobody can meet, and what nothing uses."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.lint import lint
from rules.targeting import evaluate
from tests.rules.making import experiment, removing, table, variant

ATTRIBUTES = [
    {
        "kind": "derived",
        "id": "mood",
        "cases": [{"value": "glad", "conditions": {"language": "de"}}],
        "otherwise": "calm",
    },
    {"kind": "quiz", "id": "style", "questions": [{"id": "taste", "answers": ["bold"]}]},
    {"kind": "journey", "id": "way", "steps": [{"id": "first", "pageSlug": "/"}]},
]
USED = [removing(f"u{n}", conditions={name: {"$exists": True}}) for n, name in enumerate(["mood", "style", "way"])]


def impossible(conditions: dict[str, Any], **fields: Any) -> list[str]:
    rules = table(removing("m", conditions=conditions, **fields), *USED, attributes=ATTRIBUTES)
    return [one.message for one in lint(rules) if one.path == "$.mutations[0].conditions" and "nobody" in one.message]


@pytest.mark.parametrize(
    ("conditions", "fields", "part"),
    [
        ({"language": {"$in": []}}, {}, "language {'$in': []}"),
        ({"language": "de", "$and": [{"language": "fr"}]}, {}, "language = 'de' and language = 'fr'"),
        ({"language": {"$in": ["de", "fr"], "$nin": ["de", "fr"]}}, {}, ""),
        ({"language": {"$in": ["de"], "$regex": "^f"}}, {}, ""),
        ({"query.n": {"$gt": 5, "$lt": 3}}, {}, "query.n {'$gt': 5, '$lt': 3}"),
        ({"query.n": {"$gte": 5}, "$and": [{"query.n": {"$lt": 5}}]}, {}, ""),
        ({"locale": "fr"}, {"trigger": {"on": "locale", "locales": ["de"]}}, "locale = 'fr' and locale {'$regex'"),
        ({"path": "/a"}, {"pageSlug": "/b/*"}, "; its pages are /b/*"),
        ({"host": {"$in": ["x.example"]}}, {"site": "*.y.example"}, "; its site is *.y.example"),
        ({"mood": "angry"}, {}, "mood = 'angry'; it is one of glad, calm"),
        ({"style.taste": {"$in": ["mild"]}}, {}, "; it is one of bold"),
        ({"way.step": "last"}, {}, "; it is one of first"),
        ({"device": "phone"}, {}, "; it is one of desktop, mobile, tablet, tv, bot, other"),
        ({"dayOfWeek": {"$in": ["Mon", "monday"]}}, {}, "; it is one of mon, tue"),
        ({"hour": {"$in": ["9"]}}, {}, "hour {'$in': ['9']}; it is a number from 0 to 23"),
        ({"hour": {"$gt": 23}}, {}, "; it is a number from 0 to 23"),
        ({"mobile": "yes"}, {}, "; it is one of True, False"),
        ({"visits": {"$eq": "3"}}, {}, "; it is a number, sessions so far"),
        ({"browser.major": {"$in": ["126"]}}, {}, "; it is a number, for example 126"),
        ({"country": "de"}, {}, "; it is a string, header that SIDECAR_COUNTRY_HEADER names"),
        ({"city": {"$in": [7]}}, {}, "; it is a string,"),
        ({"locale": {"$in": ["de-DE"]}}, {}, "; it is a string, first language"),
        ({"date": "1.3.2026"}, {}, "for example 2026-03-01"),
        ({"campaign": "spring"}, {}, "; it is an object, utm_*"),
    ],
)
def test_what_nobody_can_meet_is_told(conditions: dict[str, Any], fields: dict[str, Any], part: str) -> None:
    [message] = impossible(conditions, **fields)
    assert message.startswith("nobody can meet this: ")
    assert part in message


@pytest.mark.parametrize(
    ("conditions", "fields"),
    [
        ({"language": {"$in": ["de", "fr"], "$ne": "de"}}, {}),
        ({"tags": {"$in": ["a"]}, "$and": [{"tags": {"$in": ["b"]}}]}, {}),
        ({"query.n": {"$gt": 3, "$lt": 5}}, {}),
        ({"device": {"$in": ["tv", "phone"]}}, {}),
        ({"hour": "9", "city": 7}, {}),
        ({"hour": {"$gte": 9, "$lt": 17}, "dayOfWeek": {"$nin": ["sat", "sun"]}}, {}),
        ({"mobile": True, "returning": False, "browser.major": 126, "visits": {"$gt": 2}}, {}),
        ({"country": "DE", "region": {"$in": ["DE-BY"]}, "date": {"$gte": "2026-03-01"}}, {}),
        ({"city": {"$gt": 5}, "locale": {"$ini": ["de-DE"]}, "campaign.source": "News"}, {}),
        ({"query.n": {"$gte": 5, "$lte": 5}}, {}),
        ({"query.n": {"$lt": 3, "$lte": 9}}, {}),
        ({"$or": [{"language": "de"}, {"language": "fr"}]}, {}),
        ({"language": "de", "$not": {"language": "de"}}, {}),
        ({"path": "/b/x"}, {"pageSlug": "/b/*"}),
        ({"mood": {"$ne": "glad"}}, {}),
        ({"mood": "angry", "$not": {"mood": "glad"}, "style.taste": {"$exists": False}}, {"status": "draft"}),
        ({"locale": "de-at"}, {"trigger": {"on": "locale", "locales": ["de"]}}),
    ],
)
def test_what_somebody_can_meet_is_not(conditions: dict[str, Any], fields: dict[str, Any]) -> None:
    assert [one for one in impossible(conditions, **fields) if "angry" not in one] == []


@pytest.mark.parametrize(("above", "can_be"), [(2, True), (3, False), (300, False)])
def test_a_counter_counts_to_its_max(above: int, can_be: bool) -> None:
    rules = table(
        removing("m", conditions={"looks": {"$gt": above}}), attributes=[{"kind": "counter", "id": "looks", "max": 3}]
    )
    told = f"nobody can meet this: looks {{'$gt': {above}}}; it is a number from 0 to 3"
    assert [finding.message for finding in lint(rules)] == ([] if can_be else [told])


def test_the_conditions_of_an_experiment_that_a_trigger_names_count_too() -> None:
    trigger = {"on": "experiment", "experiment": "e"}
    rules = table(
        removing("m", conditions={"language": "de"}, trigger=trigger),
        experiments=[experiment(conditions={"language": "fr"})],
    )
    assert [one.message for one in lint(rules)] == ["nobody can meet this: language = 'de' and language = 'fr'"]


def test_an_attribute_that_only_a_counter_asks_for_is_used() -> None:
    patrons = {"kind": "derived", "id": "patron", "otherwise": "yes"}
    looks = {"kind": "counter", "id": "looks", "conditions": {"patron": "yes"}}
    assert lint(table(removing("m", conditions={"looks": 3}), attributes=[patrons, looks])) == ()
    assert len(lint(table(removing("m", conditions={"patron": "yes"}), attributes=[patrons, looks]))) == 1


def test_the_conditions_of_an_experiment_count_too() -> None:
    rules = table(variant("v", conditions={"language": "de"}), experiments=[experiment(conditions={"language": "fr"})])
    [finding] = lint(rules)
    assert finding.message == "nobody can meet this: language = 'de' and language = 'fr'"


SCALARS = st.sampled_from([0, 1, 2, 3, "a", "b", True, None])
OPERATORS = st.dictionaries(
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers(0, 4), min_size=1
) | st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=3), min_size=1)
VALUES = st.sampled_from(
    [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, -1, "a", "b", "c", True, False, None, ["a"], [1, 2], ["a", "b"]]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(SCALARS | OPERATORS, min_size=1, max_size=3), VALUES)
@example([{"$in": [0, 1]}, {"$in": [2], "$nin": [0]}], [1, 2])
def test_nothing_that_a_visit_meets_is_called_impossible(said: list[Any], value: Any) -> None:
    conditions = {"$and": [{"x": one} for one in said]}
    if evaluate(conditions, {"x": value}):
        assert not any("nobody can meet" in one.message for one in lint(table(removing("m", conditions=conditions))))


def test_what_nothing_uses_is_told() -> None:
    rules = table(
        removing("m", conditions={"language": {"$inGroup": "used"}}),
        attributes=ATTRIBUTES[:1],
        savedGroups=[{"id": "used", "members": ["de"]}, {"id": "idle", "members": []}],
        segments=[{"id": "s", "conditions": {}}],
    )
    assert [(one.path, one.message) for one in lint(rules)] == [
        ("$.attributes[0]", "no mutation reads this attribute"),
        ("$.segments[0]", "no trigger names this segment"),
        ("$.savedGroups[1]", "no condition names this group"),
    ]

"""What each trigger asks of a visit, and what it refuses when it is written."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError
from rules.reasons import Reason
from tests.rules.making import experiment, removing, table

ATTRIBUTES = [
    {
        "kind": "journey",
        "id": "purchase",
        "steps": [{"id": "offer", "pageSlug": "/o"}, {"id": "basket", "pageSlug": "/b"}],
    },
    {"kind": "quiz", "id": "style", "questions": [{"id": "taste", "answers": ["bold", "calm"]}]},
]
OTHERS: dict[str, Any] = {"attributes": ATTRIBUTES, "experiments": [experiment()]}
WEEKEND = {"schedule": {"daysOfWeek": ["sat", "sun"], "timezone": "Europe/Berlin"}}


def fits(trigger: dict[str, Any], attributes: dict[str, Any], **fields: Any) -> bool:
    visit = Context(site="a.example", path="/", attributes=attributes, **fields)
    [outcome] = decide(table(removing("m", trigger=trigger), **OTHERS), visit).outcomes
    assert outcome.reason in {Reason.APPLIED, Reason.TRIGGER}
    return outcome.reason is Reason.APPLIED


@pytest.mark.parametrize(
    ("trigger", "yes", "no"),
    [
        ({"on": "device", "devices": ["mobile", "tablet"]}, {"device": "tablet"}, {"device": "desktop"}),
        ({"on": "region", "regions": ["DE"]}, {"country": "DE", "region": "DE-BY"}, {"country": "AT"}),
        ({"on": "region", "regions": ["AT", "DE-BY"]}, {"country": "DE", "region": "DE-BY"}, {"country": "DE"}),
        ({"on": "region", "regions": ["AT", "DE-BY"]}, {"country": "AT"}, {}),
        ({"on": "locale", "locales": ["de"]}, {"locale": "de-at"}, {"locale": "den"}),
        ({"on": "locale", "locales": ["pt-BR", "de"]}, {"locale": "pt-br"}, {"locale": "pt"}),
        ({"on": "emotion", "emotions": ["calm", "glad"]}, {"emotion": "glad"}, {"emotion": "sad"}),
        (
            {"on": "referral", "referrers": ["*.news.example"]},
            {"referrer": "a.news.example"},
            {"referrer": "news.example"},
        ),
        ({"on": "referral", "referrers": ["News.example"]}, {"referrer": "news.example"}, {"referrer": "newsxexample"}),
        ({"on": "referral", "sources": ["Letter"]}, {"campaign": {"source": "LETTER"}}, {"campaign": {}}),
        (
            {"on": "referral", "mediums": ["mail"], "campaigns": ["may"]},
            {"campaign": {"medium": "mail", "name": "may"}},
            {"campaign": {"medium": "mail", "name": "june"}},
        ),
        (
            {"on": "referral", "sources": ["letter"], "first": True},
            {"firstReferral": {"source": "letter"}},
            {"campaign": {"source": "letter"}},
        ),
        (
            {"on": "journey", "journey": "purchase", "step": "offer"},
            {"purchase": {"step": "basket", "reached": ["offer", "basket"]}},
            {"purchase": {"step": "basket", "reached": ["basket"]}},
        ),
        (
            {"on": "journey", "journey": "purchase", "step": "offer", "progress": "at"},
            {"purchase": {"step": "offer", "reached": ["offer"]}},
            {"purchase": {"step": "basket", "reached": ["offer", "basket"]}},
        ),
        (
            {"on": "journey", "journey": "purchase", "step": "basket", "progress": "notReached"},
            {},
            {"purchase": {"step": "basket", "reached": ["basket"]}},
        ),
        ({"on": "quiz", "quiz": "style", "question": "taste"}, {"style": {"taste": "calm"}}, {"style": {}}),
        (
            {"on": "quiz", "quiz": "style", "question": "taste", "answers": ["bold"]},
            {"style": {"taste": "bold"}},
            {"style": {"taste": "calm"}},
        ),
    ],
)
def test_a_trigger_asks_for_attributes(trigger: dict[str, Any], yes: dict[str, Any], no: dict[str, Any]) -> None:
    assert fits(trigger, yes)
    assert not fits(trigger, no)


def test_a_trigger_says_what_did_not_hold() -> None:
    rules = table(removing("m", trigger={"on": "device", "devices": ["tv"]}))
    decision = decide(rules, Context(site="a.example", path="/", attributes={"device": "mobile"}))
    assert decision.outcomes[0].detail == 'device: {"$in":["tv"]}'
    assert decision.reads == {"device"}
    assert decision.private


def test_a_trigger_of_times() -> None:
    friday = datetime(2026, 5, 1, 21, 59, tzinfo=UTC)
    assert not fits({"on": "schedule", **WEEKEND}, {}, now=friday)
    assert fits({"on": "schedule", **WEEKEND}, {}, now=friday.replace(hour=22))


def test_a_trigger_of_an_experiment_asks_for_its_variation() -> None:
    rules = table(
        removing("any", trigger={"on": "experiment", "experiment": "e"}),
        removing("new", trigger={"on": "experiment", "experiment": "e", "variations": ["new"]}),
        **OTHERS,
    )
    control = decide(rules, Context(site="a.example", path="/", forced={"e": "control"}))
    assert {one.mutation_id: one.reason for one in control.outcomes} == {"any": Reason.APPLIED, "new": Reason.TRIGGER}
    assert control.assignments == {"e": "control"}
    new = decide(rules, Context(site="a.example", path="/", attributes={"lm_uid": "u"}, forced={"e": "new"}))
    assert all(one.reason is Reason.APPLIED for one in new.outcomes)
    nobody = decide(rules, Context(site="a.example", path="/"))
    assert [one.detail for one in nobody.outcomes] == ["e: no_unit, the visit has no lm_uid"] * 2
    assert nobody.units == {"lm_uid"}
    assert nobody.private


@pytest.mark.parametrize(
    ("trigger", "path", "problem"),
    [
        ({"on": "journey", "journey": "x", "step": "offer"}, "journey", "no journey 'x' in this file; known: purchase"),
        ({"on": "journey", "journey": "style", "step": "offer"}, "journey", "known: purchase"),
        (
            {"on": "journey", "journey": "purchase", "step": "x"},
            "step",
            "no step 'x' in this file; known: basket, offer",
        ),
        ({"on": "quiz", "quiz": "purchase", "question": "taste"}, "quiz", "known: style"),
        ({"on": "quiz", "quiz": "style", "question": "x"}, "question", "known: taste"),
        ({"on": "quiz", "quiz": "style", "question": "taste", "answers": ["x"]}, "answers[0]", "known: bold, calm"),
        ({"on": "experiment", "experiment": "x"}, "experiment", "no experiment 'x' in this file; known: e"),
        ({"on": "experiment", "experiment": "e", "variations": ["x"]}, "variations[0]", "it has control, new"),
        ({"on": "referral", "referrers": ["https://news.example"]}, "referrers[0]", "a site is a host"),
        ({"on": "schedule", "schedule": {"timezone": "Mars/Base"}}, "schedule.timezone", "unknown time zone"),
    ],
)
def test_what_a_trigger_names_must_be_there(trigger: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(RulesError) as caught:
        table(removing("m", trigger=trigger), **OTHERS)
    assert caught.value.path == f"$.mutations[0].trigger.{path}"
    assert problem in caught.value.problem

"""What a page adds to what is remembered, and what rules see of it."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from rules import limits
from rules.compiler import compile_table
from rules.context import Context
from rules.decision import decide
from rules.errors import RulesError
from rules.reasons import Reason
from rules.remembering import Memory, assigned, attributes_of, is_news, recalled, remember
from rules.sealing import key_id, seal, unseal
from rules.state import NOTHING_YET, State, encoded
from rules.table import DecisionTable
from tests.rules.making import NOW, experiment, removing, rules_file, table, variant, visit

BUYING = {
    "kind": "journey",
    "id": "buying",
    "steps": [
        {"id": "look", "pageSlug": "/product/*"},
        {"id": "basket", "pageSlug": "/basket", "site": "shop.example"},
        {"id": "paid", "pageSlug": "/paid", "conditions": {"buying.reached": {"$elemMatch": {"$eq": "basket"}}}},
    ],
}
MOOD = {
    "kind": "quiz",
    "id": "mood",
    "pageSlug": "/quiz/**",
    "questions": [{"id": "sky", "answers": ["rain", "sun"]}, {"id": "cup", "parameter": "c", "answers": ["big"]}],
}
LOOKS = {"kind": "counter", "id": "looks", "pageSlug": "/product/*", "max": 3}


def memory(*attributes: dict[str, Any], **others: Any) -> Memory:
    return table(attributes=list(attributes), **others).memory


def walked(memory: Memory, *pages: str | Context, since: State = NOTHING_YET) -> State:
    """The state after these pages, a minute apart."""
    state = since
    for number, page in enumerate(pages):
        context = visit(page, now=NOW + timedelta(minutes=number)) if isinstance(page, str) else page
        state = remember(state, context, memory)
    return state


def seen(memory: Memory, *pages: str | Context) -> dict[str, Any]:
    return attributes_of(walked(memory, *pages), memory)


def asked(path: str, **query: str) -> Context:
    return visit(path, attributes={"query": query})


# ---- journeys


def test_nothing_is_reached_before_the_first_page() -> None:
    assert attributes_of(NOTHING_YET, memory(BUYING)) == {"buying": {"reached": [], "completed": False}}


def test_steps_are_reached_by_their_pages_and_conditions() -> None:
    journey = seen(memory(BUYING), "/paid", "/basket", "/product/tea", "/other")["buying"]
    assert journey == {"step": "look", "furthest": "basket", "reached": ["look", "basket"], "completed": False}
    assert seen(memory(BUYING), "/product/tea", "/basket", "/paid")["buying"]["completed"]


def test_a_step_belongs_to_its_site() -> None:
    assert seen(memory(BUYING), visit("/basket", site="other.example"))["buying"]["reached"] == []


def test_a_step_that_is_reached_again_is_not_the_last_one() -> None:
    assert seen(memory(BUYING), "/product/tea", "/basket", "/product/tea")["buying"]["step"] == "basket"


def test_conditions_see_what_was_remembered_before_this_page() -> None:
    both = [{"id": "a", "pageSlug": "/x"}, {"id": "b", "pageSlug": "/x", "conditions": {"j.step": "a"}}]
    again = {"kind": "counter", "id": "again", "conditions": {"j.step": {"$exists": True}}}
    declared = memory({"kind": "journey", "id": "j", "steps": both}, again)
    assert seen(declared, "/x") == {
        "j": {"step": "a", "furthest": "a", "reached": ["a"], "completed": False},
        "again": 0,
    }
    assert seen(declared, "/x", "/x")["again"] == 1
    assert seen(declared, "/x", "/x")["j"]["completed"]


def test_conditions_see_the_visit_and_what_is_derived_from_it() -> None:
    slow = {"kind": "derived", "id": "pace", "cases": [{"value": "slow", "conditions": {"looks": {"$gte": 1}}}]}
    counter = {"kind": "counter", "id": "slowly", "conditions": {"pace": "slow", "language": "de"}}
    declared = memory(LOOKS, counter, slow)
    german = [visit("/product/a", attributes={"language": "de"})] * 3
    assert seen(declared, *german)["slowly"] == 2
    assert {"looks", "pace", "language"} <= declared.reads


# ---- quizzes and counters


def test_answers_count_where_they_are_allowed_and_the_last_one_stands() -> None:
    declared = memory(MOOD)
    assert seen(declared, asked("/quiz/1", sky="rain", c="big", cup="big")) == {"mood": {"sky": "rain", "cup": "big"}}
    assert seen(declared, asked("/quiz/1", sky="rain"), asked("/quiz/2", sky="sun"))["mood"] == {"sky": "sun"}
    assert seen(declared, asked("/quiz/1", sky="rain"), asked("/quiz/2", sky="snow"))["mood"] == {"sky": "rain"}
    assert seen(declared, asked("/elsewhere", sky="rain"))["mood"] == {}


@pytest.mark.parametrize("query", [None, "sky=rain", ["sky"], {"sky": ["rain"]}, {"sky": {"a": 1}}, {"sky": None}])
def test_a_query_of_another_shape_answers_nothing(query: Any) -> None:
    assert seen(memory(MOOD), visit("/quiz/1", attributes={"query": query}))["mood"] == {}


def test_a_counter_counts_to_its_end() -> None:
    assert [seen(memory(LOOKS), *["/product/a"] * n)["looks"] for n in range(6)] == [0, 1, 2, 3, 3, 3]


# ---- sessions


def test_a_session_ends_after_half_an_hour_and_takes_along_what_belongs_to_it() -> None:
    declared = memory(BUYING, {**LOOKS, "within": "visitor"}, {**MOOD, "within": "session"})
    first = walked(declared, "/product/a", asked("/quiz/1", sky="sun"))
    soon = visit("/", now=NOW + timedelta(minutes=limits.SESSION_MINUTES - 1))
    late = visit("/", now=NOW + timedelta(minutes=limits.SESSION_MINUTES))
    assert attributes_of(remember(first, soon, declared), declared)["mood"] == {"sky": "sun"}
    after = attributes_of(remember(first, late, declared), declared)
    assert after == {"buying": {"reached": [], "completed": False}, "mood": {}, "looks": 1}


def test_sessions_pages_and_the_first_referral_are_kept_where_rules_read_them() -> None:
    read = {"visits": {"$gt": 0}, "pagesSeen": {"$gt": 0}, "firstReferral.source": "mail"}
    declared = table(removing("m", conditions=read)).memory
    campaign = {"source": "mail", "medium": "letter", "name": "s" * 200, "term": "tea"}
    landing = visit("/land", attributes={"referrer": "news.example", "campaign": campaign})
    second = visit("/b", attributes={"referrer": "shop.example"})
    later = visit("/c", now=NOW + timedelta(days=2), attributes={"referrer": "other.example"})
    assert seen(declared, landing, second) == {
        "visits": 1,
        "pagesSeen": 2,
        "firstReferral": {
            "referrer": "news.example",
            "source": "mail",
            "medium": "letter",
            "name": "s" * limits.REFERRAL_CHARACTERS_MAX,
            "landing": "/land",
        },
    }
    after = seen(declared, landing, second, later)
    assert (after["visits"], after["pagesSeen"], after["firstReferral"]["landing"]) == (2, 1, "/land")


def test_a_link_of_the_site_itself_is_no_referral() -> None:
    declared = table(removing("m", conditions={"firstReferral.referrer": "a.example"})).memory
    own = visit("/", attributes={"referrer": "shop.example"})
    assert seen(declared, own)["firstReferral"] == {"referrer": "", "landing": "/"}


def test_nothing_of_it_is_kept_where_no_rule_reads_it() -> None:
    declared = memory(LOOKS)
    state = walked(declared, "/product/a", "/b")
    assert (state.sessions, state.pages, state.referral) == (0, 0, None)
    assert attributes_of(state, declared) == {"looks": 1}


GREETED = {
    "id": "m",
    "mutationType": "replace",
    "mutationPayload": {"target": {"selector": "h1"}, "scope": "inner", "content": {"component": "greeting"}},
}
"""Reads the visits, and does not say so itself."""
READERS: list[dict[str, Any]] = [
    {"mutations": [removing("m", conditions={"visits": 1})]},
    {
        "mutations": [removing("m", trigger={"on": "segment", "segment": "s"})],
        "segments": [{"id": "s", "conditions": {"visits": 1}}],
    },
    {"mutations": [variant("m")], "experiments": [experiment(conditions={"visits": 1})]},
    {"mutations": [], "attributes": [{"kind": "counter", "id": "c", "conditions": {"visits": 1}}]},
    {"mutations": [], "attributes": [{"kind": "derived", "id": "c", "givenBy": "visits"}]},
    {"mutations": [GREETED], "modules": [{"id": "greeting", "template": "<p>{{visits|1}}</p>"}]},
]


@pytest.mark.parametrize("rules", READERS)
def test_whatever_reads_them_has_them_kept(rules: dict[str, Any]) -> None:
    others = {name: value for name, value in rules.items() if name != "mutations"}
    assert table(*rules["mutations"], **others).memory.of_visits == {"visits"}


def test_a_trigger_of_the_first_referral_reads_it_and_one_of_this_page_does_not() -> None:
    def of(first: bool) -> frozenset[str]:
        trigger = {"on": "referral", "referrers": ["a.example"], "first": first}
        return checked(
            removing("m", trigger=trigger), removing("n", note="the visits of our first guests")
        ).memory.of_visits

    assert of(True) == {"firstReferral"}
    assert of(False) == frozenset()


def checked(*mutations: dict[str, Any], **others: Any) -> DecisionTable:
    """A table that is compiled row by row, as sidecars have it."""
    made = compile_table(rules_file(*mutations, **others), version=1, now=NOW, engine="here")
    sealed = seal(made, key_id=key_id(b"k" * 32), sign=lambda _: b"")
    found = unseal(sealed, verify=lambda *_: True, engine="here")
    assert found.memory.of_visits == made.memory.of_visits
    return found


@pytest.mark.parametrize("rules", READERS)
def test_a_table_that_compiles_row_by_row_knows_it_too(rules: dict[str, Any]) -> None:
    others = {name: value for name, value in rules.items() if name != "mutations"}
    assert checked(*rules["mutations"], **others).memory.of_visits == {"visits"}


def test_a_mutation_that_is_never_served_has_nothing_kept() -> None:
    assert table(removing("m", conditions={"visits": 1}, isActive=False)).memory.is_empty


# ---- what is declared no longer


def test_what_is_declared_no_longer_is_dropped() -> None:
    state = walked(memory(BUYING, MOOD, LOOKS), "/product/a", "/basket", asked("/quiz/1", sky="sun", c="big"))
    fewer = memory(
        {**BUYING, "steps": [BUYING["steps"][0], {"id": "new", "pageSlug": "/new"}]},
        {**MOOD, "questions": [{"id": "sky", "answers": ["rain"]}, {"id": "cup", "answers": ["big"]}]},
        {**LOOKS, "id": "other"},
    )
    left = recalled(state, visit(now=NOW), fewer)
    assert left.journeys == {"buying": ("look",)}
    assert left.quizzes == {"mood": {"cup": "big"}}
    assert left.counters == {}
    assert recalled(state, visit(now=NOW), memory()).is_empty


def test_a_lower_end_holds_for_what_was_counted_before() -> None:
    state = walked(memory(LOOKS), *["/product/a"] * 3)
    assert remember(state, visit("/"), memory({**LOOKS, "max": 2})).counters == {"looks": 2}


# ---- assignments


def test_assignments_are_kept_and_those_of_other_tables_too_while_there_is_room() -> None:
    declared = memory(experiments=[experiment("e")])
    state = assigned(assigned(NOTHING_YET, {"gone__0": "a"}, declared), {"e__0": "new"}, declared)
    assert walked(declared, "/", since=state).assigned == {"gone__0": "a", "e__0": "new"}
    many = assigned(state, {f"e__{n}": "x" * 60 for n in range(1, 30)}, declared)
    assert "gone__0" not in many.assigned
    assert "e__29" in many.assigned
    assert len(encoded(many)) <= limits.STATE_BYTES_MAX


def test_experiments_that_do_not_stick_want_nothing() -> None:
    assert memory(experiments=[experiment("e", disableStickyBucketing=True)]).is_empty
    assert not memory(experiments=[experiment("e")]).is_empty


# ---- which pages add, and what the browser is told


@pytest.mark.parametrize(
    ("context", "adds"),
    [
        (visit("/product/a"), True),
        (visit("/basket"), True),
        (visit("/basket", site="other.example"), False),
        (visit("/"), False),
        (asked("/quiz/1", sky="rain"), True),
        (asked("/quiz/1", sky="snow"), False),
        (asked("/quiz/1"), False),
    ],
)
def test_pages_that_could_add_something_are_known_whoever_visits_them(context: Context, adds: bool) -> None:
    assert memory(BUYING, MOOD, LOOKS).adds(context) is adds


def test_every_page_adds_where_rules_read_the_visits() -> None:
    assert table(removing("m", conditions={"visits": 1})).memory.adds(visit("/"))


def test_the_browser_is_told_of_changes_and_now_and_then_that_time_passes() -> None:
    declared = memory(BUYING)
    first = walked(declared, "/product/a")

    def news(minutes: int, path: str = "/") -> bool:
        return is_news(first, remember(first, visit(path, now=NOW + timedelta(minutes=minutes)), declared), declared)

    assert is_news(NOTHING_YET, first, declared)
    assert not is_news(NOTHING_YET, remember(NOTHING_YET, visit("/"), declared), declared)
    assert not news(0)
    assert news(0, "/basket")
    assert not news(limits.STATE_MINUTES_STALE - 1)
    assert news(limits.STATE_MINUTES_STALE)
    assert news(-1)  # another sidecar's clock is ahead


def test_without_sessions_time_is_told_once_a_day() -> None:
    declared = memory({**LOOKS, "max": 1})
    first = walked(declared, "/product/a")

    def news(minutes: int) -> bool:
        later = visit("/product/a", now=NOW + timedelta(minutes=minutes))
        return is_news(first, remember(first, later, declared), declared)

    assert [news(minutes) for minutes in (1, 60, 1439, 1440)] == [False, False, False, True]


# ---- together with decisions


def test_the_page_with_the_answer_already_knows_it() -> None:
    rules = table(
        removing("m", trigger={"on": "quiz", "quiz": "mood", "question": "sky", "answers": ["rain"]}), attributes=[MOOD]
    )
    context = asked("/quiz/result", sky="rain")
    known = attributes_of(remember(NOTHING_YET, context, rules.memory), rules.memory)
    decision = decide(rules, structs.replace(context, attributes={**known, **context.attributes}))
    assert decision.outcomes[0].reason is Reason.APPLIED
    assert decision.private


@pytest.mark.parametrize(
    ("attribute", "path", "problem"),
    [
        ({**LOOKS, "pageSlug": "product"}, "$.attributes[0].pageSlug", "a page is a path pattern"),
        ({**LOOKS, "site": "a/b"}, "$.attributes[0].site", "a site is a host"),
        ({**LOOKS, "conditions": {"a": {"$x": 1}}}, "$.attributes[0].conditions.a.$x", "unknown operator"),
        ({**MOOD, "site": "http://a"}, "$.attributes[0].site", "a site is a host"),
        ({**MOOD, "pageSlug": "a?b"}, "$.attributes[0].pageSlug", "a page is a path pattern"),
        (
            {"kind": "journey", "id": "j", "steps": [{"id": "a", "pageSlug": "/a"}, {"id": "b", "pageSlug": "b"}]},
            "$.attributes[0].steps[1].pageSlug",
            "a page is a path pattern",
        ),
        (
            {"kind": "journey", "id": "j", "steps": [{"id": "a", "pageSlug": "/a", "conditions": {"$or": 1}}]},
            "$.attributes[0].steps[0].conditions.$or",
            "takes a list",
        ),
    ],
)
def test_what_can_not_be_remembered(attribute: dict[str, Any], path: str, problem: str) -> None:
    with pytest.raises(RulesError) as caught:
        table(attributes=[attribute])
    assert (caught.value.path, problem in caught.value.problem) == (path, True), caught.value


def test_what_it_asks_of_a_visit_by_page() -> None:
    known = memory(BUYING, MOOD, LOOKS | {"conditions": {"device": "tv"}})
    assert known.asks("shop.example", "/quiz/1") == {"query"}
    assert known.asks("shop.example", "/product/1") == known.asks("shop.example", "/paid") == {"device", "buying"}
    assert known.asks("shop.example", "/") == frozenset()

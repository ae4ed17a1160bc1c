"""What is remembered, over any pages and any bytes: it never raises, never grows beyond its bound, and only grows up to there."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from rules import limits
from rules.context import Context
from rules.remembering import assigned, attributes_of, is_news, recalled, remember
from rules.state import NOTHING_YET, State, decoded, encoded, minute_of
from sidecar.context.state_cookie import CHARACTERS_MAX, StateCookies
from tests.rules.making import experiment, removing, table

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
KEY = "k" * 32
COOKIES = StateCookies([KEY], days=90)

PATHS = ("/", "/a", "/b", "/a/b", "/é\udcff")
DECLARED: list[dict[str, Any]] = [
    {
        "kind": "journey",
        "id": "tour",
        "within": "visitor",
        "steps": [
            {"id": "one", "pageSlug": "/a"},
            {"id": "two", "pageSlug": "/b", "conditions": {"tour.step": "one"}},
            {"id": "three", "pageSlug": "/**", "conditions": {"clicks": {"$gt": 1}}},
        ],
    },
    {"kind": "journey", "id": "now", "steps": [{"id": "in", "pageSlug": "/a"}, {"id": "out", "pageSlug": "/b"}]},
    {"kind": "quiz", "id": "mood", "questions": [{"id": "sky", "answers": ["rain", "sun"]}]},
    {"kind": "counter", "id": "clicks", "max": 5, "conditions": {"pace": {"$ne": "slow"}}},
    {"kind": "derived", "id": "pace", "cases": [{"value": "slow", "conditions": {"mood.sky": "rain"}}]},
]
RULES = table(
    removing("m", conditions={"visits": 1, "pagesSeen": 1, "firstReferral.source": "x"}),
    attributes=DECLARED,
    experiments=[experiment("e")],
)
MEMORY = RULES.memory

words = st.text("aé_\U0001f327\x00", max_size=99)
values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["rain", "sun", "snow", "one", "é" * 300, "\udc80"]),
    words,
    st.none(),
    st.integers(),
    st.just([[]]),
)
attributes = st.dictionaries(
    st.sampled_from(["query", "referrer", "campaign", "language", "tour", "pace"]),
    st.one_of(values, st.dictionaries(st.sampled_from(["sky", "source", "medium", "name"]), values, max_size=4)),
)
pages = st.builds(
    lambda path, attributes, minutes: Context(
        site="shop.example", path=path, now=NOW + timedelta(minutes=minutes), attributes=attributes
    ),
    st.sampled_from(PATHS),
    attributes,
    st.integers(0, 10_000),
)
remembers = st.dictionaries(
    st.builds(lambda name, version: f"{name}__{version}", st.sampled_from(["e", "gone"]), st.integers(0, 30)),
    st.sampled_from(["new", "control", "a" * 64]),
    max_size=10,
)


@given(st.lists(st.tuples(pages, remembers), max_size=8))
def test_any_pages_stay_within_the_bound_and_make_a_state_that_travels(
    visits: list[tuple[Context, dict[str, str]]],
) -> None:
    state = NOTHING_YET
    for context, decided in sorted(visits, key=lambda one: one[0].now):
        after = assigned(remember(state, context, MEMORY), decided, MEMORY)
        assert after == assigned(remember(state, context, MEMORY), decided, MEMORY)
        assert len(encoded(after)) <= limits.STATE_BYTES_MAX
        assert decoded(encoded(after)) == after
        written = COOKIES.written(after, secure=True).decode()
        value = written.partition(";")[0]
        assert len(value) <= len("lm_state=") + CHARACTERS_MAX
        assert COOKIES.read(CIMultiDict({"Cookie": f"a=b; {value}; c=d"}), context.now) == after
        known = attributes_of(after, MEMORY)
        assert known["visits"] >= 1
        assert known["pagesSeen"] >= 1
        assert set(known["tour"]["reached"]) <= {"one", "two", "three"}
        assert known["clicks"] <= 5
        state = after


@given(st.lists(pages, max_size=8))
def test_what_belongs_to_the_visitor_only_grows_while_there_is_room(visits: list[Context]) -> None:
    state = NOTHING_YET
    for context in sorted(visits, key=lambda one: one.now):
        after = remember(state, context, MEMORY)
        assert set(after.journeys.get("tour", ())) >= set(state.journeys.get("tour", ()))
        assert after.journeys.get("tour", ())[: len(state.journeys.get("tour", ()))] == state.journeys.get("tour", ())
        assert after.counters.get("clicks", 0) >= state.counters.get("clicks", 0)
        assert after.quizzes.get("mood", {}).keys() >= state.quizzes.get("mood", {}).keys()
        assert after.sessions >= state.sessions
        assert (after.day, after.minute) >= (state.day, state.minute)
        if state.referral is not None:
            assert after.referral is not None
            assert after.referral.source in ("", state.referral.source)
        assert recalled(after, context, MEMORY) == after
        assert is_news(state, after, MEMORY)  # pages are counted here
        assert after.minute == minute_of(context.now)
        state = after


states = st.builds(
    State,
    day=st.integers(0, 10**6),
    minute=st.integers(0, 10**9),
    sessions=st.integers(0, 2**63),
    journeys=st.dictionaries(words, st.lists(words, max_size=30).map(tuple), max_size=20),
    quizzes=st.dictionaries(words, st.dictionaries(words, words), max_size=20),
    counters=st.dictionaries(st.sampled_from(["clicks", "x"]), st.integers(0, 2**63)),
    assigned=st.dictionaries(words, words, max_size=30),
)


@given(states, pages)
@settings(max_examples=50)
def test_a_state_of_any_other_rules_is_taken_up(state: State, page: Context) -> None:
    after = remember(state, page, MEMORY)
    assert len(encoded(after)) <= limits.STATE_BYTES_MAX
    assert after.journeys.keys() | after.quizzes.keys() | after.counters.keys() <= set(MEMORY.names)
    assert attributes_of(after, MEMORY)["clicks"] <= 5


@given(
    st.one_of(st.binary(max_size=3000).map(lambda raw: raw.decode("latin-1")), words, st.from_regex(r"[A-Za-z0-9_-]*"))
)
def test_any_cookie_is_no_state_and_nothing_worse(value: str) -> None:
    for cookie in (value, f"lm_state={value}", f'x=y; lm_state="{value}"', f"lm_state={value}; lm_state={value}"):
        assert not isinstance(COOKIES.read(CIMultiDict({"Cookie": cookie}), NOW), State)


@given(st.integers(0, 200), st.integers(1, 255), states.filter(lambda state: len(encoded(state)) < 200))
def test_no_bit_of_a_cookie_can_be_changed(place: int, flip: int, state: State) -> None:
    value = COOKIES.written(state, secure=False).partition(b";")[0]
    place = len("lm_state=") + place % (len(value) - len("lm_state="))
    changed = value[:place] + bytes([value[place] ^ flip]) + value[place + 1 :]
    found = COOKIES.read(CIMultiDict({"Cookie": changed.decode("latin-1")}), NOW)
    # The last character may hold bits that mean nothing (RFC 4648 section 3.5).
    assert not isinstance(found, State) or found == state


@given(states)
def test_bytes_round_trip(state: State) -> None:
    assert decoded(encoded(state)) == state

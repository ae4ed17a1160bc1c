"""What is kept of earlier pages: bytes, bounds, and what goes first where it is full."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from rules import limits
from rules.state import NOTHING_YET, Referral, State, bounded, decoded, encoded, is_over, minute_of, short

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
FULL = State(
    day=20_541,
    minute=29_579_760,
    sessions=3,
    pages=4,
    referral=Referral(referrer="r" * 100, source="s" * 100, medium="m" * 100, name="n" * 100, landing="/" + "l" * 99),
    journeys={"j": ("one", "two")},
    quizzes={"q": {"mood": "calm"}},
    counters={"c": 7},
    assigned={"kept__1": "b", "gone__0": "a"},
)


def test_a_state_survives_its_bytes() -> None:
    assert decoded(encoded(FULL)) == FULL
    assert decoded(encoded(NOTHING_YET)) == NOTHING_YET


@pytest.mark.parametrize(
    "data", [b"", b"\xc0", b"\x90", b"\x91\xff", encoded(FULL)[:-1], encoded(FULL) + b"\x00", b"\x99" * 9]
)
def test_other_bytes_hold_none(data: bytes) -> None:
    assert decoded(data) in (None, NOTHING_YET)


def test_what_fits_stays_as_it_is() -> None:
    assert bounded(FULL, experiments={"kept"}, declared=["j", "q", "c"]) is FULL


def test_what_goes_first_is_missed_least() -> None:
    seen: list[str] = []
    state = FULL
    for size in range(40, 0, -1):  # longer and longer assignments leave less and less room
        assigned = {"kept__1": "b", "gone__0": "a", **{f"kept__{n}": "x" * 60 for n in range(2, 60 - size)}}
        state = bounded(structs.replace(FULL, assigned=assigned), experiments={"kept"}, declared=["j", "q", "c"])
        assert len(encoded(state)) <= limits.STATE_BYTES_MAX
        has = {
            "gone": "gone__0" in state.assigned,
            "landing": state.referral is not None and bool(state.referral.landing),
            "referral": state.referral is not None and bool(state.referral.source),
            "kept": "kept__1" in state.assigned,
        }
        seen += [name for name, there in has.items() if not there and name not in seen]
    assert seen == ["gone", "landing", "referral", "kept"]
    assert (state.journeys, state.quizzes, state.counters) == (FULL.journeys, FULL.quizzes, FULL.counters)
    assert state.referral == Referral()


def test_declared_attributes_go_last_and_the_last_one_of_them_first() -> None:
    names = [f"q{n}" for n in range(100)]
    many = State(minute=1, quizzes={name: {"question-of-some-length": "answer-of-some-length"} for name in names})
    state = bounded(many, experiments=(), declared=names)
    assert list(state.quizzes) == names[: len(state.quizzes)]
    assert 10 < len(state.quizzes) < 40
    assert bounded(many, experiments=(), declared=()).is_empty


@pytest.mark.parametrize(
    ("away", "old", "over"),
    [
        (timedelta(days=89, hours=23), timedelta(days=89, hours=23), False),
        (timedelta(days=90), timedelta(days=90), True),
        (timedelta(0), timedelta(days=limits.STATE_DAYS_MAX - 1), False),
        (timedelta(0), timedelta(days=limits.STATE_DAYS_MAX), True),
    ],
)
def test_a_state_is_over_after_a_time_without_pages_or_when_it_is_old(
    away: timedelta, old: timedelta, over: bool
) -> None:
    state = State(day=minute_of(NOW - old) // 1440, minute=minute_of(NOW - away))
    assert is_over(state, NOW, days=90) is over


@pytest.mark.parametrize(
    ("value", "kept"),
    [("news.example", "news.example"), ("x" * 101, "x" * 100), ("a\udc80b", "ab"), (None, ""), (5, ""), ({}, "")],
)
def test_texts_of_a_visit_are_cut(value: object, kept: str) -> None:
    assert short(value) == kept

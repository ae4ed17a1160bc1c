"""Attributes that follow from others."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import limits
from rules.context import ATTRIBUTES
from rules.inference import Agent, Means, behind, campaign_of, completed, query_of, slug_of, zone_of

NOW = datetime(2026, 7, 1, 22, 15, tzinfo=UTC)
MEANS = Means(NOW, lambda text: Agent("tv", {"name": text}, {}))
ALL = frozenset(attribute.name for attribute in ATTRIBUTES)


def made(needed: str, **attributes: Any) -> Any:
    return completed(attributes, frozenset({needed}), MEANS).get(needed)


@pytest.mark.parametrize(
    ("needed", "attributes", "value"),
    [
        ("slug", {"path": "/offers/green-tea"}, "green-tea"),
        ("slug", {"path": "/"}, ""),
        ("query", {"url": "https://x.example/a?b=1&b=2&c#d?e"}, {"b": "1", "c": ""}),
        ("campaign", {"url": "/?utm_source=a&utm_content=b"}, {"source": "a", "content": "b"}),
        ("campaign", {"query": {"utm_term": "t", "utm_medium": 3}}, {"term": "t"}),
        ("campaign", {"query": {"a": "b"}}, None),
        ("language", {"locale": "de-at"}, "de"),
        ("mobile", {"userAgent": "x Mobile"}, True),
        ("mobile", {"userAgent": "x"}, False),
        ("device", {"userAgent": "set"}, "tv"),
        ("browser", {"userAgent": "set"}, {"name": "set"}),
        ("os", {"userAgent": "set"}, None),
        ("timezone", {}, "UTC"),
        ("hour", {}, 22),
        ("hour", {"timezone": "Europe/Berlin"}, 0),
        ("dayOfWeek", {"timezone": "Europe/Berlin"}, "thu"),
        ("date", {"timezone": "Europe/Berlin"}, "2026-07-02"),
        ("date", {"timezone": "Asia/Kathmandu"}, "2026-07-02"),
        ("hour", {"timezone": "nowhere"}, None),
        ("device", {}, None),
        ("language", {"locale": 7}, None),
        ("country", {}, None),
    ],
)
def test_what_follows(needed: str, attributes: dict[str, Any], value: Any) -> None:
    assert made(needed, **attributes) == value


def test_what_is_there_stays_and_what_nobody_needs_is_not_made() -> None:
    given_ = {"device": "bot", "userAgent": "set", "path": "/a"}
    assert completed(given_, frozenset({"device"}), MEANS) is given_
    assert completed(given_, frozenset({"emotion"}), MEANS) is given_
    assert completed(given_, frozenset({"device", "slug"}), MEANS) == {**given_, "slug": "a"}


def test_what_something_follows_from_is_behind_it() -> None:
    assert behind(frozenset({"campaign"})) == {"campaign", "query", "url"}
    assert behind(frozenset({"hour", "emotion"})) == {"hour", "timezone", "emotion"}


def test_the_ends_of_the_calendar_have_no_local_time() -> None:
    last = Means(datetime.max.replace(tzinfo=UTC), MEANS.agent)
    assert completed({"timezone": "Asia/Tokyo"}, frozenset({"hour", "date", "dayOfWeek"}), last) == {
        "timezone": "Asia/Tokyo"
    }


def test_bounds() -> None:
    many = "&".join(f"p{number}=x" for number in range(limits.QUERY_PARAMETERS_MAX))
    assert len(query_of(f"/?{many}")) == limits.QUERY_PARAMETERS_MAX
    assert query_of(f"/?{many}&q=x") == {}
    longest = "x" * limits.ATTRIBUTE_CHARACTERS_MAX
    assert campaign_of({"utm_source": longest, "utm_medium": longest + "x", "utm_term": ""}) == {"source": longest}


@pytest.mark.parametrize(
    "name", ["Europe", "", "../zoneinfo/UTC", "/etc/localtime", "UTC\0", "leapseconds", "a" * 65, "é"]
)
def test_a_name_that_is_no_time_zone(name: str) -> None:
    assert zone_of(name) is None


@given(st.text())
def test_a_slug_has_no_slash(path: str) -> None:
    assert "/" not in slug_of(path)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner),
)


@given(st.dictionaries(st.sampled_from(sorted(ALL)), VALUES), st.datetimes(timezones=st.just(UTC)))
def test_no_value_is_an_exception(attributes: dict[str, Any], now: datetime) -> None:
    found = completed(attributes, ALL, Means(now, MEANS.agent))
    assert {name: found[name] for name in attributes} == attributes

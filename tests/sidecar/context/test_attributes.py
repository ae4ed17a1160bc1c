"""What a request says of its visit: each attribute that is read, right or not at all, and no other."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from rules.context import ATTRIBUTES, Privacy
from rules.inference import behind
from sidecar.attribute_sources import Sources
from sidecar.context import attributes
from sidecar.context.attributes import attributes_of
from sidecar.context.visit import Visit
from tests.sidecar.visiting import NOW, visiting

ALL = frozenset(attribute.name for attribute in ATTRIBUTES)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
SOURCES = Sources(
    country="CF-IPCountry",
    region="CF-Region-Code",
    city="CF-IPCity",
    timezone="CF-Timezone",
    default_timezone="America/New_York",
    cookies=("plan", "absent"),
    headers=("x-shop", "x-absent"),
)


def made(visit: Visit, *reads: str, sources: Sources = SOURCES, **said: Any) -> Mapping[str, Any]:
    return attributes_of(visit, sources, frozenset(reads) or ALL, said, NOW)


def test_every_attribute_of_the_registry() -> None:
    full = visiting(
        "/offers/green%20tea/?x=1&x=2&y&utm_source=News&utm_campaign=spring",
        unit="abcdefgh",
        Accept_Language="en;q=0.5, de-DE, fr;q=0.9",
        Referer="https://Search.Example/q?secret",
        User_Agent=IPHONE,
        CF_IPCountry="de",
        CF_Region_Code="BY",
        CF_IPCity="M%C3%BCnchen",
        CF_Timezone="Europe/Berlin",
        Cookie='other=1; plan="gold"',
        X_Shop="tea",
    )
    attributes = made(full, layoutId="product", page={"emotion": "joy"})
    assert attributes == {
        "host": "shop.example",
        "path": "/offers/green%20tea/",
        "slug": "green%20tea",
        "url": "http://Shop.Example:8080/offers/green%20tea/?x=1&x=2&y&utm_source=News&utm_campaign=spring",
        "query": {"x": "1", "y": "", "utm_source": "News", "utm_campaign": "spring"},
        "campaign": {"source": "News", "name": "spring"},
        "layoutId": "product",
        "page": {"emotion": "joy"},
        "locale": "de-de",
        "language": "de",
        "referrer": "search.example",
        "userAgent": IPHONE,
        "mobile": True,
        "device": "mobile",
        "browser": {"name": "Mobile Safari", "version": "17.5", "major": 17},
        "os": {"name": "iOS", "version": "17.5"},
        "country": "DE",
        "region": "DE-BY",
        "city": "München",
        "timezone": "Europe/Berlin",
        "hour": 0,
        "dayOfWeek": "mon",
        "date": "2026-03-02",
        "cookies": {"plan": "gold"},
        "headers": {"x-shop": "tea"},
        "lm_uid": "abcdefgh",
        "returning": True,
    }
    kept = {attribute.name for attribute in ATTRIBUTES if attribute.privacy is Privacy.KEPT} - {"lm_uid"}
    assert set(attributes) == ALL - kept, "what browsers keep comes from a cookie of its own"


def test_types_and_members_are_those_of_the_registry() -> None:
    types: dict[str, type] = {"string": str, "number": int, "boolean": bool, "object": dict}
    attributes = made(visiting("/a?utm_source=x", unit="abcdefgh", User_Agent=IPHONE, Accept_Language="de"))
    for attribute in ATTRIBUTES:
        value: Any = attributes.get(attribute.name)
        if value is None:
            continue
        assert type(value) is types[attribute.type], attribute.name
        if attribute.values:
            assert value in attribute.values
        for member in attribute.members:
            if member.name in value:
                assert type(value[member.name]) is types[member.type], f"{attribute.name}.{member.name}"


def test_only_what_is_read_is_made() -> None:
    visit = visiting("/a?b=c", unit="abcdefgh", Accept_Language="de", User_Agent=IPHONE)
    assert set(made(visit, "language")) == {"host", "path", "url", "locale", "language"}
    assert set(made(visit, "campaign")) == {"host", "path", "url", "query"}
    assert set(made(visit, "emotion")) == {"host", "path", "url"}
    assert attributes_of(visit, SOURCES, frozenset(), {}, NOW).keys() == {"host", "path", "url"}


def test_what_is_given_is_not_made_again() -> None:
    attributes = made(visiting(Accept_Language="de"), "language", locale="fr-fr")
    assert (attributes["locale"], attributes["language"]) == ("fr-fr", "fr")


def test_what_is_not_known_is_absent() -> None:
    attributes = made(visiting(), sources=Sources())
    unknown = {
        "lm_uid", "locale", "language", "layoutId", "page", "campaign", "country", "region", "city", "browser", "os",
    }  # fmt: skip
    assert not unknown & set(attributes)
    assert (attributes["returning"], attributes["device"], attributes["userAgent"]) == (False, "other", "")
    assert (attributes["cookies"], attributes["headers"]) == ({}, {})
    assert (attributes["timezone"], attributes["hour"], attributes["dayOfWeek"]) == ("UTC", 23, "sun")


def test_a_new_visitor_has_the_unit_that_is_about_to_be_set() -> None:
    attributes = made(visiting(new_unit="12345678"), "lm_uid", "returning")
    assert (attributes["lm_uid"], attributes["returning"]) == ("12345678", False)


def test_client_hints_go_before_the_user_agent() -> None:
    desktop = made(visiting(Sec_CH_UA_Mobile="?0", Sec_CH_UA_Platform='"macOS"', User_Agent=IPHONE))
    assert (desktop["mobile"], desktop["device"], desktop["os"]) == (False, "desktop", {"name": "macOS"})
    assert made(visiting(Sec_CH_UA_Mobile="?1"), "mobile", "device")["device"] == "mobile"


def test_a_default_time_zone_and_one_that_is_none() -> None:
    for field in ("", "Mars/Base", "../etc/passwd", "Europe"):
        attributes = made(visiting(CF_Timezone=field), "timezone", "hour", "date")
        assert (attributes["timezone"], attributes["hour"], attributes["date"]) == (
            "America/New_York",
            18,
            "2026-03-01",
        )


def test_fields_and_cookies_that_are_unclear_or_too_long_are_left_out() -> None:
    twice = CIMultiDict([("CF-IPCountry", "DE"), ("CF-IPCountry", "FR"), ("Cookie", "plan=a; plan=b")])
    twice.extend([("X-Shop", "a"), ("X-Shop", "b")])
    attributes = made(Visit("http", "shop.example", "/", twice, ""), "country", "cookies", "headers")
    assert "country" not in attributes
    assert (attributes["cookies"], attributes["headers"]) == ({}, {"x-shop": "a, b"})
    long = made(visiting(X_Shop="x" * 501, Cookie="plan=" + "y" * 501), "cookies", "headers")
    assert (long["cookies"], long["headers"]) == ({}, {})
    enough = made(visiting(X_Shop="x" * 500), "headers")
    assert enough["headers"] == {"x-shop": "x" * 500}


@pytest.mark.parametrize(
    ("field", "locale"), [("de-DE,de;q=0.9", "de-de"), ("fr;q=0.1, en-GB;q=0.8", "en-gb"), ("*", None), (";;q=x", None)]
)
def test_the_language_that_is_liked_best(field: str, locale: str | None) -> None:
    assert made(visiting(Accept_Language=field), "locale").get("locale") == locale


@given(st.dictionaries(st.sampled_from(sorted(
    {"User-Agent", "Accept-Language", "Referer", "Cookie", "CF-IPCountry", "CF-Region-Code", "CF-IPCity", "CF-Timezone",
     "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "X-Shop"}
)), st.text(max_size=80)), st.text(max_size=60))  # fmt: skip
def test_no_request_is_too_odd(fields: dict[str, str], query: str) -> None:
    given = {name: value.encode().decode("utf-8", "surrogateescape") for name, value in fields.items()}
    visit = Visit("http", "shop.example", f"/?{query}", CIMultiDict(given), "")
    attributes = made(visit)
    assert attributes.keys() <= behind(ALL) | {"host", "path", "url"}
    assert attributes["device"] in next(one.values for one in ATTRIBUTES if one.name == "device")


def test_what_is_remembered_of_a_visitors_words_is_short() -> None:
    for remembered in (attributes._first_language, attributes._referring_host):
        remembered.cache_clear()
    for length in (50_000, 60_000):
        assert attributes.first_language("de" + ", x;q=0.1" * length) == "de"
        assert attributes.referring_host("https://a.example/" + "x" * length) == "a.example"
    assert (attributes._first_language.cache_info().currsize, attributes._referring_host.cache_info().currsize) == (
        1,
        1,
    )

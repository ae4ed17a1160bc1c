"""Countries, regions, cities and time zones as CDNs write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.context import places


@pytest.mark.parametrize(
    ("text", "country"),
    [("DE", "DE"), (" de ", "DE"), ("XX", None), ("T1", None), ("DEU", None), ("", None), ("D1", None), ("ß", None)],
)
def test_a_country(text: str, country: str | None) -> None:
    assert places.country_of(text) == country


@pytest.mark.parametrize(
    ("text", "country", "region"),
    [
        ("DE-BY", None, "DE-BY"),
        ("de-by", "FR", "DE-BY"),
        ("BY", "DE", "DE-BY"),
        ("75", "FR", "FR-75"),
        ("BY", None, None),
        ("Bayern", "DE", None),
        ("", "DE", None),
        ("DE-BYZZ", "DE", None),
    ],
)
def test_a_region_alone_is_joined_with_the_country(text: str, country: str | None, region: str | None) -> None:
    assert places.region_of(text, country) == region


@pytest.mark.parametrize(
    ("text", "city"),
    [
        ("Berlin", "Berlin"),
        ("S%C3%A3o Paulo", "São Paulo"),
        ("100%", "100%"),
        ("a\x00b", None),
        ("", None),
        ("x" * 501, None),
    ],
)
def test_a_city(text: str, city: str | None) -> None:
    assert places.city_of(text) == city


@given(st.text(), st.none() | st.just("DE"))
def test_no_text_is_an_exception(text: str, country: str | None) -> None:
    assert places.timezone_of(text) in {None, text.strip()}
    found = places.region_of(text, country)
    assert found is None or len(found) <= 6
    assert (places.country_of(text) or "DE").isupper()
    places.city_of(text)

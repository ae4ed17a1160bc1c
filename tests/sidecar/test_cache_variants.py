"""SIDECAR_CACHE_VARIANTS: read right, bounded, or refused by name when the sidecar starts."""

from typing import Any

import pytest

from sidecar.cache_variants import Variants
from sidecar.settings import SidecarSettings


def variants(declared: str, **given: Any) -> Variants | None:
    given = {"cache_variants_field": "X-Accel-Expires", **given}
    return SidecarSettings(upstream="http://127.0.0.1:1", cache_variants=declared, **given).variants


def test_nothing_is_kept_apart_unless_it_is_asked_for() -> None:
    assert SidecarSettings(upstream="http://127.0.0.1:1").variants is None


def test_what_an_operator_says() -> None:
    found = variants(
        " X-Country=DE|AT | other, x-device=mobile|desktop,", country_header="x-country", headers="X-Device"
    )
    assert found == Variants(
        control="X-Accel-Expires",
        axes={"X-Country": frozenset({"DE", "AT", "other"}), "x-device": frozenset({"mobile", "desktop"})},
        sources={"country": ("X-Country",), "headers": ("x-device",)},
    )


@pytest.mark.parametrize(
    ("declared", "settings", "attributes"),
    [
        ("X-Country=DE", {}, set()),
        ("X-Country=DE", {"country_header": "CF-IPCountry"}, set()),
        ("R=BY", {"region_header": "R"}, {"region"}),
        ("R=BY", {"region_header": "R", "country_header": "X-Country"}, set()),
        ("R=BY, X-Country=DE", {"region_header": "R", "country_header": "X-Country"}, {"region", "country"}),
        ("X-City=Bonn", {"city_header": "x-city"}, {"city"}),
        ("X-Zone=Europe/Berlin|UTC", {"timezone_header": "X-Zone"}, {"timezone"}),
        ("accept-language=de|en", {}, {"locale", "language"}),
        ("Sec-CH-UA-Mobile=?0|?1", {}, {"mobile"}),
        ("X-A=1|2", {"headers": "x-a, x-b"}, set()),
        ("X-A=1|2, X-B=1|2", {"headers": "x-a, x-b"}, {"headers"}),
    ],
)
def test_an_attribute_may_be_shared_where_axes_alone_decide_it(
    declared: str, settings: dict[str, str], attributes: set[str]
) -> None:
    found = variants(declared, **settings)
    assert found is not None
    assert found.sources.keys() == attributes


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("X-Country", "must hold FIELD=VALUE"),
        ("X-Country=", "must hold FIELD=VALUE"),
        ("X-Country=DE||AT", "'' is no value of X-Country"),
        ("X-Country=D E", "'D E' is no value"),
        ("X Country=DE", "must hold FIELD=VALUE"),
        ("X-Country=DE, x-country=AT", "names x-country twice"),
        *(
            (f"{name}=a|b", f"{name} is no field")
            for name in ("Cookie", "authorization", "User-Agent", "X-Forwarded-For")
        ),
        ("X-Layout-Mutation-Only=a|b", "is no field"),
        ("X-N=" + "|".join(map(str, range(65))), "makes 65 variants of a page by 1 fields; at most 64"),
        ("A=1|2|3|4|5, B=1|2|3|4|5, C=1|2|3", "makes 75 variants"),
        ("A=1, B=1, C=1, D=1, E=1", "by 5 fields; at most 64 by 4"),
    ],
)
def test_what_is_wrong_is_said_by_name(declared: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"SIDECAR_CACHE_VARIANTS") as error:
        variants(declared)
    assert message in str(error.value)


def test_both_settings_or_none() -> None:
    with pytest.raises(ValueError, match="needs SIDECAR_CACHE_VARIANTS_FIELD"):
        variants("X-Country=DE", cache_variants_field="")
    with pytest.raises(ValueError, match="FIELD is set and SIDECAR_CACHE_VARIANTS is not"):
        variants("")

"""SIDECAR_COUNTRY_HEADER and its neighbours: read right, or refused by name when the sidecar starts."""

from typing import Any

import pytest

from sidecar.attribute_sources import NAMES_MAX, Sources
from sidecar.settings import SidecarSettings


def settings(**given: Any) -> SidecarSettings:
    return SidecarSettings(upstream="http://127.0.0.1:1", **given)


def test_what_an_operator_says() -> None:
    given = settings(
        country_header=" CF-IPCountry ",
        timezone="Europe/Berlin",
        cookies="plan, theme,plan,",
        headers="X-Shop, x-plan",
    )
    assert given.attribute_sources == Sources(
        country="CF-IPCountry",
        default_timezone="Europe/Berlin",
        cookies=("plan", "theme"),
        headers=("x-shop", "x-plan"),
    )
    assert settings().attribute_sources == Sources()


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"country_header": "CF IPCountry"}, "SIDECAR_COUNTRY_HEADER: 'CF IPCountry' is no header's name"),
        ({"region_header": "Cookie"}, "SIDECAR_REGION_HEADER: the header Cookie is no attribute"),
        ({"city_header": "x:y"}, "SIDECAR_CITY_HEADER"),
        ({"timezone_header": "Authorization"}, "SIDECAR_TIMEZONE_HEADER"),
        ({"timezone": "Mars/Base"}, "SIDECAR_TIMEZONE must be an IANA time zone"),
        ({"headers": "x-a, COOKIE"}, "SIDECAR_HEADERS: the header cookie"),
        ({"headers": "authorization"}, "SIDECAR_HEADERS: the header authorization"),
        ({"headers": "Proxy-Authorization"}, "SIDECAR_HEADERS"),
        ({"headers": "X-Layout-Mutation-Token"}, "SIDECAR_HEADERS: the header x-layout-mutation-token"),
        ({"headers": ",".join(f"x-{n}" for n in range(NAMES_MAX + 1))}, f"at most {NAMES_MAX} headers"),
        ({"cookies": "plan, lm_uid"}, "SIDECAR_COOKIES: the cookie lm_uid is the engine's own"),
        ({"cookies": "a.b"}, "SIDECAR_COOKIES: rules can't name a.b"),
        ({"cookies": "a=b"}, "SIDECAR_COOKIES: 'a=b' is no cookie's name"),
    ],
)
def test_what_is_refused(given: dict[str, str], part: str) -> None:
    with pytest.raises(ValueError, match="SIDECAR_") as refused:
        settings(**given)
    assert part in str(refused.value)

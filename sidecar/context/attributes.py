"""The attributes of a visit that only its request says; what follows from them is `rules.inference`'s.

Each is made where the rules of the page read it, so what a visit costs grows with what is asked of it.
Counterpart: `rules.context`, whose registry names them. Never: I/O or a clock.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from multidict import MultiMapping

from rules import limits
from rules.inference import Agent, Means, behind, completed
from service.user_agents import agent_of
from sidecar.attribute_sources import Sources
from sidecar.context import fields, places
from sidecar.context.visit import Visit

Maker = Callable[[Visit, Sources], Any]
"""A visit, and where to look -> the value of one attribute; None for none."""

FIELD_CHARACTERS_MAX = 2048
"""So much of a field is read, and remembered, whose beginning says it all. A visitor decides how long it is."""
_LANGUAGE = re.compile(r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$")


def attributes_of(
    visit: Visit, sources: Sources, reads: frozenset[str], given: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Those attributes of the registry that are in `reads`, absent where nothing is known; with those that are `given`.

    The address is always among them: redirects ask for it.
    """
    found: dict[str, Any] = {"host": visit.host, "path": visit.path, "url": visit.url, **given}
    if not reads:
        return found
    for name, maker in _makers(reads):
        if name not in found and (value := maker(visit, sources)) is not None:
            found[name] = value

    def agent(user_agent: str) -> Agent:
        hints = visit.headers
        return agent_of(user_agent, hints.get("Sec-CH-UA-Mobile", ""), hints.get("Sec-CH-UA-Platform", ""))

    return completed(found, reads, Means(now, agent))


@lru_cache(maxsize=1024)
def _makers(reads: frozenset[str]) -> tuple[tuple[str, Maker], ...]:
    """Who makes what is read, and what that follows from."""
    wanted = behind(reads)
    return tuple((name, maker) for name, maker in _MAKERS.items() if name in wanted)


def _unit(visit: Visit, _: Sources) -> str | None:
    return visit.unit or visit.new_unit


def _locale(visit: Visit, _: Sources) -> str | None:
    return first_language(visit.headers.get("Accept-Language", "")) or None


def _mobile(visit: Visit, _: Sources) -> bool | None:
    hint = visit.headers.get("Sec-CH-UA-Mobile")
    return None if hint is None else hint.strip() == "?1"


def _country(visit: Visit, sources: Sources) -> str | None:
    return places.country_of(fields.only(visit.headers, sources.country)) if sources.country else None


def _region(visit: Visit, sources: Sources) -> str | None:
    if not sources.region:
        return None
    return places.region_of(fields.only(visit.headers, sources.region), _country(visit, sources))


def _city(visit: Visit, sources: Sources) -> str | None:
    return places.city_of(fields.only(visit.headers, sources.city)) if sources.city else None


def _timezone(visit: Visit, sources: Sources) -> str:
    given = places.timezone_of(fields.only(visit.headers, sources.timezone)) if sources.timezone else None
    return given or sources.default_timezone


def _cookies(visit: Visit, sources: Sources) -> dict[str, str]:
    return _short((name, fields.cookie(visit.headers, name)) for name in sources.cookies)


def _headers(visit: Visit, sources: Sources) -> dict[str, str]:
    return _short((name, _joined(visit.headers, name)) for name in sources.headers)


def _joined(headers: MultiMapping[str], name: str) -> str:
    """A field's value; several lines are one list (RFC 9110 5.3)."""
    return ", ".join(value.strip() for value in headers.getall(name, []))


def _short(values: Any) -> dict[str, str]:
    return {name: value for name, value in values if 0 < len(value) <= limits.ATTRIBUTE_CHARACTERS_MAX}


def first_language(accept_language: str) -> str:
    """The language range that the client likes best (RFC 9110 12.5.4), lower case; empty where there is none."""
    return _first_language(accept_language[:FIELD_CHARACTERS_MAX])


@lru_cache(maxsize=1024)
def _first_language(accept_language: str) -> str:
    best, best_quality = "", 0.0
    for part in accept_language.split(","):
        language, _, parameter = part.partition(";")
        name, _, text = parameter.strip().partition("=")
        try:
            quality = float(text) if name.strip().lower() == "q" else 1.0
        except ValueError:
            continue
        if quality > best_quality and _LANGUAGE.match(language.strip()):
            best, best_quality = language.strip().lower(), quality
    return best


def referring_host(referer: str) -> str:
    """The host of a Referer field, lower case, empty without one."""
    return _referring_host(referer[:FIELD_CHARACTERS_MAX])


@lru_cache(maxsize=1024)
def _referring_host(referer: str) -> str:
    try:
        return (urlsplit(referer).hostname or "").lower()
    except ValueError:
        return ""


_MAKERS: Mapping[str, Maker] = {
    "lm_uid": _unit,
    "returning": lambda visit, _: visit.unit is not None,
    "locale": _locale,
    "referrer": lambda visit, _: referring_host(visit.headers.get("Referer", "")),
    "userAgent": lambda visit, _: visit.headers.get("User-Agent", ""),
    "mobile": _mobile,
    "country": _country,
    "region": _region,
    "city": _city,
    "timezone": _timezone,
    "cookies": _cookies,
    "headers": _headers,
}

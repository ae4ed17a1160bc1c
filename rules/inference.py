"""Attributes of the registry that follow from others of the same visit, made where rules read them.

They are the same whoever makes a context: the edge from a request, preview and the command line from JSON.
Counterparts: `rules.context` lists them, `sidecar.context.attributes` makes what only a request says. Who reads a User-Agent is
handed in (`service.user_agents`), and so is the time.
Never: a value in place of one that the visit has; an exception for any value.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from rules import limits

DEFAULT_TIMEZONE = "UTC"
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
_CAMPAIGN = {
    "source": "utm_source",
    "medium": "utm_medium",
    "name": "utm_campaign",
    "term": "utm_term",
    "content": "utm_content",
}


class Agent(Struct, frozen=True):
    """What a User-Agent says."""

    device: str
    """A word of `rules.triggers.Device`."""
    browser: Mapping[str, Any]
    """`name`, `version` and `major`, as far as they are known."""
    os: Mapping[str, Any]
    """`name` and `version`, as far as they are known."""


class Means(Struct, frozen=True):
    """What is needed beside other attributes."""

    now: datetime
    agent: Callable[[str], Agent]
    """Reads a User-Agent; never raises."""


class _Rule(Struct, frozen=True):
    """How one attribute follows from one other."""

    source: str
    """Empty for one that needs none."""
    make: Callable[[Any, Means], Any]
    """From the value of the other one (None where the visit has none); None for none."""


def completed(attributes: Mapping[str, Any], needed: frozenset[str], means: Means) -> Mapping[str, Any]:
    """The attributes of a visit with those that are `needed`, not there, and follow from what is."""
    missing = [name for name in _in_order(needed) if name not in attributes]
    if not missing:
        return attributes
    found = dict(attributes)
    for name in missing:
        rule = _RULES[name]
        if (value := rule.make(found.get(rule.source), means)) is not None:
            found[name] = value
    return found


@lru_cache(maxsize=1024)
def behind(needed: frozenset[str]) -> frozenset[str]:
    """`needed`, and all attributes that those follow from."""
    found, fresh = set(needed), set(needed)
    while fresh := {_RULES[name].source for name in fresh if name in _RULES} - found - {""}:
        found |= fresh
    return frozenset(found)


@lru_cache(maxsize=1024)
def _in_order(needed: frozenset[str]) -> tuple[str, ...]:
    """Those of the registry that follow from others, each after the one it follows from."""
    wanted = behind(needed)
    return tuple(name for name in _RULES if name in wanted)


def query_of(address: str) -> dict[str, str]:
    """The query parameters of an address, the first value of each; {} for more than any page has."""
    query = address.partition("#")[0].partition("?")[2]
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=limits.QUERY_PARAMETERS_MAX)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def campaign_of(query: Mapping[str, Any]) -> dict[str, str]:
    """The campaign of an address, from its query's utm_* parameters; {} without any. What is too long is left out."""
    given = {name: query.get(parameter) for name, parameter in _CAMPAIGN.items()}
    return {name: text for name, text in given.items() if isinstance(text, str) and 0 < len(text) <= _LONGEST}


_LONGEST = limits.ATTRIBUTE_CHARACTERS_MAX


def slug_of(path: str) -> str:
    """The last part of a path: `/offers/green-tea/` -> `green-tea`."""
    return path.rstrip("/").rpartition("/")[2]


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None where there is none."""
    if len(name) > limits.ZONE_CHARACTERS_MAX or not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as Europe
        return None


def _local(zone: object, now: datetime) -> datetime | None:
    """The time of a visit where it is; None for a zone that is none, and at the ends of the calendar."""
    found = zone_of(zone) if isinstance(zone, str) else None
    try:
        return None if found is None else now.astimezone(found)
    except OverflowError:
        return None


def _hour(zone: object, means: Means) -> int | None:
    local = _local(zone, means.now)
    return None if local is None else local.hour


def _day(zone: object, means: Means) -> str | None:
    local = _local(zone, means.now)
    return None if local is None else _DAYS[local.weekday()]


def _date(zone: object, means: Means) -> str | None:
    local = _local(zone, means.now)
    return None if local is None else local.date().isoformat()


def _agent(user_agent: object, means: Means) -> Agent | None:
    return means.agent(user_agent) if isinstance(user_agent, str) else None


def _device(user_agent: object, means: Means) -> str | None:
    agent = _agent(user_agent, means)
    return None if agent is None else agent.device


def _browser(user_agent: object, means: Means) -> Mapping[str, Any] | None:
    agent = _agent(user_agent, means)
    return (agent and agent.browser) or None


def _os(user_agent: object, means: Means) -> Mapping[str, Any] | None:
    agent = _agent(user_agent, means)
    return (agent and agent.os) or None


_RULES: Mapping[str, _Rule] = {
    "query": _Rule("url", lambda url, _: query_of(url) if isinstance(url, str) else None),
    "campaign": _Rule("query", lambda query, _: (isinstance(query, Mapping) and campaign_of(query)) or None),
    "slug": _Rule("path", lambda path, _: slug_of(path) if isinstance(path, str) else None),
    "language": _Rule("locale", lambda locale, _: locale.partition("-")[0] if isinstance(locale, str) else None),
    "mobile": _Rule("userAgent", lambda agent, _: "Mobi" in agent if isinstance(agent, str) else None),
    "device": _Rule("userAgent", _device),
    "browser": _Rule("userAgent", _browser),
    "os": _Rule("userAgent", _os),
    "timezone": _Rule("", lambda *_: DEFAULT_TIMEZONE),
    "hour": _Rule("timezone", _hour),
    "dayOfWeek": _Rule("timezone", _day),
    "date": _Rule("timezone", _date),
}
"""Attribute -> how it is made, each after the one it follows from."""

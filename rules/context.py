"""What is known about one visit.

Counterparts: `sidecar.context.attributes` makes what a request says, `rules.inference` what follows from that; preview, `/apply` and
the command line are given attributes as JSON.
`ATTRIBUTES` is the registry: conditions may read these names, documentation and the condition builder list them, and
caching follows from them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, get_args

from msgspec import Meta, Struct

from rules.triggers import Day, Device


class Privacy(StrEnum):
    """What reading an attribute means for shared caches."""

    PAGE = "page"
    """The same for everyone who asks for this address: caches are not affected."""
    VISITOR = "visitor"
    """Differs between visitors: a response that depended on it is private."""
    KEPT = "kept"
    """Kept in the visitor's browser, so absent without consent: a response that depended on it is private."""


class Member(Struct, frozen=True):
    """A part of an attribute that is an object; conditions read it as `attribute.member`."""

    name: str
    type: str
    source: str


class Attribute(Struct, frozen=True):
    """One attribute that a condition may read."""

    name: str
    type: str
    source: str
    privacy: Privacy
    values: tuple[str | int | bool, ...] = ()
    """All that it can be; empty where that is open."""
    form: str = ""
    """A regular expression that each of its values fits as a whole; empty for any text."""
    members: tuple[Member, ...] = ()
    """All that it may hold; an object without them may hold anything."""


_CAMPAIGN = (
    Member("source", "string", "utm_source, for example newsletter"),
    Member("medium", "string", "utm_medium, for example email"),
    Member("name", "string", "utm_campaign"),
    Member("term", "string", "utm_term"),
    Member("content", "string", "utm_content"),
)
_BROWSER = (
    Member("name", "string", "for example Chrome, Mobile Safari, Firefox"),
    Member("version", "string", "for example 126.0.0.0"),
    Member("major", "number", "for example 126"),
)
_OS = (
    Member("name", "string", "for example Windows, macOS, Linux, Android, iOS, Chrome OS"),
    Member("version", "string", "for example 17.5, as the User-Agent says it; browsers have stopped to say all of it"),
)
_FIRST_REFERRAL = (
    Member("referrer", "string", "as `referrer` was then"),
    Member("source", "string", "as `campaign.source` was then"),
    Member("medium", "string", "as `campaign.medium` was then"),
    Member("name", "string", "as `campaign.name` was then"),
    Member("landing", "string", "path of the first page"),
)

_OF_THE_PAGE = (
    Attribute("host", "string", "Host header, lower case, without the port", Privacy.PAGE, form="[^A-Z]*"),
    Attribute("path", "string", "path of the address, as it came", Privacy.PAGE),
    Attribute("slug", "string", "last part of the path, for example green-tea; empty for /", Privacy.PAGE),
    Attribute("url", "string", "scheme, host, path and query", Privacy.PAGE),
    Attribute("query", "object", "query parameters; the first value of each", Privacy.PAGE),
    Attribute("campaign", "object", "utm_* parameters of the query", Privacy.PAGE, members=_CAMPAIGN),
    Attribute("layoutId", "string", "X-Layout-Id of the origin's response", Privacy.PAGE),
    Attribute(
        "page",
        "object",
        "what the origin says of its page: X-Layout-Attributes, a script `data-layout-attributes`, metas "
        "`layout-mutation:NAME`",
        Privacy.PAGE,
    ),
)

_OF_THE_VISITOR = (
    Attribute(
        "locale",
        "string",
        "first language of Accept-Language, lower case, for example de-de",
        Privacy.VISITOR,
        form="[a-z0-9-]+",
    ),
    Attribute("language", "string", "primary subtag of the locale, for example de", Privacy.VISITOR, form="[a-z]+"),
    Attribute("referrer", "string", "host of the Referer, empty without one", Privacy.VISITOR),
    Attribute("userAgent", "string", "User-Agent header", Privacy.VISITOR),
    Attribute(
        "mobile",
        "boolean",
        "Sec-CH-UA-Mobile, else whether the User-Agent says Mobi (RFC 9110 10.1.5)",
        Privacy.VISITOR,
        values=(True, False),
    ),
    Attribute(
        "device",
        "string",
        "User-Agent, and before it Sec-CH-UA-Mobile and Sec-CH-UA-Platform",
        Privacy.VISITOR,
        values=get_args(Device),
    ),
    Attribute("browser", "object", "User-Agent", Privacy.VISITOR, members=_BROWSER),
    Attribute("os", "object", "Sec-CH-UA-Platform, else the User-Agent", Privacy.VISITOR, members=_OS),
    Attribute(
        "country",
        "string",
        "header that SIDECAR_COUNTRY_HEADER names: ISO 3166-1, for example DE",
        Privacy.VISITOR,
        form="[A-Z]{2}",
    ),
    Attribute(
        "region",
        "string",
        "header that SIDECAR_REGION_HEADER names: ISO 3166-2, for example DE-BY",
        Privacy.VISITOR,
        form="[A-Z]{2}-[A-Z0-9]{1,3}",
    ),
    Attribute("city", "string", "header that SIDECAR_CITY_HEADER names", Privacy.VISITOR),
    Attribute(
        "timezone",
        "string",
        "header that SIDECAR_TIMEZONE_HEADER names, else SIDECAR_TIMEZONE, for example Europe/Berlin",
        Privacy.VISITOR,
    ),
    Attribute("hour", "number", "hour of the day in that time zone, 0 to 23", Privacy.VISITOR, values=tuple(range(24))),
    Attribute("dayOfWeek", "string", "day of the week in that time zone", Privacy.VISITOR, values=get_args(Day)),
    Attribute(
        "date",
        "string",
        "date in that time zone, for example 2026-03-01",
        Privacy.VISITOR,
        form="[0-9]{4}-[0-9]{2}-[0-9]{2}",
    ),
    Attribute("cookies", "object", "cookies that SIDECAR_COOKIES names", Privacy.VISITOR),
    Attribute("headers", "object", "request headers that SIDECAR_HEADERS names, lower case", Privacy.VISITOR),
    Attribute("returning", "boolean", "the visit brought a cookie lm_uid", Privacy.VISITOR, values=(True, False)),
)

_KEPT = (
    Attribute("lm_uid", "string", "anonymous unit id, from the cookie lm_uid", Privacy.KEPT),
    Attribute("firstReferral", "object", "where the first visit came from", Privacy.KEPT, members=_FIRST_REFERRAL),
    Attribute("visits", "number", "sessions so far, with this one", Privacy.KEPT),
    Attribute("pagesSeen", "number", "pages of this session so far, with this one", Privacy.KEPT),
)

ATTRIBUTES: tuple[Attribute, ...] = _OF_THE_PAGE + _OF_THE_VISITOR + _KEPT

PAGE_ATTRIBUTES = frozenset(attribute.name for attribute in ATTRIBUTES if attribute.privacy is Privacy.PAGE)


class Context(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One visit of one page. `attributes` may hold more than the registry knows: unknown ones count as the visitor's."""

    site: str
    """Host of the address, lower case, without the port."""
    path: str
    """Path of the address, beginning with a slash."""
    now: Annotated[datetime, Meta(tz=True)] = datetime(1970, 1, 1, tzinfo=UTC)
    layout_id: str | None = None
    attributes: Mapping[str, Any] = {}
    forced: Mapping[str, str] = {}
    """Experiment id -> variation key that this visit is shown, whatever its bucket."""
    assigned: Mapping[str, str] = {}
    """What the visit remembers of earlier ones: `<experiment>__<bucketVersion>` -> variation key, as a decision's
    `remember` said it."""
    disabled: frozenset[str] = frozenset()
    """Words for what is off for this visit: module ids, `mutation:ID`, `layer:micro`; `rules.switch_words` has them all."""
    only: frozenset[str] | None = None
    """If given, mutations that none of these words name don't apply to this visit."""
    held: frozenset[str] = frozenset()
    """Ids of mutations that this edge has in quarantine, since they did harm here."""

"""What is known about one visit.

Counterpart: `sidecar.visit` makes a Context from a request; preview, `/apply` and the command line from JSON.
`ATTRIBUTES` is the registry: conditions may read these names, documentation and the condition builder list them, and
caching follows from them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct


class Privacy(StrEnum):
    """What reading an attribute means for shared caches."""

    PAGE = "page"
    """The same for everyone who asks for this address: caches are not affected."""
    VISITOR = "visitor"
    """Differs between visitors: a response that depended on it is private."""


class Attribute(Struct, frozen=True):
    """One attribute that a condition may read."""

    name: str
    type: str
    source: str
    privacy: Privacy


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("host", "string", "Host header, lower case, without the port", Privacy.PAGE),
    Attribute("path", "string", "path of the address, as it came", Privacy.PAGE),
    Attribute("url", "string", "scheme, host, path and query", Privacy.PAGE),
    Attribute("query", "object", "query parameters; the first value of each", Privacy.PAGE),
    Attribute("layoutId", "string", "X-Layout-Id of the origin's response", Privacy.PAGE),
    Attribute("lm_uid", "string", "anonymous unit id, from the cookie lm_uid", Privacy.VISITOR),
    Attribute("returning", "boolean", "the visit brought a cookie lm_uid", Privacy.VISITOR),
    Attribute("locale", "string", "first language of Accept-Language, lower case, for example de-de", Privacy.VISITOR),
    Attribute("language", "string", "primary subtag of the locale, for example de", Privacy.VISITOR),
    Attribute("referrer", "string", "host of the Referer, empty without one", Privacy.VISITOR),
    Attribute("userAgent", "string", "User-Agent header", Privacy.VISITOR),
    Attribute(
        "mobile",
        "boolean",
        "Sec-CH-UA-Mobile, else whether the User-Agent says Mobi (RFC 9110 10.1.5)",
        Privacy.VISITOR,
    ),
    Attribute("firstReferral", "object", "where the first visit came from", Privacy.VISITOR),
    Attribute("visits", "number", "sessions so far, with this one", Privacy.VISITOR),
    Attribute("pagesSeen", "number", "pages of this session so far, with this one", Privacy.VISITOR),
)

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
    """Module ids whose mutations don't apply to this visit; `*` for all."""
    only: frozenset[str] | None = None
    """If given, mutations of other modules don't apply to this visit."""
    held: frozenset[str] = frozenset()
    """Ids of mutations that this edge has in quarantine: a second opinion differed from what became of a page."""

"""A request -> what is known about the visit.

Counterpart: `rules.context`, whose registry names the attributes made here, and `proxy`, which asks only for pages.
Never: I/O or a clock; the address, the time and a new unit id arrive as arguments.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct
from multidict import MultiMapping

from rules.context import Context
from sidecar.toggles import Toggles

UNIT_COOKIE = "lm_uid"
UNIT_COOKIE_AGE_S = 365 * 24 * 3600
QUERY_PARAMETERS_MAX = 100
"""Parameters of one address that conditions can read; more is noise."""

_UNIT = re.compile(r"(?:^|;)\s*lm_uid=\"?([A-Za-z0-9_-]{8,64})\"?\s*(?:;|$)")
_LANGUAGE = re.compile(r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$")


class Visit(Struct, frozen=True):
    """One request, as far as rules may look at it."""

    scheme: str
    """`http` or `https`, as the visitor sees it."""
    authority: str
    """Host with port, as it came."""
    target: str
    """Path and query, as they came."""
    headers: MultiMapping[str]
    address: str
    """The visitor's address; empty where it is unknown."""
    unit: str | None = None
    """The anonymous unit id that the visit brought."""
    new_unit: str | None = None
    """The one it is given if an experiment asks; None where it has one, or where consent is missing."""
    known_units: Mapping[str, str] = {}
    """Attribute -> unit, as the site knows the visitor (`sidecar.units`)."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def host(self) -> str:
        return host_of(self.authority)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def unit_of(headers: MultiMapping[str]) -> str | None:
    """The unit id in the Cookie field; None where there is none or it is none of ours."""
    for value in headers.getall("Cookie", ()):
        if "lm_uid" in value and (match := _UNIT.search(value)):
            return match.group(1)
    return None


def has_cookie(headers: MultiMapping[str], name: str) -> bool:
    """Whether the request brings a cookie of that name with something in it."""
    return any(
        key.strip() == name and bool(value.strip())
        for field in headers.getall("Cookie", ())
        for key, _, value in (pair.partition("=") for pair in field.split(";"))
    )


def context_of(
    visit: Visit,
    *,
    layout_id: str | None,
    now: datetime,
    toggles: Toggles | None = None,
    held: frozenset[str] = frozenset(),
) -> Context:
    """What rules see: the attributes of the registry in `rules.context`, absent where nothing is known."""
    site, path = visit.host, visit.path
    attributes = {**_page(visit, site, path, layout_id), **_visitor(visit)}
    if toggles is None:
        return Context(site=site, path=path, now=now, layout_id=layout_id, attributes=attributes, held=held)
    return Context(
        site=site,
        path=path,
        now=now,
        layout_id=layout_id,
        attributes=attributes,
        forced=toggles.forced,
        disabled=toggles.disabled,
        only=toggles.only,
        held=held,
    )


def context_of_address(
    url: str, attributes: Mapping[str, Any], now: datetime, *, held: frozenset[str] = frozenset()
) -> Context:
    """A context for an address alone, with further `attributes` as given; for `/explain`."""
    parts = urlsplit(url)
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    site = (parts.hostname or "").lower()
    layout_id = attributes.get("layoutId")
    page: dict[str, Any] = {"host": site, "path": path, "url": url, "query": _query(target)}
    return Context(
        site=site,
        path=path,
        now=now,
        layout_id=layout_id if isinstance(layout_id, str) else None,
        attributes={**page, **attributes},
        held=held,
    )


def in_rollout(share: float, visit: Visit) -> bool:
    """Whether this visit is among the `share` (0 to 1) that may be mutated: the same answer every time it comes."""
    if share >= 1:
        return True
    who = visit.unit or f"{visit.address}\n{visit.headers.get('User-Agent', '')}"
    digest = hashlib.sha256(b"rollout\n" + who.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def unit_cookie(unit: str, *, secure: bool) -> bytes:
    """The Set-Cookie value that gives the visitor a unit id for a year."""
    text = f"{UNIT_COOKIE}={unit}; Max-Age={UNIT_COOKIE_AGE_S}; Path=/; HttpOnly; SameSite=Lax"
    return (text + "; Secure" if secure else text).encode()


@lru_cache(maxsize=1024)
def host_of(authority: str) -> str:
    """`Shop.Example:8080` -> `shop.example`; brackets around IPv6 stay."""
    host = authority if authority.endswith("]") else authority.rpartition(":")[0] or authority
    return host.lower()


def _page(visit: Visit, site: str, path: str, layout_id: str | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {"host": site, "path": path, "url": visit.url, "query": _query(visit.target)}
    if layout_id is not None:
        attributes["layoutId"] = layout_id
    return attributes


def _visitor(visit: Visit) -> dict[str, Any]:
    headers = visit.headers
    agent = headers.get("User-Agent", "")
    mobile_hint = headers.get("Sec-CH-UA-Mobile")
    attributes: dict[str, Any] = {
        "returning": visit.unit is not None,
        "referrer": referring_host(headers.get("Referer", "")),
        "userAgent": agent,
        "mobile": mobile_hint.strip() == "?1" if mobile_hint is not None else "Mobi" in agent,
    }
    if (unit := visit.unit or visit.new_unit) is not None:
        attributes["lm_uid"] = unit
    if locale := first_language(headers.get("Accept-Language", "")):
        attributes["locale"] = locale
        attributes["language"] = locale.partition("-")[0]
    attributes.update(visit.known_units)
    return attributes


def _query(target: str) -> dict[str, str]:
    query = target.partition("?")[2]
    if not query:
        return {}
    found: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_PARAMETERS_MAX)
    except ValueError:
        return {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


@lru_cache(maxsize=1024)
def first_language(accept_language: str) -> str:
    """The language range that the client likes best (RFC 9110 12.5.4), lower case; empty where there is none."""
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


@lru_cache(maxsize=1024)
def referring_host(referer: str) -> str:
    """The host of a Referer field, lower case, empty without one."""
    try:
        return (urlsplit(referer).hostname or "").lower()
    except ValueError:
        return ""

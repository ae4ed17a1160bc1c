"""Where a visit comes from: country, region, city, and time zone, out of fields that a CDN or proxy writes.

Pure. Counterpart: `attributes`. Never: a place that is not well-formed; an address looked up anywhere.
"""

import re
from urllib.parse import unquote

from rules import limits
from rules.inference import zone_of

_COUNTRY = re.compile(r"[A-Z]{2}")
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_PART = re.compile(r"[A-Z0-9]{1,3}")
_NOWHERE = frozenset({"XX", "T1", "ZZ"})
"""What CDNs write where they do not know, or for Tor."""


def country_of(text: str) -> str | None:
    """A country (ISO 3166-1 alpha-2), in capitals."""
    code = _code(text)
    return code if _COUNTRY.fullmatch(code) and code not in _NOWHERE else None


def region_of(text: str, country: str | None) -> str | None:
    """A part of a country (ISO 3166-2), in capitals; `BY` alone is joined with the country."""
    code = _code(text)
    if _REGION.fullmatch(code):
        return code
    return f"{country}-{code}" if country is not None and _PART.fullmatch(code) else None


def _code(text: str) -> str:
    return text.strip().upper() if text.isascii() else ""  # some letters become two when they are made large


def city_of(text: str) -> str | None:
    """A city's name; CDNs that write it percent-encoded are read too."""
    name = text.strip()
    if "%" in name:
        name = unquote(name, errors="replace")
    return name if 0 < len(name) <= limits.ATTRIBUTE_CHARACTERS_MAX and name.isprintable() else None


def timezone_of(text: str) -> str | None:
    """An IANA time zone."""
    name = text.strip()
    return name if zone_of(name) is not None else None

"""Which request fields attributes come from, as far as only an operator knows: what `SIDECAR_COUNTRY_HEADER` and its
neighbours say, checked when the sidecar starts.

Counterparts: `context.attributes` reads them off a request, `unit_sources` does the same for units of experiments.
Never: a request; a credential among the attributes.
"""

import re

from msgspec import Struct

from rules.inference import DEFAULT_TIMEZONE, zone_of

NAMES_MAX = 50
"""Cookies or headers of one list: rules read a few."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_CREDENTIALS = frozenset({"cookie", "authorization", "proxy-authorization"})
_OWN_HEADERS = "x-layout-mutation"
_OWN_COOKIES = "lm_"


class Sources(Struct, frozen=True):
    """Fields by their names; empty for none."""

    country: str = ""
    region: str = ""
    city: str = ""
    timezone: str = ""
    default_timezone: str = DEFAULT_TIMEZONE
    cookies: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    """In lower case."""


def checked_header(variable: str, name: str) -> str:
    """The name of one header field, or nothing; ValueError names the variable."""
    return _checked(variable, name.strip(), "header") if name.strip() else ""


def header_names(variable: str, declared: str) -> tuple[str, ...]:
    """The header fields of a list, in lower case; ValueError names the variable and the offender."""
    return _names(variable, declared.lower(), "header")


def cookie_names(variable: str, declared: str) -> tuple[str, ...]:
    """The cookies of a list; ValueError names the variable and the offender."""
    return _names(variable, declared, "cookie")


def checked_timezone(variable: str, name: str) -> str:
    """An IANA time zone; ValueError names the variable."""
    if zone_of(name) is None:
        raise ValueError(f"{variable} must be an IANA time zone such as Europe/Berlin (got {name[:80]!r})")
    return name


def _names(variable: str, declared: str, kind: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in declared.split(",") if name.strip()))
    if len(names) > NAMES_MAX:
        raise ValueError(f"{variable} may name at most {NAMES_MAX} {kind}s")
    if dotted := [name for name in names if "." in name]:
        raise ValueError(f"{variable}: rules can't name {dotted[0][:80]}: what follows a dot is a member")
    return tuple(_checked(variable, name, kind) for name in names)


def _checked(variable: str, name: str, kind: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{variable}: {name[:80]!r} is no {kind}'s name")
    lower = name.lower()
    if kind == "header" and (lower in _CREDENTIALS or lower.startswith(_OWN_HEADERS)):
        raise ValueError(f"{variable}: the header {name} is no attribute: it holds credentials, or is the engine's own")
    if kind == "cookie" and lower.startswith(_OWN_COOKIES):
        raise ValueError(f"{variable}: the cookie {name} is the engine's own; its attributes have names of their own")
    return name

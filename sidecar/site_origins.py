"""What `SIDECAR_SITES` and `SIDECAR_UPSTREAM` say, checked when the sidecar starts: which origins serve which hosts.

Counterparts: `origin.sites` finds the site of a request, `origin_settings` declares the variables.
Never: a connection, or a name that is looked up.
"""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from rules.errors import RulesError
from rules.pages import ANYWHERE, normalised_site

SITES_MAX = 1000
ORIGINS_OF_SITE_MAX = 64
"""More stand behind a balancer of their own."""
DEFAULT_PORTS = {"http": 80, "https": 443}

EXPECTED = (
    "SIDECAR_SITES must hold host=origin, several origins of a host separated by spaces and hosts by commas, for example "
    "shop.example=http://10.0.0.5:3000 http://10.0.0.6:3000, *.example=https://10.0.0.7#www.example"
)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")


class OriginAddress(Struct, frozen=True):
    """Where one origin is."""

    scheme: str
    """`http` or `https`."""
    host: str
    """A name or an address to connect to; IPv6 without brackets."""
    port: int
    name: str
    """Whom its certificate must name, and what it calls itself; the host where nothing else was said."""

    @property
    def label(self) -> str:
        """The address as it was written: in logs, metrics and `/table`."""
        named = "" if self.name == self.host else f"#{self.name}"
        return f"{self.scheme}://{self._with_port(self.host)}{named}"

    @property
    def authority(self) -> bytes:
        """What it calls itself, as a Host field has it."""
        return self._with_port(self.name).encode()

    def _with_port(self, host: str) -> str:
        bracketed = f"[{host}]" if ":" in host else host
        return bracketed if self.port == DEFAULT_PORTS[self.scheme] else f"{bracketed}:{self.port}"


class SiteOrigins(Struct, frozen=True):
    """One site: the hosts it is known by, and the origins that serve them."""

    pattern: str
    """`shop.example`, `*.example` for all below it, or `*` for every other host; lower case."""
    origins: tuple[OriginAddress, ...]


def sites_of(declared: str, upstream: str) -> tuple[SiteOrigins, ...]:
    """All sites, `upstream` being the one for every host that is not named; ValueError names the variable and the fix."""
    sites = {site.pattern: site for site in _declared(declared)}
    if not sites and not upstream:
        raise ValueError(
            "SIDECAR_UPSTREAM is not set: it is the address of the site that is fronted, for example https://shop.example; "
            "or set SIDECAR_SITES"
        )
    if upstream:
        if ANYWHERE in sites:
            raise ValueError("SIDECAR_SITES has an origin for * and SIDECAR_UPSTREAM is another: leave one of them out")
        sites[ANYWHERE] = SiteOrigins(ANYWHERE, (_origin("SIDECAR_UPSTREAM", upstream),))
    return tuple(sites.values())


def _declared(declared: str) -> Iterator[SiteOrigins]:
    parts = [part.strip() for part in declared.split(",") if part.strip()]
    if len(parts) > SITES_MAX:
        raise ValueError(f"SIDECAR_SITES has {len(parts)} sites; {SITES_MAX} is the most")
    seen: set[str] = set()
    for part in parts:
        pattern, equals, addresses = part.partition("=")
        if not equals or not addresses.strip():
            raise ValueError(f"{EXPECTED} (got {part[:80]!r})")
        site = SiteOrigins(_pattern(pattern.strip()), _origins(addresses.split()))
        if site.pattern in seen:
            raise ValueError(
                f"SIDECAR_SITES has {site.pattern} twice: write its origins behind one =, separated by spaces"
            )
        seen.add(site.pattern)
        yield site


def _pattern(pattern: str) -> str:
    if pattern == ANYWHERE:
        return pattern
    try:
        return normalised_site(pattern, "")
    except RulesError:
        raise ValueError(f"{EXPECTED} (got the host {pattern[:80]!r})") from None


def _origins(addresses: list[str]) -> tuple[OriginAddress, ...]:
    found = tuple(_origin("SIDECAR_SITES", address) for address in addresses)
    if len(found) > ORIGINS_OF_SITE_MAX:
        raise ValueError(f"SIDECAR_SITES has {len(found)} origins of one site; {ORIGINS_OF_SITE_MAX} is the most")
    if len({origin.label for origin in found}) < len(found):
        raise ValueError(f"SIDECAR_SITES has an origin twice in {' '.join(addresses)[:80]!r}")
    return found


def _origin(variable: str, address: str) -> OriginAddress:
    parts = urlsplit(address)
    port = _port(parts)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port is None:
        raise ValueError(f"{variable} must be http://host[:port] or https://host[:port]{_got(variable, address)}")
    if parts.path not in {"", "/"} or parts.query or parts.username is not None:
        raise ValueError(
            f"{variable} must be an origin without path, query or user, for example https://shop.example"
            f"{_got(variable, address)}"
        )
    name = parts.fragment
    if ("#" in address and not _NAME.fullmatch(name)) or (name and parts.scheme != "https"):
        raise ValueError(
            f"{variable}: what follows # is the name that the certificate of an https origin must have, for example "
            f"https://10.0.0.5#shop.example (got {address[:80]!r})"
        )
    return OriginAddress(parts.scheme, parts.hostname, port, name.lower() or parts.hostname)


def _port(parts: SplitResult) -> int | None:
    """The port, None for what is none."""
    try:
        port = parts.port
    except ValueError:
        return None
    if port is None:
        return DEFAULT_PORTS.get(parts.scheme, 0)
    return port or None


def _got(variable: str, address: str) -> str:
    """Which of several addresses is meant, without what may be a password."""
    return "" if variable == "SIDECAR_UPSTREAM" or "@" in address else f" (got {address[:80]!r})"

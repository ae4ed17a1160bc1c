"""A request as a visit: the address that is asked for, and who asks.

Counterparts: `attributes` reads more off it where rules want to know; `proxy` makes one for pages only.
Never: I/O or a clock; the address and a new unit id arrive as arguments.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from msgspec import Struct
from multidict import MultiMapping

from sidecar.context import fields

UNIT_COOKIE = "lm_uid"
DAY_S = 24 * 3600

_DATED = re.compile(r"d([0-9]{5})-[0-9a-f-]{36}")
_UNIT = re.compile(r"(?:^|;)\s*lm_uid=\"?([A-Za-z0-9_-]{8,64})\"?\s*(?:;|$)")


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
    offer: "Offer | None" = None
    """The one it is given if an experiment asks; None where it has one, or where consent is missing."""

    @property
    def new_unit(self) -> str | None:
        return None if self.offer is None else self.offer.unit

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def host(self) -> str:
        return host_of(self.authority)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


class Offer:
    """A unit id for who has none. It is made when it is first looked at: most visits are asked for none."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._made: str | None = None

    @property
    def unit(self) -> str:
        if self._made is None:
            self._made = self._make()
        return self._made


def unit_of(headers: MultiMapping[str]) -> str | None:
    """The unit id in the Cookie field; None where there is none or it is none of ours."""
    for value in headers.getall("Cookie", ()):
        if "lm_uid" in value and (match := _UNIT.search(value)):
            return match.group(1)
    return None


def unit_of_today(headers: MultiMapping[str], now: Callable[[], datetime], days: int) -> str | None:
    """The same, unless the id says that it was made more than `days` ago, or that it will be made yet.

    One without a day counts for as long as the browser keeps it.
    """
    unit = unit_of(headers)
    if unit is None or (dated := _DATED.fullmatch(unit)) is None:
        return unit
    age = _day(now()) - int(dated[1])
    return unit if -1 <= age < days else None  # clocks of two machines may be on two sides of midnight


def dated_unit(name: str, now: datetime) -> str:
    """A unit id that says on which day it was made; `name` is a UUID."""
    return f"d{_day(now):05}-{name}"


def _day(now: datetime) -> int:
    return int(now.timestamp()) // DAY_S


def has_cookie(headers: MultiMapping[str], name: str) -> bool:
    """Whether the request brings a cookie of that name with something in it."""
    return any(fields.cookies(headers, name))


def in_rollout(share: float, visit: Visit) -> bool:
    """Whether this visit is among the `share` (0 to 1) that may be mutated: the same answer every time it comes."""
    if share >= 1:
        return True
    who = visit.unit or f"{visit.address}\n{visit.headers.get('User-Agent', '')}"
    digest = hashlib.sha256(b"rollout\n" + who.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def unit_cookie(unit: str, *, secure: bool, days: int) -> bytes:
    """The Set-Cookie value that gives the visitor a unit id for so many days; an empty one for none has it forgotten."""
    text = f"{UNIT_COOKIE}={unit}; Max-Age={days * DAY_S}; Path=/; HttpOnly; SameSite=Lax"
    return (text + "; Secure" if secure else text).encode()


@lru_cache(maxsize=1024)
def host_of(authority: str) -> str:
    """`Shop.Example:8080` -> `shop.example`; brackets around IPv6 stay."""
    host = authority if authority.endswith("]") else authority.rpartition(":")[0] or authority
    return host.lower()

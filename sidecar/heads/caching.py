"""What caches are told of a response: nothing that the origin did not allow, and nothing of one visitor for all.

Three kinds of responses are ours to speak for: those of one visitor, those of a variant that a cache in front knows how to
tell from others (`variants`), and those that an operator's switches shaped.
Pure. Counterparts: `proxy` says which kind a response is, `headers` has what is not about caches.
Never: a response that may be kept longer, or by more, than the origin's own was.
"""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from email.utils import parsedate_to_datetime
from functools import lru_cache

from sidecar.heads.headers import AFTER_AN_EDIT_WRONG, LISTED_BYTES_MAX, Field, without

_TARGETED = frozenset({b"surrogate-control", b"x-accel-expires", b"edge-control"})
"""What some shared caches obey in place of Cache-Control: Fastly's and Varnish's, nginx's, Akamai's. Beside them every field
whose name ends in `-Cache-Control`: RFC 9213's `CDN-Cache-Control`, and those of vendors by its pattern."""
_TARGETED_SUFFIX = b"-cache-control"
KEY = b"x-layout-mutation-variant"
"""Says which variant it is that such a field lets be kept: another sidecar's, behind this one, is untrue with that field gone."""

_OF_A_PAGE = AFTER_AN_EDIT_WRONG | {
    b"age",
    b"cache-control",
    b"expires",
    b"link",
    b"location",
    b"no-vary-search",
    b"pragma",
    b"refresh",
}
"""What describes the origin's page, or for how long it is good, and is untrue of a redirect that stands in its place."""

_ELEMENT = re.compile(rb'(?:[^",]|"[^"]*(?:"|\Z))+')
_OF_THE_QUERY = frozenset({"campaign", "query", "url"})
"""Attributes that follow from the query of an address."""
_NAME = re.compile(rb"[^\s=;,]*")
_SHARED = frozenset({b"public", b"s-maxage"})
"""Directives that are for shared caches."""
_CLOSED = frozenset({b"private", b"no-store", b"no-cache"})
"""Directives without which no shared cache answers by itself (RFC 9111 5.2.2)."""
_STRICTEST = frozenset({b"*", b"no-cache"})
"""What Vary and Pragma say at worst."""
_SECONDS_MAX = 2**31
"""RFC 9111 1.2.2."""
_DIGITS = 11
"""More than any number of seconds has."""
_DATE_BYTES_MAX = 64
"""Of a date, twice what the longest takes (RFC 9110 5.6.7): what an origin says is remembered."""


def for_one_visitor(fields: Iterable[Field]) -> list[Field]:
    """The fields telling shared caches that this response is for one visitor only (RFC 9111 5.2.2.7).

    What the origin said for browsers stays. Fields that speak to some shared caches alone would overrule it and go
    (RFC 9213 2.2); so do directives that do, whatever stands beside them: caches are known that read `s-maxage` first. A
    Cache-Control that is too long to be read is `no-store`.
    """
    fields = without_targeted(fields)
    if _is_long(value for name, value in fields if name.lower() == b"cache-control"):
        return [*without(fields, {b"cache-control"}), (b"Cache-Control", b"no-store")]
    given = _directives(fields)
    closed = {directive.lower() for directive in given} & {b"private", b"no-store"}
    odd = any(b'"' in directive or _name(directive) in _SHARED for directive in given)
    if closed and not odd:
        return fields
    # First of all, where a quote that never ends can't swallow it; what a stricter parser may take for more says the same.
    word = b"no-store" if b"no-store" in closed else b"private"
    kept = [directive for directive in given if _name(directive) not in _SHARED and directive.lower() not in closed]
    kept = [directive for directive in kept if _name(directive) != b"private"]
    return [*without(fields, {b"cache-control"}), (b"Cache-Control", b", ".join([word, *kept]))]


def not_stored(fields: Iterable[Field]) -> list[Field]:
    """The fields telling every cache to keep nothing: for answers that an operator's switches shaped."""
    fields = without(without_targeted(fields), {b"cache-control", b"expires", b"etag", b"last-modified"})
    return [*fields, (b"Cache-Control", b"no-store")]


def redirecting(fields: Iterable[Field], location: str, caching: bytes) -> list[Field]:
    """The fields of a redirect in place of the origin's page: cookies and what is true of the site stay."""
    kept = without(without_targeted(fields), _OF_A_PAGE)
    own = [field for field in kept if not field[0].lower().startswith(b"content-")]
    return [*own, (b"Location", location.encode("ascii", "replace")), (b"Cache-Control", caching)]


def by_whole_address(fields: list[Field], reads: AbstractSet[str]) -> list[Field]:
    """The fields of a response that rules decided by `reads`: where the query is among them, no cache is told that it may leave
    parameters out of account (No-Vary-Search, IETF draft; the usual ones are those of campaigns)."""
    return fields if reads.isdisjoint(_OF_THE_QUERY) else without(fields, {b"no-vary-search"})


def without_targeted(fields: Iterable[Field]) -> list[Field]:
    """The fields without those that speak to some shared caches alone, and without a variant's key."""
    return [field for field in fields if (name := field[0].lower()) != KEY and not _is_targeted(name)]


def _is_targeted(name: bytes) -> bool:
    return name in _TARGETED or name.endswith(_TARGETED_SUFFIX)


def shared_s(fields: list[Field], control: bytes) -> int:
    """For how many seconds from now the origin lets a shared cache that obeys the field `control` answer by itself; 0 for
    not at all.

    Only what is said outright counts: the lifetime in that field (RFC 9213 2.2), else `s-maxage`, `max-age` or Expires
    (RFC 9111 4.2.1), less the Age that the response has already. No cookie is set with it, and nothing closes it, in a
    field for other caches neither: those say no more than that for this one.
    """
    told = {name.lower(): value for name, value in fields}
    if b"set-cookie" in told or b"*" in _members(fields, b"vary") or _is_closed_to_some(fields):
        return 0
    lifetime = _targeted_s(fields, control.lower())
    if lifetime is None:
        if _is_closed_to_all(fields):
            return 0
        lifetime = _freshness(_directives(fields))
        lifetime = _expires_s(told) if lifetime is None else lifetime
    age = told.get(b"age", b"0").strip()
    return max(0, lifetime - int(age)) if age.isdigit() and len(age) < _DIGITS else 0


def is_closed(fields: list[Field]) -> bool:
    """Whether the origin lets any shared cache, or all, not answer by itself: what stands in place of the page is no more for
    everybody than the page was."""
    return _is_closed_to_all(fields) or _is_closed_to_some(fields) or b"*" in _members(fields, b"vary")


def _is_closed_to_all(fields: Iterable[Field]) -> bool:
    """Whether Cache-Control, or Pragma, says that no shared cache may answer by itself."""
    listed = list(fields)
    return any(_name(directive) in _CLOSED for directive in _directives(listed)) or b"no-cache" in _members(
        listed, b"pragma"
    )


def _is_closed_to_some(fields: Iterable[Field]) -> bool:
    """Whether a targeted field says that a shared cache may not answer by itself."""
    targeted = [value for name, value in fields if _is_targeted(name.lower())]
    return _is_long(targeted) or any(
        _name(part.strip()) in _CLOSED for value in targeted for part in _split_list(value)
    )


def _targeted_s(fields: Iterable[Field], control: bytes) -> int | None:
    """The lifetime that the field `control` (lower case) gives; None where it is not there. Of several the least."""
    given = [value for name, value in fields if name.lower() == control]
    if control == b"x-accel-expires":
        found = [_number(value.strip()) for value in given]
    else:
        found = [_freshness(part.strip() for part in _split_list(value)) or 0 for value in given]
    return min(found, default=None)


def _freshness(directives: Iterable[bytes]) -> int | None:
    """`s-maxage`, else `max-age`; None for neither."""
    listed = list(directives)
    shared = _seconds(listed, b"s-maxage")
    return _seconds(listed, b"max-age") if shared is None else shared


def _seconds(directives: Iterable[bytes], name: bytes) -> int | None:
    """The argument of a directive; None where it is not there, 0 where it is no number. Of several the least."""
    texts = (directive.partition(b"=")[2].strip().strip(b'"') for directive in directives if _name(directive) == name)
    return min(map(_number, texts), default=None)


def _number(text: bytes) -> int:
    """Delta-seconds (RFC 9111 1.2.2); 0 for anything else."""
    return min(int(text), _SECONDS_MAX) if text.isdigit() and len(text) < _DIGITS else 0


def _expires_s(told: dict[bytes, bytes]) -> int:
    """Expires as seconds after Date, less than 0 before it; 0 where one of them is missing or no date."""
    date, expires = told.get(b"date", b""), told.get(b"expires", b"")
    return _between(date, expires) if len(date) + len(expires) <= 2 * _DATE_BYTES_MAX else 0


@lru_cache(maxsize=256)
def _between(date: bytes, expires: bytes) -> int:
    try:
        first, last = (parsedate_to_datetime(text.decode("ascii")) for text in (date, expires))
        return min(int((last - first).total_seconds()), _SECONDS_MAX)
    except (ValueError, TypeError, OverflowError):
        return 0


def _members(fields: Iterable[Field], name: bytes) -> frozenset[bytes]:
    """The members of a field that is a plain list, lower case; of one that is too long the strictest there are."""
    values = [value for key, value in fields if key.lower() == name]
    if _is_long(values):
        return _STRICTEST
    return frozenset(member.strip().lower() for value in values for member in value.split(b","))


def _name(directive: bytes) -> bytes:
    """`S-MaxAge = "60"` -> `s-maxage`; what stands before a stray semicolon counts as well."""
    match = _NAME.match(directive)
    return match.group().lower() if match is not None else b""


def _directives(fields: Iterable[Field]) -> list[bytes]:
    """What Cache-Control says; of one that is too long `no-store`."""
    values = [value for name, value in fields if name.lower() == b"cache-control"]
    if _is_long(values):
        return [b"no-store"]
    return [part.strip() for value in values for part in _split_list(value) if part.strip()]


def _is_long(values: Iterable[bytes]) -> bool:
    """Whether these lines of a list are too long to be taken apart."""
    return sum(map(len, values)) > LISTED_BYTES_MAX


def _split_list(value: bytes) -> list[bytes]:
    """Elements of a comma-separated field that are not empty; commas inside quotes don't count (`private="a, b"`)."""
    return value.split(b",") if b'"' not in value else _ELEMENT.findall(value)

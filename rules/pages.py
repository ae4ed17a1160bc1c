"""Which site and which pages a rule belongs to: `*.example` and `/offers/*` compiled to predicates.

Counterpart: `rules.table` indexes rows by the first literal segment, so that a visit meets only rows that can match.
"""

from collections.abc import Callable

import re2

from rules.errors import RulesError

Matcher = Callable[[str], bool]


def compile_site(pattern: str, path: str) -> Matcher:
    """Host predicate for `shop.example`, `*.example` (any subdomain) or `*`; raises RulesError for anything else."""
    if pattern == "*":
        return _always
    host = pattern.lower().rstrip(".")
    if host.startswith("*."):
        suffix = host[1:]
        if "*" not in suffix and len(suffix) > 1:
            return lambda site: site.endswith(suffix)
    elif not set(host) & set("*/: \t"):
        return lambda site: site == host
    raise RulesError("a site is a host such as shop.example, *.example for its subdomains, or *", path)


def compile_page(pattern: str, path: str) -> Matcher:
    """Path predicate; `*` is one segment or a part of one, `**` is any number of segments; a trailing slash is ignored.

    `*` alone is any page. Raises RulesError where the pattern does not begin with a slash.
    """
    if pattern == "*":
        return _always
    if not pattern.startswith("/") or "?" in pattern or "#" in pattern:
        raise RulesError("a page is a path pattern such as /, /offers/*, /blog/**, or * for any page", path)
    bare = _without_slash(pattern)
    if "*" not in bare:
        return lambda page: _without_slash(page) == bare
    compiled = re2.compile("(?s)^" + "".join(map(_expression, bare[1:].split("/"))) + "$")

    def matches(page: str) -> bool:
        try:
            return compiled.match(_without_slash(page)) is not None
        except UnicodeError:  # no text, so no path that a pattern could mean
            return False

    return matches


def first_segment(pattern: str) -> str | None:
    """The literal first segment that every matching path has (`/blog/**` -> `blog`); None if it is not fixed."""
    segment = pattern[1:].split("/", 1)[0] if pattern.startswith("/") else "*"
    return None if "*" in segment else segment


def _expression(segment: str) -> str:
    """One segment of a pattern, with the slash before it."""
    if segment == "**":
        return "(?:/[^/]*)*"
    if segment == "*":
        return "/[^/]+"
    escaped: str = re2.escape(segment)
    return "/" + escaped.replace(r"\*\*", ".*").replace(r"\*", "[^/]*")


def _without_slash(page: str) -> str:
    return page.rstrip("/") or "/"


def _always(_: str) -> bool:
    return True
